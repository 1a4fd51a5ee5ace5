"""Data sets of a single array: random splits, and labels beside it or in a file of their own."""

from collections.abc import Callable, Mapping
from pathlib import Path

from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.label_files import labels_for
from aecli.data.source import Source, located
from aecli.data.splits import split_at_random
from aecli.labels import Labelling
from aecli.npy import Array, StoredArray

# Those that are not part of a data set's name.
_SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".h5", ".hdf5", ".mat")


def dataset_of_array(
    source: Source,
    values: Array | StoredArray,
    own: Callable[[], Labelling] | None = None,
    left_out: Mapping[str, int] | None = None,
    axes: str | None = None,
) -> Dataset:
    """Return the data set of one array, images (n, h, w) or (n, h, w, c) or vectors (n, p).

    Labels come from the file `source.labels`, where there is one, else they are its `own`, if any.
    `left_out` and `axes` are those of `Dataset`.

    Raises:
        InputError: the array does not hold images, or the labels do not fit it.

    """
    path, _ = located(source.location)
    images = to_images(values, source.location, source.rescale)
    rows = len(images)
    overridden = 0 if own is None else rows
    labelling = labels_for(source, own or Labelling, rows, overridden=overridden)
    name = path.name.removesuffix(".gz")
    return Dataset(
        name=Path(name).stem if name.endswith(_SUFFIXES) else name,
        source=source,
        images=images,
        labels=labelling.labels,
        class_names=labelling.class_names,
        splits=split_at_random(
            rows, labelling.labels, source.validation, source.test, source.split_seed
        ),
        has_own_splits=False,
        vectors=len(values.shape) == 2,
        left_out={**(left_out or {}), **labelling.left_out},
        axes=axes,
    )
