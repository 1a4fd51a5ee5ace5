"""NumPy's file of several arrays, `.npz`: read some of them, running no code of the file."""

import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import numpy as np

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


def read_arrays(
    path: Path, choose: Callable[[Collection[str]], Iterable[str]], *, text: bool = False
) -> dict[str, Array]:
    """Read the arrays of a `.npz` file that `choose` names, of all names that there are.

    They hold numbers, and with `text` maybe texts.

    Raises:
        InputError: the file is damaged or too large, or `choose` raises it.

    """
    with reading(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                chosen = {name: members[name] for name in choose(members.keys())}
                for name, info in chosen.items():
                    _check_method(info, f"{path}, {name}")
                # Parts are put together later.
                size = sum(info.file_size for info in chosen.values()) * min(2, len(chosen))
                advice = "save one array as .npy, then it can stay on disk"
                refuse_beyond_memory(size, str(path), advice)
                return {
                    name: _read_member(archive, info, f"{path}, {name}", text=text)
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


def _read_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, *, text: bool
) -> Array:
    with archive.open(info) as file:
        # The header must promise what the archive does.
        shape, fortran_order, dtype = read_header(file, where, info.file_size, text=text)
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
