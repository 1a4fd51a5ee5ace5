"""NumPy's file of several arrays, `.npz`, in the layouts of Keras and MedMNIST, or any other."""

import math
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aecli.data.archive import is_zip_of_files
from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.named_arrays import choose_array
from aecli.data.progress import Bar
from aecli.data.reading import reading
from aecli.data.single_array import dataset_of_array
from aecli.data.source import Source, located
from aecli.data.splits import SPLIT_WORDS, split_parts
from aecli.errors import InputError
from aecli.labels import to_labels
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array, read_header

# The names of the images and the labels of each split, Keras' and MedMNIST's.
_LAYOUTS = (("x_{}", "y_{}"), ("{}_images", "{}_labels"))
_PIECE_BYTES = 8_000_000
# What zipfile raises for damage; RuntimeError also for encryption, and for methods it lacks.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    OSError,
    ValueError,
    OverflowError,
    KeyError,
    IndexError,
    struct.error,
)


@dataclass(frozen=True)
class _Choice:
    """The members of images and labels of each part, what is left out, and what splits are called.

    The parts are train, test and maybe validation, or `all`.
    """

    parts: Mapping[str, tuple[str, str | None]]
    left_out: Mapping[str, int]
    split_names: Mapping[str, str] = field(default_factory=dict)


def read_npz(
    path: Path, named: str | None = None
) -> tuple[dict[str, tuple[Array, Array | None]], _Choice]:
    """Read the parts of a `.npz` file: images and labels of train, validation and test, or of all.

    The layouts are Keras' (`x_train`, `y_train`, `x_test`, `y_test`, maybe `x_val`), MedMNIST's
    (`train_images`, `train_labels`, `val_images`, ...), or one array, the part `all`: that called
    `named`, or the only one that can be images. Without a test part that for validation is tested
    on.

    Raises:
        InputError: the file is damaged, too large, or in none of these layouts.

    """
    with reading(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                choice = _choose_members(archive, members, named, path)
                wanted = choice.parts
                names = [name for pair in wanted.values() for name in pair if name is not None]
                arrays = _read_members(archive, {name: members[name] for name in names}, path)
        except _DAMAGE as error:
            raise InputError(f"{path} is a damaged .npz file ({error}): fetch it again") from error
    parts = {
        part: (arrays[images], None if labels is None else arrays[labels])
        for part, (images, labels) in wanted.items()
    }
    return parts, choice


def _choose_members(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], named: str | None, path: Path
) -> _Choice:
    if named is None:
        for images_name, labels_name in _LAYOUTS:
            parts: dict[str, tuple[str, str | None]] = {}
            for split, words in SPLIT_WORDS.items():
                for word in words:
                    images, labels = images_name.format(word), labels_name.format(word)
                    if images in members and split not in parts:
                        parts[split] = images, labels if labels in members else None
            if "train" in parts and len(parts) > 1:
                return _choice_of_splits(parts, members)
        if len(members) == 1:
            return _Choice({"all": (next(iter(members)), None)}, {})
    shapes = dict(_shapes(archive, members, path))
    layouts = "Keras' x_train, y_train, x_test, y_test, MedMNIST's train_images, ..., or "
    chosen = choose_array(shapes, named, str(path), layouts)
    others = {f"array {name}": 1 for name in members if name not in shapes}
    return _Choice({"all": (chosen.images, chosen.labels)}, {**chosen.left_out, **others})


def _choice_of_splits(
    parts: dict[str, tuple[str, str | None]], members: Collection[str]
) -> _Choice:
    split_names = {}
    if "test" not in parts:
        parts["test"] = parts.pop("validation")
        split_names = {split: images for split, (images, _) in parts.items()}
    used = {name for pair in parts.values() for name in pair}
    left_out = {f"array {name}": 1 for name in members if name not in used}
    return _Choice(parts, left_out, split_names)


def _shapes(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path
) -> Iterator[tuple[str, tuple[tuple[int, ...], np.dtype[Any]]]]:
    """Yield shape and type of each array of numbers, by its name."""
    for name, info in members.items():
        with suppress(InputError), archive.open(info) as file:
            shape, _, dtype = read_header(file, f"{path}, {name}", info.file_size)
            yield name, (shape, dtype)


def _read_members(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path
) -> dict[str, Array]:
    for name, info in members.items():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{path}, {name} is compressed with method {info.compress_type}: expected none or "
                "deflate, as numpy writes; save it again with numpy.savez_compressed"
            )
    # Parts are put together later.
    size = sum(info.file_size for info in members.values()) * min(2, len(members))
    refuse_beyond_memory(size, str(path), "save one array as .npy, then it can stay on disk")
    return {name: _read_member(archive, info, f"{path}, {name}") for name, info in members.items()}


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Array:
    with archive.open(info) as file:
        # The header must promise what the archive does.
        shape, fortran_order, dtype = read_header(file, where, info.file_size)
        flat = np.empty(math.prod(shape), dtype)
        left = memoryview(flat.view(np.uint8).data)
        # In pieces: zipfile makes copies of what it reads.
        while left:
            piece = file.read(min(len(left), _PIECE_BYTES))
            if not piece:
                raise InputError(f"{where} is truncated: its last {len(left):,} bytes are missing")
            left[: len(piece)] = piece
            left = left[len(piece) :]
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _read(source: Source, bar: Bar) -> Dataset:
    path, named = located(source.location)
    parts, choice = read_npz(path, named)
    if set(parts) == {"all"}:
        values, of_values = parts["all"]
        own = None
        if of_values is not None:
            own = to_labels(of_values, len(values), f"{path}, {choice.parts['all'][1]}")
        return dataset_of_array(source, values, own, left_out=choice.left_out)
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
    order = [name for name in SPLIT_WORDS if name in parts]
    return Dataset(
        name=path.name.removesuffix(".npz"),
        source=source,
        images=np.concatenate([images[name] for name in order]),
        labels=np.concatenate([labels[name] for name in order]) if labels else None,
        class_names=None,
        splits=split_parts({name: len(images[name]) for name in order}, str(path)),
        vectors=any(len(values.shape) == 2 for values, _ in parts.values()),
        left_out=choice.left_out,
        split_names=choice.split_names,
    )


FORMAT = Format(
    description=".npz",
    matches=lambda path, start: start.startswith(b"PK") and not is_zip_of_files(path, start),
    read=_read,
    has_names=True,
)
