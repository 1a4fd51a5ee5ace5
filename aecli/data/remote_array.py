"""A `.npy` file at an address: rows are read by ranges, as they are asked for."""

import io
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from aecli.memory import refuse_beyond_memory
from aecli.npy import Array, StoredArray, read_header
from aecli.remote.objects import AT_ONCE, RemoteFile

# The longest header that is looked for.
_HEADER_BYTES = 2**16
# How many slices of rows are asked for before the first of them is taken.
_ASKED_AHEAD = 64


class RemoteArray(StoredArray):
    """An array in an object, in C order; it has at least one axis, and is read as `StoredArray`."""

    # A request costs as much as some bytes of the next row.
    gap_bytes = 2**20

    def __init__(
        self, file: RemoteFile, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> None:
        """Take the array that begins at the byte `offset` of a file."""
        self.path, self.dtype, self.shape = Path(file.address), dtype, shape
        self._file, self._first = file, offset

    def __getitem__(self, chosen: slice) -> Array:
        start, stop, _ = chosen.indices(len(self))
        values = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        if values.nbytes:
            data = memoryview(values.reshape(-1).view(np.uint8).data)
            self._file.read_into(data, self._first + start * self.row_bytes)
        return values

    def several(self, chosen: Iterable[slice]) -> Iterator[Array]:
        """Yield the rows of each slice; where they are far apart, several are asked for at once."""
        slices = list(chosen)
        sizes = [(rows.stop - rows.start) * self.row_bytes for rows in slices]
        if len(slices) < 2 or max(sizes) > self.gap_bytes:
            yield from super().several(slices)
            return
        with ThreadPoolExecutor(AT_ONCE, "aecli-rows") as pool:
            for first in range(0, len(slices), _ASKED_AHEAD):
                yield from pool.map(self._fetched, slices[first : first + _ASKED_AHEAD])

    def announce(self, chosen: Iterable[slice]) -> None:
        """Say which rows are to be read, in this order: several slices are asked for at a time."""
        self._file.announce(map(self._bytes_of, chosen))

    def _bytes_of(self, rows: slice) -> tuple[int, int]:
        """Return where rows begin and end in the file."""
        start, stop, _ = rows.indices(len(self))
        return self._first + start * self.row_bytes, self._first + stop * self.row_bytes

    def _fetched(self, rows: slice) -> Array:
        """Return rows that are asked for alone."""
        flat = np.frombuffer(self._file.fetch(*self._bytes_of(rows)), self.dtype)
        return flat.reshape(-1, *self.shape[1:])


def open_remote_npy(file: RemoteFile) -> Array | RemoteArray:
    """Open the array of a `.npy` file elsewhere; runs no code of the file.

    Without rows, or in Fortran's order, it is read whole.

    Raises:
        InputError: the object is not a whole `.npy` file of plain numbers, or cannot be read.
        AecliError: its server does not answer, or it was changed.

    """
    start = io.BytesIO(file.read(0, min(_HEADER_BYTES, file.size)))
    shape, fortran_order, dtype = read_header(start, file.address, file.size)
    if shape and 0 not in shape and not fortran_order:
        return RemoteArray(file, start.tell(), dtype, shape)
    count = math.prod(shape)
    refuse_beyond_memory(
        count * dtype.itemsize, file.address, "save it in C order, then it is read by ranges"
    )
    flat = RemoteArray(file, start.tell(), dtype, (count,))[:]
    return flat.reshape(shape, order="F" if fortran_order else "C")
