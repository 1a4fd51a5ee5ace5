"""Where distances between training images are taken.

On the first principal components of their pixels, or of features that a file has for each image.
"""

import math
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset, spread_evenly
from aecli.pca import PrincipalComponents, fit_on_training, fit_pca
from aecli.pixels import unit_rows

# Most of what tells images apart, without the noise of single pixels.
_COMPONENTS = 50
# Memory that the fit of the components may take. It does not follow from what is free: a run that
# is resumed elsewhere must find the same neighbours.
_FIT_BYTES = 1_000_000_000
# Images that are projected at a time, and their bytes as float32.
_ROWS_AT_A_TIME = 8_192
_PROJECTED_BYTES = 30_000_000
# Rows whose distances to a neighbour are taken.
_SAMPLE = 1_000

# Images whose differences are compared, their bytes as float32, and the fewest that tell something.
_COMPARED, _COMPARED_BYTES, _FEWEST_COMPARED = 1_000, 200_000_000, 200
# The least share of the mean difference of two images that those with near features may have.
_UNLIKE = 0.98

Floats = npt.NDArray[np.float32]


class TrainingFeatures:
    """The training images of a data set on their principal components, once they are asked for.

    `values` and `components` are those of their pixels. `neighbor_values` say which images are
    near: those of the features of the data set, where it has any, or else `values`.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    @cached_property
    def components(self) -> PrincipalComponents:
        """The components, fitted on the training images or on some of them, evenly spread."""
        return fit_on_training(self._dataset, _COMPONENTS, _FIT_BYTES)

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
    def neighbor_components(self) -> PrincipalComponents:
        """The components of what says which images are near.

        Raises:
            InputError: the file of features cannot be used, see `Dataset.features`.

        """
        rows = self._dataset.features_of("train")
        return self.components if rows is None else fit_pca(rows, _COMPONENTS)

    @cached_property
    def neighbor_values(self) -> Floats:
        """What says which images are near, float32 (n, q); raises as `neighbor_components`."""
        rows = self._dataset.features_of("train")
        return self.values if rows is None else self.neighbor_components.project(rows)


def order_note(dataset: Dataset) -> str | None:
    """Return in a line that features seem to be of other images; None where they do not.

    Training images with near features differ by pixels as much as any two, then: most often a file
    has its rows in another order than the data. Without features there is nothing to say.

    Raises:
        InputError: the file cannot be used, see `Dataset.features`.

    """
    features = dataset.features_of("train")
    most = min(_COMPARED, _COMPARED_BYTES // (4 * math.prod(dataset.image_shape)))
    if features is None or min(most, len(features)) < _FEWEST_COMPARED:
        return None
    chosen = spread_evenly(len(features), most)
    values = features[chosen].astype(np.float64)
    lengths = np.square(values).sum(axis=1)
    squared = lengths[:, np.newaxis] + lengths - 2 * values @ values.T
    np.fill_diagonal(squared, np.inf)
    pixels = unit_rows(dataset.sample("train", most).images)
    near = float(np.square(pixels - pixels[squared.argmin(axis=1)]).mean())
    if near <= _UNLIKE * 2 * float(pixels.var(axis=0, dtype=np.float64).mean()):
        return None
    return (
        f"images that are near by {Path(dataset.source.features or '').name} differ as much as any "
        "two: are its rows in the order of the data, validation, train, test?"
    )


def squared_distance(values: Floats, neighbor: int) -> float:
    """Return the median squared distance of rows, float32 (n, q), to their n-th neighbour.

    Where most rows are equal it is a small share of the variance of all, and where all are, 1.
    """
    import faiss

    count = len(values)
    neighbor = min(neighbor, count - 1)
    sample = values[spread_evenly(count, min(count, _SAMPLE))]
    index = faiss.IndexFlatL2(values.shape[1])
    index.add(values)
    distances, _ = index.search(sample, neighbor + 1)
    least = 1e-6 * float(values.var(axis=0, dtype=np.float64).sum())
    return max(float(np.median(distances[:, neighbor])), least) or 1.0
