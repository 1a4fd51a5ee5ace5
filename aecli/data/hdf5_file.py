"""Arrays in HDF5 files, read by h5py; nothing outside of the file is followed."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from aecli.data.named_arrays import Shapes
from aecli.data.reading import reading, state_of
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array, StoredArray

MAGIC = b"\x89HDF\r\n\x1a\n"
# Those that are part of HDF5 or h5py: deflate, shuffle, fletcher32, szip, nbit, scaleoffset, lzf.
# Others are programs that HDF5 would load from a folder that the environment names.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
_MOST_OBJECTS = 100_000
_BLOCK_BYTES = 16_000_000
# What h5py raises for damage.
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, IndexError)


class Hdf5File:
    """An open HDF5 file: the shape and type of each array of numbers, and the arrays."""

    def __init__(self, path: Path, file: Any, raw: Any) -> None:
        """Take a file that h5py opened, and the file that it reads from."""
        self._path, self._raw = path, raw
        self._datasets = dict(_datasets(file, path))
        self._is_plain = file.userblock_size == 0

    @property
    def shapes(self) -> Shapes:
        """The shape and the type of each array of numbers, by its path in the file."""
        return {
            name: (tuple(dataset.shape), dataset.dtype)
            for name, dataset in self._datasets.items()
            if dataset.shape is not None and dataset.dtype.kind in "buif"
        }

    def read(self, name: str) -> Array | StoredArray:
        """Return an array; one in a piece stays in the file, others are read whole.

        Raises:
            InputError: it is stored outside of the file, in an unknown way, or too large.

        """
        dataset = self._datasets[name]
        where = f"{self._path}:{name}"
        if dataset.is_virtual or dataset.external:
            raise InputError(f"{where} is stored in other files: expected all of it in this one")
        properties = dataset.id.get_create_plist()
        filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
        if not filters <= _FILTERS:
            raise InputError(
                f"{where} is compressed by filter {max(filters - _FILTERS)}, which is no part of "
                "HDF5: save it with gzip, or as .npy"
            )
        size = math.prod(dataset.shape) * dataset.dtype.itemsize
        offset = dataset.id.get_offset()
        if (
            self._is_plain
            and dataset.chunks is None
            and dataset.dtype.kind in "uif"
            and offset is not None
            and 0 < size <= state_of(self._raw).size - offset
        ):
            self._raw.seek(offset)
            return StoredArray(self._raw, self._path, dataset.dtype, tuple(dataset.shape))
        chunk = 0 if dataset.chunks is None else math.prod(dataset.chunks) * dataset.dtype.itemsize
        refuse_beyond_memory(size + 2 * chunk, where, "save it as .npy, then it can stay on disk")
        values = np.empty(dataset.shape, dataset.dtype)
        if size:
            row_bytes = max(1, size // len(values))
            step = max(1, _BLOCK_BYTES // row_bytes)
            if dataset.chunks is not None:
                # Whole chunks: each is unpacked once.
                step = math.ceil(step / dataset.chunks[0]) * dataset.chunks[0]
            for start in range(0, len(values), step):
                rows = np.s_[start : start + step]
                dataset.read_direct(values, rows, rows)
        return values


def _datasets(file: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield all arrays by their paths; only hard links are followed, to each group once."""
    import h5py

    groups, seen, left = [("", file)], set(), _MOST_OBJECTS
    while groups:
        prefix, group = groups.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            left -= 1
            if left < 0:
                raise InputError(f"{path} holds more than {_MOST_OBJECTS:,} arrays and groups")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            found = group[name]
            if isinstance(found, h5py.Group):
                groups.append((f"{prefix}{name}/", found))
            elif isinstance(found, h5py.Dataset):
                yield f"{prefix}{name}", found


@contextmanager
def open_hdf5(path: Path) -> Iterator[Hdf5File]:
    """Open an HDF5 file; what h5py raises becomes an `InputError` that names it.

    Raises:
        InputError: it is damaged, or h5py is not installed.

    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"reading {path} needs h5py: pip install 'aecli[hdf5]'") from error
    with reading(path) as raw:
        try:
            with h5py.File(raw, "r") as file:
                yield Hdf5File(path, file, raw)
        except _DAMAGE as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(f"{path} is a damaged HDF5 file: {reason}") from error
