"""NumPy's file of one array, `.npy`: read whole, row by row, or written row by row.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from aecli import files
from aecli.errors import InputError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, in C order, from `offset` bytes on; it has at least one axis.

    Rows are asked for as of an array, with a slice of step 1; `InputError` where they cannot be
    read. These are ordinary reads: the pages of a memory map count as the process's own memory, and
    a file that is cut short below a map kills the process.
    """

    path: Path
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """The size of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def __getitem__(self, chosen: slice) -> Array:
        start, stop, _ = chosen.indices(len(self))
        rows = max(0, stop - start)
        count = rows * math.prod(self.shape[1:])
        try:
            values = np.fromfile(
                self.path, self.dtype, count, offset=self.offset + start * self.row_bytes
            )
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}") from error
        if len(values) < count:
            raise InputError(f"{self.path} has become shorter while it was read")
        return values.reshape(rows, *self.shape[1:])


def open_npy(path: Path) -> Array | StoredArray:
    """Open the array of a `.npy` file, which stays there; runs no code of the file.

    Without rows, or in Fortran's order, where rows do not lie together, it is read whole.

    Raises:
        InputError: the file is no whole `.npy` file of plain numbers.

    """
    try:
        with path.open("rb") as file:
            shape, fortran_order, dtype = read_header(file, str(path), path.stat().st_size)
            offset = file.tell()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if shape and 0 not in shape and not fortran_order:
        return StoredArray(path, offset, dtype, shape)
    flat = StoredArray(path, offset, dtype, (math.prod(shape),))[:]
    return flat.reshape(shape, order="F" if fortran_order else "C")


def read_npy(path: Path) -> Array:
    """Read the array of a `.npy` file whole; runs no code of the file.

    Raises:
        InputError: the file is no whole `.npy` file of plain numbers.

    """
    array = open_npy(path)
    return array[:] if isinstance(array, StoredArray) else array


def write_npy(
    path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...], blocks: Iterable[Array]
) -> None:
    """Write an array that comes in blocks of rows, whole or not at all.

    These are ordinary writes: on a full disk a memory map would kill the process.

    Raises:
        AecliError: the operating system refused.

    """
    kind = np.dtype(dtype)
    header = {"descr": kind.str, "fortran_order": False, "shape": shape}
    with files.writing(path, math.prod(shape) * kind.itemsize) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, kind).data)


def read_header(
    file: IO[bytes], where: str, size: int
) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Read the header of an array: its shape, whether it is in Fortran's order, and its type.

    `where` is what errors call it, `size` the size in bytes of the whole, which must fit.

    Raises:
        InputError: this is no whole array of plain numbers.

    """
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise InputError(f"{where} is of version {version} of the .npy format: expected 1 or 2")
        shape, fortran_order, dtype = read(file)
    except (ValueError, EOFError, SyntaxError, TokenError) as error:
        # The last two come from numpy's second try, for headers of Python 2.
        reason = str(error).splitlines()[0]
        raise InputError(f"{where} is no whole .npy array: {reason}") from error
    if dtype.hasobject or dtype.kind not in "buifc":
        raise InputError(f"{where} holds {dtype}: expected numbers; nothing of it was run")
    if dtype.itemsize == 0 or any(length < 0 for length in shape):
        raise InputError(f"{where} has an impossible header: {dtype} {shape}")
    promised, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if promised != held:
        fault = "truncated" if held < promised else "too long"
        raise InputError(
            f"{where} is {fault}: its header promises {promised:,} bytes, it holds {held:,}"
        )
    return shape, fortran_order, dtype
