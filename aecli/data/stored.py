"""Images that stay in their file: rows are read when they are asked for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.npy import Array, StoredArray
from aecli.pixels import Images, as_pixels, pixel_type

Rows = slice | npt.NDArray[np.int64]

# Of one read: large enough for a disk to be at its fastest, and small beside any bound on memory.
_READ_BYTES = 8_000_000
# What lies between two rows is read with them up to here: sooner done than another read.
_GAP_BYTES = 16_000


@dataclass(frozen=True)
class StoredImages:
    """Images (n, h, w, c) in a file, which become pixels when they are read.

    Rows are asked for as of an array, with a slice of step 1 or with ascending numbers.
    """

    array: StoredArray
    shape: tuple[int, int, int, int]
    rescale: tuple[float, float] | None

    def __len__(self) -> int:
        return self.shape[0]

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels: uint8, uint16 or float32."""
        return pixel_type(self.array.dtype, self.rescale)

    @property
    def nbytes(self) -> int:
        """The size of the pixels in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, rows: Rows) -> Images:
        if isinstance(rows, slice):
            return self._read(rows)
        images = np.empty((len(rows), *self.shape[1:]), self.dtype)
        span, gap = rows_at_a_time(self.array), max(1, rows_of(self.array, _GAP_BYTES))
        # Rows that lie far apart are read by themselves, others with what lies between.
        parts = np.flatnonzero(np.diff(rows, append=rows[-1:] + gap + 1) > gap) + 1
        done = 0
        while done < len(rows):
            start = int(rows[done])
            part_end = int(parts[np.searchsorted(parts, done, side="right")])
            end = min(part_end, int(np.searchsorted(rows, start + span)))
            block = self._read(slice(start, int(rows[end - 1]) + 1))
            images[done:end] = block[rows[done:end] - start]
            done = end
        return images

    def _read(self, rows: slice) -> Images:
        raw = self.array[rows]
        return as_pixels(raw.reshape(len(raw), *self.shape[1:]), self.rescale)


def blocks(values: Array | StoredArray | StoredImages) -> Iterator[Array]:
    """Yield all rows in order, a few megabytes at a time."""
    step = rows_at_a_time(values)
    for start in range(0, len(values), step):
        yield values[start : start + step]


def rows_at_a_time(values: Array | StoredArray | StoredImages) -> int:
    """Return how many rows make one read."""
    return max(1, rows_of(values, _READ_BYTES))


def rows_of(values: Array | StoredArray | StoredImages, size: int) -> int:
    """Return how many rows so many bytes are."""
    row_bytes = math.prod(values.shape[1:]) * values.dtype.itemsize
    return size // max(1, row_bytes)


def count_of(rows: Rows) -> int:
    """Return how many rows these are; a slice has a start and a stop."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def rows_between(rows: Rows, start: int, stop: int) -> Rows:
    """Return `rows[start:stop]`, for a slice with a start and a stop too."""
    if isinstance(rows, slice):
        return slice(rows.start + start, min(rows.start + stop, rows.stop))
    return rows[start:stop]


def rows_at(rows: Rows, positions: npt.NDArray[np.int64]) -> Rows:
    """Return `rows[positions]`, for a slice with a start too."""
    return positions + rows.start if isinstance(rows, slice) else rows[positions]


def spread_evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most so many of the positions below `count`, ascending and evenly spread."""
    taken = min(count, most)
    return np.arange(taken) * count // taken


def extremes(values: Array | StoredArray | StoredImages) -> tuple[float, float]:
    """Return the lowest and the highest number."""
    pairs = [(float(block.min()), float(block.max())) for block in blocks(values)]
    lowest, highest = zip(*pairs, strict=True)
    return min(lowest), max(highest)
