"""What tests make and run."""

import gzip
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset, Source

# The training that tests share, that of the fixture `digits_run`. Any other setting, and any other
# shape of images, is a program that takes two seconds to compile.
SMALL = ("--recipe", "plain", "--hidden", "16,8", "--epochs", "4", "--batch-size", "64")
# The same, until a signal ends it.
ENDLESS = (*SMALL, "--epochs", "100000")

# Runs the real command in a folder of the test, without a terminal.
Run = Callable[..., subprocess.CompletedProcess[str]]


def tiny_dataset(rows: int = 300) -> Dataset:
    """Return random images of 4x4, 200 to train on and 40 to validate on."""
    images = np.random.default_rng(3).integers(0, 256, (rows, 4, 4, 1), np.uint8)
    splits = {"train": slice(0, 200), "validation": slice(200, 240), "test": slice(240, rows)}
    return Dataset("tiny", Source("tiny", rescale=None, ground=None), images, None, None, splits)


def write_idx(path: Path, values: npt.NDArray[np.uint8]) -> None:
    """Write an IDX file as its format says; gzipped where the name says so."""
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    data = header + values.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_idx_folder(folder: Path) -> None:
    """Write 240 train and 40 test images of 6x5 random pixels, with labels."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, rows, suffix in (("train", 240, ".gz"), ("t10k", 40, "")):
        pixels = generator.integers(0, 256, (rows, 6, 5), np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", pixels)
        labels = generator.integers(0, 10, rows).astype(np.uint8)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)
