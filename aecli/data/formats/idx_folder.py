"""A folder of IDX files in MNIST's naming."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.format import LABELS_COME_FROM_FILES, Format
from aecli.data.idx import open_idx, read_idx
from aecli.data.label_files import labels_for
from aecli.data.progress import Bar
from aecli.data.source import Source
from aecli.data.splits import split_parts
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import Labelling, labels_of_parts
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array


def read_idx_folder(
    folder: Path, name: str, source: Source, class_names: tuple[str, ...] | None = None
) -> Dataset:
    """Read a folder in MNIST's naming: `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, ...

    Each file may be gzipped. The first twelfth of the training images is the validation split, so
    that MNIST has 55,000 / 5,000 / 10,000. Labels are optional, for each part.
    The rows are in the order validation, train, test.

    Raises:
        InputError: a file is missing or damaged, or does not fit the others.

    """
    train_path, test_path = (_require(folder, part, "images-idx3") for part in ("train", "t10k"))
    train, test = read_idx(train_path, ndim=3), read_idx(test_path, ndim=3)
    for path, images in ((train_path, train), (test_path, test)):
        if images.size == 0:
            raise InputError(f"{path} holds no pixels: its shape is {images.shape}")
    if train.shape[1:] != test.shape[1:]:
        raise InputError(
            f"{test_path} has images of {_size(test)} pixels, but {train_path.name} has "
            f"{_size(train)}: expected one size"
        )
    splits = split_parts({"train": len(train), "test": len(test)}, str(train_path))
    refuse_beyond_memory(train.nbytes + test.nbytes, str(folder), "take fewer rows")

    def own() -> Labelling:
        return _read_labels(folder, {train_path: len(train), test_path: len(test)})

    return Dataset(
        name=name,
        source=source,
        images=to_images(np.concatenate([train, test]), str(folder), source.rescale),
        labels=labels_for(source, own, len(train) + len(test)).labels,
        class_names=class_names,
        splits=splits,
    )


def is_idx_folder(folder: Path) -> bool:
    """Return whether a folder has any file of images or labels in MNIST's naming."""
    kinds = ("images-idx3", "labels-idx1")
    return any(_find(folder, part, kind) for part in ("train", "t10k") for kind in kinds)


def has_idx_images(folder: Path) -> bool:
    """Return whether a folder has the images of both parts in MNIST's naming."""
    return all(_find(folder, part, "images-idx3") for part in ("train", "t10k"))


def _read_labels(folder: Path, images: Mapping[Path, int]) -> Labelling:
    """Read the labels of the two parts, whose images are as many as `images` says."""
    parts: list[tuple[Array | None, int, str]] = []
    for part, (images_path, rows) in zip(("train", "t10k"), images.items(), strict=True):
        path = _find(folder, part, "labels-idx1")
        labels = None if path is None else open_idx(path, ndim=1)
        if labels is not None and len(labels) != rows:
            raise InputError(
                f"{path} has {len(labels):,} labels, but {images_path.name} has {rows:,} images: "
                "expected one label for each image"
            )
        parts.append((None if labels is None else labels[:], rows, str(path)))
    return labels_of_parts(parts)


def _require(folder: Path, part: str, kind: str) -> Path:
    path = _find(folder, part, kind)
    if path is None:
        raise InputError(
            f"{folder} has no {part}-{kind}-ubyte[.gz]: expected a folder of IDX files in MNIST's "
            "naming"
        )
    return path


def _find(folder: Path, part: str, kind: str) -> Path | None:
    """Return a file, plain rather than gzipped; some mirrors call it `images.idx3-ubyte`."""
    for stem in (f"{part}-{kind}-ubyte", f"{part}-{kind.replace('-', '.')}-ubyte"):
        for suffix in ("", ".gz"):
            path = folder / (stem + suffix)
            # A folder may have the name of the file that was unpacked into it.
            if kind_of(path) in ("file", "special"):
                return path
    return None


def _size(images: Array) -> str:
    return f"{images.shape[1]}x{images.shape[2]}"


def _read(source: Source, bar: Bar) -> Dataset:
    folder = Path(source.location)
    return read_idx_folder(folder, folder.name, source)


FORMAT = Format(
    description="MNIST's folder",
    matches=lambda path, first_bytes: path.is_dir() and is_idx_folder(path),
    read=_read,
    labels_refusal=LABELS_COME_FROM_FILES,
    priority=1,
)
