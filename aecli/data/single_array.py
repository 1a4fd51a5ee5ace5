"""Data sets of a single array: random splits, and labels from a file of their own."""

from pathlib import Path

from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.label_files import labels_for
from aecli.data.source import Source
from aecli.data.splits import split_at_random
from aecli.labels import Labelling
from aecli.npy import Array, StoredArray


def dataset_of_array(source: Source, values: Array | StoredArray) -> Dataset:
    """Return the data set of one array, images (n, h, w) or (n, h, w, c) or vectors (n, p).

    Labels come from the file `source.labels`, where there is one.

    Raises:
        InputError: the array does not hold images, or the labels do not fit it.

    """
    path = Path(source.location)
    images = to_images(values, str(path), source.rescale)
    labelling = labels_for(source, Labelling, len(images))
    return Dataset(
        name=path.name.removesuffix(".gz").removesuffix(".npy").removesuffix(".npz"),
        source=source,
        images=images,
        labels=labelling.labels,
        class_names=labelling.class_names,
        splits=split_at_random(
            len(images), labelling.labels, source.validation, source.test, source.split_seed
        ),
        has_own_splits=False,
        vectors=len(values.shape) == 2,
        left_out=labelling.left_out,
    )
