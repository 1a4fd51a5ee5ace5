"""IDX files, MNIST's format: a magic number, the lengths of the axes, then the values.

Format: http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes, Burges).
"""

import gzip
import math
import struct
from pathlib import Path
from typing import IO

import numpy as np
from isal import igzip, isal_zlib

from aecli.data.reading import reading, state_of
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array, StoredArray

# Two zeros and the type of the values; the number of axes follows.
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
MAGICS = tuple(bytes([0, 0, code]) for code in _TYPES)
GZIP_MAGIC = b"\x1f\x8b"


def open_idx(path: Path, ndim: int) -> Array | StoredArray:
    """Open an IDX file with `ndim` axes; it may be gzipped, whatever its suffix.

    Unless it is gzipped, the array stays in the file.

    Raises:
        InputError: the file is not of this kind, or is truncated, corrupt or too long.

    """
    with reading(path) as file:
        packed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if packed:
            return _read_packed(file, path, ndim)
        shape, dtype = _read_header(file, path, ndim)
        _check_size(path, shape, dtype, state_of(file).size - file.tell())
        return StoredArray(file, path, dtype, shape)


def read_idx(path: Path, ndim: int) -> Array:
    """Read an IDX file into memory; see `open_idx`."""
    array = open_idx(path, ndim)
    if not isinstance(array, StoredArray):
        return array
    size = math.prod(array.shape) * array.dtype.itemsize
    refuse_beyond_memory(size, str(path), "take fewer rows")
    return array[:]


def _read_packed(file: IO[bytes], path: Path, ndim: int) -> Array:
    try:
        with igzip.open(file) as unpacked:
            shape, dtype = _read_header(unpacked, path, ndim)
            expected = math.prod(shape) * dtype.itemsize
            refuse_beyond_memory(
                expected, str(path), "unpack it with gunzip, then it can stay on disk"
            )
            # One byte too many shows that it is too long: a gzip bomb is never unpacked.
            data = unpacked.read(expected + 1)
    except EOFError as error:
        raise InputError(
            f"{path} is truncated: its gzip stream ends early; fetch it again"
        ) from error
    except (gzip.BadGzipFile, isal_zlib.error) as error:
        raise InputError(f"{path} is corrupt gzip ({error}): fetch it again") from error
    _check_size(path, shape, dtype, len(data))
    return np.frombuffer(data, dtype).reshape(shape)


def _read_header(
    file: IO[bytes] | gzip.GzipFile, path: Path, ndim: int
) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    header = file.read(4 + 4 * ndim)
    kind = _TYPES.get(header[2]) if len(header) > 3 and header[:2] == b"\0\0" else None
    if kind is None or header[3] != ndim:
        raise InputError(
            f"{path} is not an IDX file with {ndim} axes: expected it to start with "
            f"{(MAGICS[0] + bytes([ndim])).hex()}, got {header[:4].hex() or 'nothing'}"
        )
    if len(header) < 4 + 4 * ndim:
        raise InputError(
            f"{path} is truncated inside its header: {len(header)} of {4 + 4 * ndim} bytes"
        )
    return struct.unpack(f">{ndim}I", header[4:]), np.dtype(kind)


def _check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic], held: int) -> None:
    expected = math.prod(shape) * dtype.itemsize
    if held != expected:
        fault = "truncated" if held < expected else "too long"
        more = "more" if held > expected else f"{held:,}"
        raise InputError(
            f"{path} is {fault}: its header promises {expected:,} bytes {shape}, it holds {more}; "
            "fetch it again"
        )
