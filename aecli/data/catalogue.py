"""From what the user typed to a data set: a path that exists, or else a known name."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from aecli.config import nearest
from aecli.data.arrays import to_images
from aecli.data.cifar import is_cifar10_folder, read_cifar10
from aecli.data.dataset import Dataset
from aecli.data.folders import read_image_folder
from aecli.data.idx import is_idx_folder, open_idx, read_idx, read_idx_folder
from aecli.data.named import EMBEDDED, NAMED, read_named
from aecli.data.npz import read_npz
from aecli.data.parquet import MAGIC as PARQUET_MAGIC
from aecli.data.parquet import find_parquet, read_parquet
from aecli.data.progress import Bar, no_bar
from aecli.data.source import Source
from aecli.data.splits import split_at_random, split_parts
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import Labels, to_labels
from aecli.npy import Array, StoredArray, open_npy, read_npy

_FORMATS = "a folder of images, IDX or Parquet files, an IDX, .npy, .npz or Parquet file, or a name"


def open_dataset(source: Source | str, bar: Bar = no_bar) -> Dataset:
    """Read the data set at a path or of a name; a path that exists wins over a name.

    Raises:
        InputError: there is no such data set, or it is damaged.
        AecliError: it could not be fetched, or not be kept in the cache folder.

    """
    source = Source(source) if isinstance(source, str) else source
    location = source.location
    path = _expanded(location)
    if kind_of(path) != "nothing" and location:
        labels = None if source.labels is None else str(_expanded(source.labels).resolve())
        return _read_path(replace(source, location=str(path.resolve()), labels=labels), bar)
    if location in dataset_names():
        return read_named(source, bar)
    if not location or os.sep in location:
        raise InputError(f"no such file or folder: {location}")
    raise InputError(
        f"no data set, file or folder is called {location!r}{nearest(location, dataset_names())}"
    )


def _expanded(name: str) -> Path:
    """Return the path of a name that may start with `~`; Path.expanduser raises for no user."""
    return Path(os.path.expanduser(name))  # noqa: PTH111


def reopen_dataset(source: Source, bar: Bar = no_bar) -> Dataset:
    """Read the data set of a `Dataset.source`: no folder can take the place of a name.

    Raises:
        InputError: the data set is no longer there, or it is damaged.
        AecliError: it could not be fetched, or not be kept in the cache folder.

    """
    if source.location in dataset_names():
        return read_named(source, bar)
    return open_dataset(source, bar)


def dataset_names() -> tuple[str, ...]:
    """Return the names that `open_dataset` knows."""
    return (EMBEDDED, *NAMED)


def _read_path(source: Source, bar: Bar) -> Dataset:
    path = Path(source.location)
    if kind_of(path) == "folder":
        if source.labels is not None:
            raise InputError(
                f"{path} is a folder, where labels come from the files: leave out --labels"
            )
        if is_idx_folder(path):
            return read_idx_folder(path, path.name, source)
        if is_cifar10_folder(path):
            return read_cifar10(path, path.name, source)
        parquet = find_parquet(path)
        return (
            read_parquet(parquet, source, bar) if parquet else read_image_folder(path, source, bar)
        )
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder: expected {_FORMATS}")
    start = _first_bytes(path)
    if start.startswith(b"\x93NUMPY"):
        return _whole(source, open_npy(path))
    if start.startswith(b"PK"):
        return _parts(source, read_npz(path))
    if start.startswith((b"\x1f\x8b", b"\0\0\x08")):
        return _whole(source, open_idx(path, ndim=3))
    if start.startswith(PARQUET_MAGIC):
        if source.labels is not None:
            raise InputError(f"{path} is Parquet with labels of its own: leave out --labels")
        return read_parquet([path], source, bar)
    raise InputError(f"{path} is of no format that aecli reads: expected {_FORMATS}")


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _whole(source: Source, values: Array | StoredArray) -> Dataset:
    """Return the data set of one array, with splits drawn from it."""
    path = Path(source.location)
    images = to_images(values, str(path), source.rescale)
    labels = None
    if source.labels is not None:
        labels = _read_labels(Path(source.labels), len(images))
    return Dataset(
        name=path.name.removesuffix(".gz").removesuffix(".npy").removesuffix(".npz"),
        source=source,
        images=images,
        labels=labels,
        class_names=None,
        splits=split_at_random(
            len(images), labels, source.validation, source.test, source.split_seed
        ),
        has_own_splits=False,
        vectors=len(values.shape) == 2,
    )


def _parts(source: Source, parts: dict[str, tuple[Array, Array | None]]) -> Dataset:
    """Return the data set of arrays that come in train, maybe validation, and test."""
    path = Path(source.location)
    if set(parts) == {"all"}:
        return _whole(source, parts["all"][0])
    if source.labels is not None:
        raise InputError(f"{path} is in parts that have labels of their own: leave out --labels")
    images, labels = {}, {}
    for part, (values, part_labels) in parts.items():
        images[part] = to_images(values, f"{path}, {part}", source.rescale)
        if part_labels is not None:
            labels[part] = to_labels(part_labels, len(images[part]), f"{path}, {part}")
    shapes = {(part.dtype, part.shape[1:]) for part in images.values()}
    if len(shapes) > 1:
        found = ", ".join(f"{name} {part.dtype} {part.shape}" for name, part in images.items())
        raise InputError(f"{path} has parts that differ: {found}; expected one type and size")
    if labels and len(labels) < len(parts):
        missing = ", ".join(sorted(set(parts) - set(labels)))
        raise InputError(f"{path} has no labels for {missing}: expected them for all or none")
    # As in a folder of IDX files: validation, train, test.
    order = [name for name in ("validation", "train", "test") if name in parts]
    return Dataset(
        name=path.name.removesuffix(".npz"),
        source=source,
        images=np.concatenate([images[name] for name in order]),
        labels=np.concatenate([labels[name] for name in order]) if labels else None,
        class_names=None,
        splits=split_parts({name: len(images[name]) for name in order}, str(path)),
        vectors=any(len(values.shape) == 2 for values, _ in parts.values()),
    )


def _read_labels(path: Path, rows: int) -> Labels:
    if kind_of(path) != "file":
        raise InputError(f"no such file of labels: {path}")
    start = _first_bytes(path)
    values = read_npy(path) if start.startswith(b"\x93NUMPY") else read_idx(path, ndim=1)
    return to_labels(values, rows, str(path))
