"""NumPy's file of several arrays, `.npz`: read some of them, running no code of the file."""

import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from aecli.data.named_arrays import Shapes
from aecli.data.reading import reading
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array, read_header

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


# Takes the names of all arrays, and what returns the shape and the type of each that can be read;
# returns the names of those to read.
Choose = Callable[[Collection[str], Callable[[], Shapes]], Iterable[str]]


def read_arrays(path: Path, choose: Choose) -> dict[str, Array]:
    """Read the arrays of numbers or texts of a `.npz` file that `choose` names.

    Raises:
        InputError: the file is damaged or too large, or `choose` raises it.

    """
    with reading(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

                def shapes() -> Shapes:
                    return _shapes(archive, members, path)

                chosen = {name: members[name] for name in choose(members.keys(), shapes)}
                for name, info in chosen.items():
                    _check_method(info, f"{path}, {name}")
                # Parts are put together later.
                size = sum(info.file_size for info in chosen.values()) * min(2, len(chosen))
                advice = "save one array as .npy, then it can stay on disk"
                refuse_beyond_memory(size, str(path), advice)
                return {
                    name: _read_member(archive, info, f"{path}, {name}")
                    for name, info in chosen.items()
                }
        except _DAMAGE as error:
            raise InputError(f"{path} is a damaged .npz file ({error}): fetch it again") from error


def _check_method(info: zipfile.ZipInfo, where: str) -> None:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(
            f"{where} is compressed with method {info.compress_type}: expected none or "
            "deflate, as numpy writes; save it again with numpy.savez_compressed"
        )


def _shapes(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path) -> Shapes:
    found = {}
    for name, info in members.items():
        with suppress(InputError), archive.open(info) as file:
            shape, _, dtype = read_header(file, f"{path}, {name}", info.file_size, text=True)
            found[name] = shape, dtype
    return found


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Array:
    with archive.open(info) as file:
        # The header must promise what the archive does.
        shape, fortran_order, dtype = read_header(file, where, info.file_size, text=True)
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
