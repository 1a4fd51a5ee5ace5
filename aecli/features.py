"""Where distances between training images are taken.

On the first principal components of their pixels, or of features that a file has for each image.
"""

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset, at_hand
from aecli.errors import InputError
from aecli.npy import finite_float32, read_npy
from aecli.pca import PrincipalComponents, fit_on_training, fit_pca
from aecli.pixels import unit_rows

# Most of what tells images apart, without the noise of single pixels.
COMPONENTS = 50
# Memory that the fit of the components may take. It does not follow from what is free: a run that
# is resumed elsewhere must find the same neighbours.
_FIT_BYTES = 1_000_000_000
# Images that are projected at a time, and their bytes as float32.
_ROWS_AT_A_TIME = 8_192
_PROJECTED_BYTES = 30_000_000

Floats = npt.NDArray[np.float32]


class TrainingFeatures:
    """The training images of a data set on their principal components, once they are asked for.

    `values` and `components` are those of their pixels. `neighbor_values` say which images are
    neighbours: those of the file that the data set's source names, or else `values`.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    @cached_property
    def components(self) -> PrincipalComponents:
        """The components, fitted on the training images or on some of them, evenly spread."""
        return fit_on_training(self._dataset, COMPONENTS, _FIT_BYTES)

    @cached_property
    def values(self) -> Floats:
        """The training images on the components, float32 (n, q)."""
        dataset, components = self._dataset, self.components
        projected = np.empty((dataset.count("train"), len(components.directions)), np.float32)
        done = 0
        image_bytes = 4 * math.prod(dataset.image_shape)
        at_a_time = max(1, min(_ROWS_AT_A_TIME, _PROJECTED_BYTES // image_bytes))
        for batch in dataset.batches("train", at_a_time):
            projected[done : done + len(batch)] = components.project(unit_rows(batch))
            done += len(batch)
        return projected

    @cached_property
    def of_file(self) -> Floats | None:
        """The features of all images that a file has, float32 (n, f); None where pixels say it.

        Raises:
            InputError: the file cannot be read, or has not a row for each image.

        """
        return None if self._dataset.source.features is None else read_features(self._dataset)

    @cached_property
    def neighbor_values(self) -> Floats:
        """What neighbours are found by, float32 (n, q); raises as `of_file`."""
        if self.of_file is None:
            return self.values
        rows = self.of_file[self._dataset.rows("train")]
        return fit_pca(rows, COMPONENTS).project(rows)


def read_features(dataset: Dataset) -> Floats:
    """Return the features of all images of a data set, float32 (n, f), from its source's file.

    Raises:
        InputError: the file cannot be read, or has not finite numbers, a row for each image.

    """
    path = dataset.source.features or ""
    features = read_npy(at_hand(path))
    count = len(dataset.images)
    if features.ndim != 2 or features.dtype.kind not in "fiu" or 0 in features.shape:
        raise InputError(
            f"--features {path} is {features.dtype} {features.shape}: expected numbers (n, f), a "
            "row for each image"
        )
    if len(features) != count:
        raise InputError(
            f"--features {path} has {len(features):,} rows, {dataset.name} has {count:,} images: "
            "expected a row for each image, in the order of the data"
        )
    return finite_float32(features, f"--features {path} holds numbers that are not finite")
