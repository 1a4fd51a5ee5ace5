"""Data sets of a single array: random splits, and labels from a file of their own."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.idx import open_idx
from aecli.data.reading import first_bytes
from aecli.data.source import Source, located
from aecli.data.splits import split_at_random
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import Labels, check_labels, to_labels
from aecli.npy import Array, StoredArray, open_npy

# Those that are not part of a data set's name.
_SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".h5", ".hdf5", ".mat")


def dataset_of_array(
    source: Source,
    values: Array | StoredArray,
    labels: Labels | None = None,
    class_names: tuple[str, ...] | None = None,
    left_out: Mapping[str, int] | None = None,
) -> Dataset:
    """Return the data set of one array, images (n, h, w) or (n, h, w, c) or vectors (n, p).

    Labels come from the file `source.labels`, where there is one, else they are `labels`, int64
    (n,), indices into `class_names` where these are known. `left_out` is that of `Dataset`.

    Raises:
        InputError: the array does not hold images, or the labels do not fit it.

    """
    path, _ = located(source.location)
    images = to_images(values, source.location, source.rescale)
    if source.labels is not None:
        labels, class_names = _read_labels(Path(source.labels), len(images)), None
    name = path.name.removesuffix(".gz")
    return Dataset(
        name=Path(name).stem if name.endswith(_SUFFIXES) else name,
        source=source,
        images=images,
        labels=labels,
        class_names=class_names,
        splits=split_at_random(
            len(images), labels, source.validation, source.test, source.split_seed
        ),
        has_own_splits=False,
        vectors=len(values.shape) == 2,
        left_out=left_out or {},
    )


def _read_labels(path: Path, rows: int) -> Labels:
    if kind_of(path) in ("nothing", "folder"):
        raise InputError(f"no such file of labels: {path}")
    is_npy = first_bytes(path).startswith(np.lib.format.MAGIC_PREFIX)
    values = open_npy(path) if is_npy else open_idx(path, ndim=1)
    # The file may be much larger than labels are: it is read when it is known to fit.
    check_labels(values.shape, values.dtype, rows, str(path))
    return to_labels(values[:], rows, str(path))
