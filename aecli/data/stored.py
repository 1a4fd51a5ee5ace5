"""Images that stay in their file: rows are read on demand."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.data.rows import Rows
from aecli.data.stretch import fit
from aecli.npy import Array, StoredArray
from aecli.pixels import Images, Limits, as_pixels, pixel_type

# The size of one read: large enough for full disk speed, small compared with any memory limit.
_READ_BYTES = 8_000_000


@dataclass(frozen=True)
class StoredImages:
    """Images (n, h, w, c) in a file, converted to pixels when they are read, by `as_pixels`.

    Indexed like an array, with a slice of step 1 or with ascending row numbers. `stored` is the
    shape (h, w, c) that they have in the file where they are converted to another one, by `fit`.
    """

    array: StoredArray
    shape: tuple[int, int, int, int]
    rescale: Limits
    stored: tuple[int, int, int] | None = None

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
            return self._pixels(self.array[rows])
        images = np.empty((len(rows), *self.shape[1:]), self.dtype)
        chosen = self._slices(rows)
        blocks = self.array.several([block for _, block in chosen])
        for (places, block), raw in zip(chosen, blocks, strict=True):
            images[places] = self._pixels(raw)[rows[places] - block.start]
        return images

    def announce(self, wanted: Iterable[Rows]) -> None:
        """Say which rows are to be asked for, in this order, so that they may be fetched ahead."""
        self.array.announce(
            block
            for rows in wanted
            for block in (
                [rows] if isinstance(rows, slice) else [block for _, block in self._slices(rows)]
            )
        )

    def _slices(self, rows: npt.NDArray[np.int64]) -> list[tuple[slice, slice]]:
        """Return the slices that rows are read by, each after the places of `rows` that are in it.

        Rows that are far apart are read separately, others together with the gap between them.
        """
        span, gap = rows_at_a_time(self.array), max(1, rows_of(self.array, self.array.gap_bytes))
        parts = np.flatnonzero(np.diff(rows, append=rows[-1:] + gap + 1) > gap) + 1
        done, chosen = 0, []
        while done < len(rows):
            start = int(rows[done])
            part_end = int(parts[np.searchsorted(parts, done, side="right")])
            end = min(part_end, int(np.searchsorted(rows, start + span)))
            chosen.append((slice(done, end), slice(start, int(rows[end - 1]) + 1)))
            done = end
        return chosen

    def _pixels(self, raw: Array) -> Images:
        pixels = as_pixels(raw.reshape(len(raw), *(self.stored or self.shape[1:])), self.rescale)
        return fit(pixels, self.shape[1:]) if self.stored else pixels


def blocks(values: Array | StoredArray | StoredImages) -> Iterator[Array]:
    """Yield all rows in order, a few megabytes at a time."""
    step = rows_at_a_time(values)
    for start in range(0, len(values), step):
        yield values[start : start + step]


def rows_at_a_time(values: Array | StoredArray | StoredImages) -> int:
    """Return the number of rows to read at a time."""
    return max(1, rows_of(values, _READ_BYTES))


def rows_of(values: Array | StoredArray | StoredImages, size: int) -> int:
    """Return the number of rows that fit in `size` bytes."""
    row_bytes = math.prod(values.shape[1:]) * values.dtype.itemsize
    return size // max(1, row_bytes)


def extremes(values: Array | StoredArray | StoredImages) -> tuple[float, float]:
    """Return the lowest and the highest number."""
    pairs = [(float(block.min()), float(block.max())) for block in blocks(values)]
    lowest, highest = zip(*pairs, strict=True)
    return min(lowest), max(highest)
