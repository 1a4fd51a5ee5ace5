"""NumPy's file of one array, `.npy`: read whole, row by row, or written row by row.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import math
import os
import warnings
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from aecli import files
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory

Array = npt.NDArray[Any]

# Reads whose checksum is remembered: a pass over 100 GB in blocks takes a few megabytes for them.
_MOST_SUMS = 2**14
# numpy evaluates the header as a literal of Python, and once more as one of Python 2.
_HEADER_ERRORS = (
    ValueError, EOFError, SyntaxError, TokenError, TypeError, KeyError, RecursionError, MemoryError,
)  # fmt: skip
_LONGEST_AXIS = 2**48


class StoredArray:
    """An array in a file, in C order; it has at least one axis.

    Rows are asked for as of an array, with a slice of step 1; `InputError` where they cannot be
    read. These are ordinary reads: the pages of a memory map count as the process's own memory, and
    a file that is cut short below a map kills the process. The file stays open, so that it may be
    moved, replaced or removed; a change of its content is seen, whatever its time stamps say.
    """

    # A gap of up to this size between two rows is read with them: faster than a second read.
    gap_bytes = 16_000

    def __init__(
        self, file: IO[bytes], path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> None:
        """Take the array that begins where `file` stands; `path` is what errors call it."""
        self.path, self.dtype, self.shape = path, dtype, shape
        self._offset = file.tell()
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._state = self._look()
        self._sums: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """The size of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def __getitem__(self, chosen: slice) -> Array:
        start, stop, _ = chosen.indices(len(self))
        values = self._read(start, stop)
        state = self._look()
        if state[:2] != self._state[:2]:
            raise self._changed()
        if state != self._state:
            # Its content was written, and its times put back, or it was moved, linked or removed.
            for known in list(self._sums):
                self._read(*known)
            self._state = state
        return values

    def several(self, chosen: Iterable[slice]) -> Iterator[Array]:
        """Yield the rows of each slice."""
        return (self[rows] for rows in chosen)

    def announce(self, chosen: Iterable[slice]) -> None:
        """Say which rows are to be read, in this order; a disk has no use for it."""

    def _read(self, start: int, stop: int) -> Array:
        """Read rows, and compare them with what they were when they were last read."""
        from isal import isal_zlib

        values = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        data = memoryview(values.reshape(-1).view(np.uint8).data)
        left, place = data, self._offset + start * self.row_bytes
        try:
            while left:
                read = os.preadv(self._descriptor, [left], place)
                if read == 0:
                    raise InputError(f"{self.path} has become shorter while it was read")
                left, place = left[read:], place + read
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}") from error
        if len(self._sums) < _MOST_SUMS or (start, stop) in self._sums:
            read_sum = isal_zlib.crc32(data)
            if self._sums.setdefault((start, stop), read_sum) != read_sum:
                raise self._changed()
        return values

    def _changed(self) -> InputError:
        return InputError(f"{self.path} was changed while it was read: start again")

    def _look(self) -> tuple[int, int, int]:
        # Everyone can put back the time of the last change of the content, but not the last of all.
        state = os.fstat(self._descriptor)
        return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def open_npy(path: Path, *, text: bool = False) -> Array | StoredArray:
    """Open the array of a `.npy` file, which stays there; runs no code of the file.

    Without rows, or in Fortran's order, where rows do not lie together, it is read whole. With
    `text` it may hold texts too.

    Raises:
        InputError: the file is not a whole `.npy` file of plain numbers.

    """
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            shape, fortran_order, dtype = read_header(file, str(path), size, text=text)
            if shape and 0 not in shape and not fortran_order:
                return StoredArray(file, path, dtype, shape)
            count = math.prod(shape)
            refuse_beyond_memory(
                count * dtype.itemsize, str(path), "save it in C order, then it can stay on disk"
            )
            flat = StoredArray(file, path, dtype, (count,))[:]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return flat.reshape(shape, order="F" if fortran_order else "C")


def finite_float32(values: Array, problem: str) -> npt.NDArray[np.float32]:
    """Return numbers (n, p) as float32.

    Raises:
        InputError: one of them is not finite then; it says `problem`, and the first such row.

    """
    with np.errstate(over="ignore"):
        numbers: npt.NDArray[np.float32] = values.astype(np.float32)
    finite = np.isfinite(numbers).all(axis=1)
    if not finite.all():
        raise InputError(f"{problem}: first in row {int(np.argmin(finite))}")
    return numbers


def read_npy(path: Path, *, text: bool = False) -> Array:
    """Read the array of a `.npy` file whole, as `open_npy` opens it.

    Raises:
        InputError: the file is not a whole `.npy` file of plain numbers.

    """
    array = open_npy(path, text=text)
    size = math.prod(array.shape) * array.dtype.itemsize
    refuse_beyond_memory(size, str(path), "take fewer rows")
    return array[:] if isinstance(array, StoredArray) else array


def write_npy(
    path: Path,
    dtype: npt.DTypeLike,
    shape: tuple[int, ...],
    blocks: Iterable[Array],
    *,
    replace: bool = True,
) -> None:
    """Write an array that comes in blocks of rows, whole or not at all.

    Raises:
        InputError: without `replace`, a file has come to be there meanwhile.
        AecliError: the operating system refused.

    """
    with files.writing_together(replace=replace) as together:
        add_npy(together, path, dtype, shape, blocks)


def add_npy(
    together: files.FileSet,
    path: Path,
    dtype: npt.DTypeLike,
    shape: tuple[int, ...],
    blocks: Iterable[Array],
) -> None:
    """Add an array that comes in blocks of rows to a set of files.

    These are ordinary writes: on a full disk a memory map would kill the process.

    Raises:
        AecliError: the operating system refused.

    """
    kind = np.dtype(dtype)
    with together.open(path, math.prod(shape) * kind.itemsize) as file:
        write_header(file, kind, shape)
        for block in blocks:
            file.write(np.ascontiguousarray(block, kind).data)


def write_header(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write the header of an array in C order."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def read_header(
    file: IO[bytes], where: str, size: int, *, text: bool = False
) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Read the header of an array: its shape, whether it is in Fortran's order, and its type.

    `where` is what errors call it, `size` the size in bytes of the whole, which must fit. With
    `text` it may hold texts too.

    Raises:
        InputError: this is not a whole array of plain numbers.

    """
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise InputError(f"{where} is of version {version} of the .npy format: expected 1 or 2")
        with warnings.catch_warnings(action="ignore"):
            # Of names of types, or of Python 2, that numpy will give up.
            shape, fortran_order, dtype = read(file)
    except _HEADER_ERRORS as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{where} is not a whole .npy array: {reason}") from error
    if dtype.hasobject or dtype.kind not in ("buifcSU" if text else "buifc"):
        raise InputError(f"{where} holds {dtype}: expected numbers; nothing of it was run")
    known = all(type(length) is int and 0 <= length < _LONGEST_AXIS for length in shape)
    if dtype.itemsize == 0 or not known:
        raise InputError(f"{where} has an impossible header: its shape or type has no such size")
    promised, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if promised != held:
        fault = "truncated" if held < promised else "too long"
        raise InputError(
            f"{where} is {fault}: its header promises {promised:,} bytes, it holds {held:,}"
        )
    return shape, fortran_order, dtype
