"""CIFAR-10's binary files: for each image its label, then its red, green and blue bytes.

Format: https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky, 2009).
"""

from pathlib import Path

import numpy as np

from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.format import LABELS_COME_FROM_FILES, Format
from aecli.data.progress import Bar
from aecli.data.reading import reading, state_of
from aecli.data.source import Source
from aecli.data.splits import split_parts
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.memory import refuse_beyond_memory

TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)
_CHANNELS, _SIDE = 3, 32
_ROW_BYTES = 1 + _CHANNELS * _SIDE * _SIDE
_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def is_cifar10_folder(folder: Path) -> bool:
    """Return whether a folder has all of CIFAR-10's binary files."""
    names = (*TRAIN_FILES, *TEST_FILES)
    return all(kind_of(folder / name) in ("file", "special") for name in names)


def read_cifar10(folder: Path, name: str, source: Source) -> Dataset:
    """Read CIFAR-10: 45,833 train, 4,167 validation and 10,000 test images, 32x32 in RGB.

    The rows are in the order validation, train, test.

    Raises:
        InputError: a file is missing or damaged.

    """
    train, test = (
        np.concatenate([_read_rows(folder / file) for file in files])
        for files in (TRAIN_FILES, TEST_FILES)
    )
    rows = np.concatenate([train, test])
    pixels = rows[:, 1:].reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return Dataset(
        name=name,
        source=source,
        images=to_images(pixels, str(folder), source.rescale),
        labels=rows[:, 0].astype(np.int64),
        class_names=_CLASSES,
        splits=split_parts({"train": len(train), "test": len(test)}, str(folder)),
    )


def _read_rows(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    with reading(path) as file:
        # Later they are put together, and in another order.
        refuse_beyond_memory(3 * state_of(file).size, str(path), "take fewer rows")
        values = np.fromfile(file, np.uint8)
    if not len(values) or len(values) % _ROW_BYTES:
        raise InputError(
            f"{path} is truncated: expected rows of {_ROW_BYTES:,} bytes, got {len(values):,} bytes"
        )
    rows = values.reshape(-1, _ROW_BYTES)
    if rows[:, 0].max() >= len(_CLASSES):
        raise InputError(f"{path} has a label {rows[:, 0].max()}: expected 0..{len(_CLASSES) - 1}")
    return rows


def _read(source: Source, bar: Bar) -> Dataset:
    folder = Path(source.location)
    return read_cifar10(folder, folder.name, source)


FORMAT = Format(
    description="CIFAR-10's folder",
    matches=lambda path, first_bytes: path.is_dir() and is_cifar10_folder(path),
    read=_read,
    labels_refusal=LABELS_COME_FROM_FILES,
)
