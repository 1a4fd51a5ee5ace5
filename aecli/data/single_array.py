"""Data sets of a single array: random splits, and labels from a file of their own."""

from pathlib import Path

import numpy as np

from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.idx import open_idx
from aecli.data.reading import first_bytes
from aecli.data.source import Source
from aecli.data.splits import split_at_random
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import Labels, check_labels, to_labels
from aecli.npy import Array, StoredArray, open_npy


def dataset_of_array(source: Source, values: Array | StoredArray) -> Dataset:
    """Return the data set of one array, images (n, h, w) or (n, h, w, c) or vectors (n, p).

    Labels come from the file `source.labels`, where there is one.

    Raises:
        InputError: the array does not hold images, or the labels do not fit it.

    """
    path = Path(source.location)
    images = to_images(values, str(path), source.rescale)
    labels = None
    if source.labels is not None:
        labels = _read_labels(Path(source.labels), len(images))
    return Dataset(
        name=path.name.removesuffix(".gz").removesuffix(".npy").removesuffix(".npz"),
        source=source,
        images=images,
        labels=labels,
        class_names=None,
        splits=split_at_random(
            len(images), labels, source.validation, source.test, source.split_seed
        ),
        has_own_splits=False,
        vectors=len(values.shape) == 2,
    )


def _read_labels(path: Path, rows: int) -> Labels:
    if kind_of(path) in ("nothing", "folder"):
        raise InputError(f"no such file of labels: {path}")
    is_npy = first_bytes(path).startswith(np.lib.format.MAGIC_PREFIX)
    values = open_npy(path) if is_npy else open_idx(path, ndim=1)
    # The file may be much larger than labels are: it is read when it is known to fit.
    check_labels(values.shape, values.dtype, rows, str(path))
    return to_labels(values[:], rows, str(path))
