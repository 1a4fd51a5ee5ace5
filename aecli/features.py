"""Training images on their first principal components, where distances between them are taken."""

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset
from aecli.pca import PrincipalComponents, fit_on_training
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
    """The training images of a data set on their principal components, once they are asked for."""

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
