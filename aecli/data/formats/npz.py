"""NumPy's file of several arrays, `.npz`, in the layouts of Keras and MedMNIST."""

import math
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from aecli.data.archive import is_zip_of_files
from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.progress import Bar
from aecli.data.reading import reading
from aecli.data.single_array import dataset_of_array
from aecli.data.source import Source
from aecli.data.splits import SPLIT_WORDS, split_parts
from aecli.errors import InputError
from aecli.labels import to_labels
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array, read_header

# The names of the images and the labels of each part, for each layout.
_LAYOUTS = {
    "Keras": {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")},
    "MedMNIST": {
        "train": ("train_images", "train_labels"),
        "validation": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
}
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


def read_npz(path: Path) -> dict[str, tuple[Array, Array | None]]:
    """Read the parts of a `.npz` file: images and labels of train, validation and test, or of all.

    The layouts are Keras' (`x_train`, `y_train`, `x_test`, `y_test`), MedMNIST's
    (`train_images`, `train_labels`, `val_images`, ...), or a single array, the part `all`.

    Raises:
        InputError: the file is damaged, too large, or in none of these layouts.

    """
    with reading(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                wanted = _choose_members(members.keys(), path)
                names = [name for pair in wanted.values() for name in pair if name is not None]
                arrays = _read_members(archive, {name: members[name] for name in names}, path)
        except _DAMAGE as error:
            raise InputError(f"{path} is a damaged .npz file ({error}): fetch it again") from error
    return {
        part: (arrays[images], None if labels is None else arrays[labels])
        for part, (images, labels) in wanted.items()
    }


def _choose_members(names: Collection[str], path: Path) -> dict[str, tuple[str, str | None]]:
    known = set(names)
    for layout in _LAYOUTS.values():
        if all(images in known for images, _ in layout.values()):
            return {
                part: (images, labels if labels in known else None)
                for part, (images, labels) in layout.items()
            }
    if len(known) == 1:
        return {"all": (known.pop(), None)}
    raise InputError(
        f"{path} holds {', '.join(sorted(known)) or 'nothing'}: expected Keras' x_train, y_train, "
        "x_test, y_test, MedMNIST's train_images, train_labels, val_images, ..., or one array"
    )


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
    path = Path(source.location)
    parts = read_npz(path)
    if set(parts) == {"all"}:
        return dataset_of_array(source, parts["all"][0])
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
    )


FORMAT = Format(
    description=".npz",
    matches=lambda path, start: start.startswith(b"PK") and not is_zip_of_files(path, start),
    read=_read,
)
