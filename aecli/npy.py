"""NumPy's file of one array, `.npy`: read whole, row by row, or written row by row.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import math
import os
import warnings
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from aecli import files
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory

Array = npt.NDArray[Any]

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
    moved or replaced; a change of the file itself is seen.
    """

    def __init__(
        self, file: IO[bytes], path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> None:
        """Take the array that begins where `file` stands; `path` is what errors call it."""
        self.path, self.dtype, self.shape = path, dtype, shape
        self._offset = file.tell()
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._state = self._look()

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """The size of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def __getitem__(self, chosen: slice) -> Array:
        start, stop, _ = chosen.indices(len(self))
        values = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        left = memoryview(values.reshape(-1).view(np.uint8).data)
        place = self._offset + start * self.row_bytes
        try:
            while left:
                read = os.preadv(self._descriptor, [left], place)
                if read == 0:
                    raise InputError(f"{self.path} has become shorter while it was read")
                left, place = left[read:], place + read
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}") from error
        if self._look() != self._state:
            raise InputError(f"{self.path} was changed while it was read: start again")
        return values

    def _look(self) -> tuple[int, int]:
        state = os.fstat(self._descriptor)
        return state.st_size, state.st_mtime_ns


def open_npy(path: Path) -> Array | StoredArray:
    """Open the array of a `.npy` file, which stays there; runs no code of the file.

    Without rows, or in Fortran's order, where rows do not lie together, it is read whole.

    Raises:
        InputError: the file is not a whole `.npy` file of plain numbers.

    """
    try:
        with path.open("rb") as file:
            shape, fortran_order, dtype = read_header(file, str(path), path.stat().st_size)
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


def read_npy(path: Path) -> Array:
    """Read the array of a `.npy` file whole; runs no code of the file.

    Raises:
        InputError: the file is not a whole `.npy` file of plain numbers.

    """
    array = open_npy(path)
    size = math.prod(array.shape) * array.dtype.itemsize
    refuse_beyond_memory(size, str(path), "take fewer rows")
    return array[:] if isinstance(array, StoredArray) else array


def write_npy(
    path: Path,
    dtype: npt.DTypeLike,
    shape: tuple[int, ...],
    blocks: Iterable[Array],
    before: Callable[[], None] = lambda: None,
) -> None:
    """Write an array that comes in blocks of rows, whole or not at all.

    `before` is called when all of it is on disk, before it takes the name.

    These are ordinary writes: on a full disk a memory map would kill the process.

    Raises:
        AecliError: the operating system refused.

    """
    kind = np.dtype(dtype)
    with files.writing(path, math.prod(shape) * kind.itemsize, before) as file:
        write_header(file, kind, shape)
        for block in blocks:
            file.write(np.ascontiguousarray(block, kind).data)


def write_header(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write the header of an array in C order."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def read_header(
    file: IO[bytes], where: str, size: int
) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Read the header of an array: its shape, whether it is in Fortran's order, and its type.

    `where` is what errors call it, `size` the size in bytes of the whole, which must fit.

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
    if dtype.hasobject or dtype.kind not in "buifc":
        raise InputError(f"{where} holds {dtype}: expected numbers; nothing of it was run")
    if dtype.itemsize == 0 or not all(0 <= length < _LONGEST_AXIS for length in shape):
        raise InputError(f"{where} has an impossible header: its shape or type has no such size")
    promised, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if promised != held:
        fault = "truncated" if held < promised else "too long"
        raise InputError(
            f"{where} is {fault}: its header promises {promised:,} bytes, it holds {held:,}"
        )
    return shape, fortran_order, dtype
