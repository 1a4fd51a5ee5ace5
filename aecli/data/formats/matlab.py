"""MATLAB's files, `.mat`: the only array that can be images, or the one that `PATH:NAME` names."""

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.hdf5_file import open_hdf5
from aecli.data.named_arrays import LABEL_NAMES, Shapes, axes_text, choose_array
from aecli.data.progress import Bar
from aecli.data.reading import first_bytes, reading
from aecli.data.single_array import dataset_of_array
from aecli.data.source import Source, located
from aecli.errors import InputError
from aecli.labels import Labelling, labels_of_array
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array
from aecli.pixels import MOST_CHANNELS

_MAGIC = b"MATLAB"
_HDF5 = b"MATLAB 7.3"
# What scipy calls MATLAB's types of numbers.
_TYPES = {
    "double": "f8", "single": "f4", "logical": "?", "int8": "i1", "uint8": "u1", "int16": "i2",
    "uint16": "u2", "int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8",
}  # fmt: skip
# What scipy raises for damage, besides its own errors.
_DAMAGE = (
    OSError, ValueError, TypeError, KeyError, IndexError, EOFError, RuntimeError, OverflowError,
    AttributeError, zlib.error,
)  # fmt: skip

Read = Callable[[str], Array]


def _open(path: Path) -> tuple[Shapes, Read]:
    """Return the shape and type of each array of numbers, in MATLAB's order, and what reads one."""
    if first_bytes(path, len(_HDF5)) == _HDF5:
        return _open_hdf5(path)
    with reading(path) as file:
        from scipy.io import loadmat, whosmat

        with _damage_of(path):
            found = whosmat(file)
    shapes = {
        name: (tuple(shape), np.dtype(_TYPES[kind]))
        for name, shape, kind in found
        if kind in _TYPES
    }

    def read(name: str) -> Array:
        shape, dtype = shapes[name]
        refuse_beyond_memory(
            2 * math.prod(shape) * dtype.itemsize,
            f"{path}:{name}",
            "save it as .npy, then it can stay on disk",
        )
        with reading(path) as file, _damage_of(path):
            values = loadmat(file, variable_names=[name])[name]
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise InputError(f"{path} is a damaged .mat file: {name} is not what it promises")
        return values

    return shapes, read


def _open_hdf5(path: Path) -> tuple[Shapes, Read]:
    """Do as `_open`, for version 7.3, which has the axes in the opposite order."""
    with open_hdf5(path) as file:
        shapes = {name: (shape[::-1], dtype) for name, (shape, dtype) in file.shapes.items()}

    def read(name: str) -> Array:
        with open_hdf5(path) as file:
            return np.asarray(file.read(name)[:]).T

    return shapes, read


@contextmanager
def _damage_of(path: Path) -> Iterator[None]:
    from scipy.io.matlab import MatReadError

    try:
        yield
    except (MatReadError, *_DAMAGE) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path} is a damaged .mat file: {reason}") from error


def _images_are_last(shape: tuple[int, ...], labels: set[int]) -> bool:
    """Return whether the last axis counts the images, as labels say, or else channels or size."""
    if len(shape) < 3:
        return False
    if (shape[-1] in labels) != (shape[0] in labels):
        return shape[-1] in labels
    if len(shape) == 4:
        return shape[2] <= MOST_CHANNELS < shape[3]
    return shape[2] > max(shape[:2])


def _images_first(shapes: Shapes) -> Shapes:
    """Return the shapes with the images on the first axis, and labels as columns."""
    labels = {
        math.prod(shape)
        for name, (shape, _) in shapes.items()
        if name.lower() in LABEL_NAMES and len(shape) == 2 and 1 in shape
    }
    ordered: dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]] = {}
    for name, (shape, dtype) in shapes.items():
        if name.lower() in LABEL_NAMES and len(shape) == 2 and 1 in shape:
            # MATLAB's numbers are floats where nothing else was said.
            ordered[name] = (math.prod(shape), 1), np.dtype(np.int64)
        elif _images_are_last(shape, labels):
            ordered[name] = (shape[-1], *shape[:-1]), dtype
        else:
            ordered[name] = shape, dtype
    return ordered


def _read(source: Source, bar: Bar) -> Dataset:
    path, named = located(source.location)
    shapes, read = _open(path)
    ordered = _images_first(shapes)
    chosen = choose_array(ordered, named, str(path))
    values = read(chosen.images)
    is_last = ordered[chosen.images] != shapes[chosen.images]
    axes = axes_text(values.shape, is_last=is_last)
    if is_last:
        values = np.ascontiguousarray(np.moveaxis(values, -1, 0))
    label = chosen.labels

    def own() -> Labelling:
        return labels_of_array(read(str(label)).reshape(-1), len(values), f"{path}:{label}")

    return dataset_of_array(source, values, own if label else None, chosen.left_out, axes)


FORMAT = Format(
    description="MATLAB's .mat",
    matches=lambda path, start: start.startswith(_MAGIC),
    read=_read,
    has_names=True,
)
