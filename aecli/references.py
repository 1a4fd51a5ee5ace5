"""The training images of a trained model as what later images are placed among."""

import numpy as np

from aecli.data import Dataset
from aecli.encode import TrainedModel, encode_rows
from aecli.features import TrainingFeatures, squared_distance
from aecli.model.references import NEIGHBORS, References, coordinates_of

# The bandwidths, as shares: of the median squared distance of a training image to its 15th other,
# and of the standard deviation of the codes.
_SHARE = 0.25
_CODE_SHARE = 0.1


def fit_references(dataset: Dataset, model: TrainedModel, features: TrainingFeatures) -> References:
    """Return the references of a model whose encoder alone gives codes.

    `features` are those of the training images.
    """
    components = features.neighbor_components
    coordinates, step = coordinates_of(features.neighbor_values)
    codes = encode_rows(model, dataset, "train")
    deviation = np.sqrt(codes.var(axis=0, dtype=np.float64).sum())
    distance = squared_distance(coordinates.astype(np.float32), NEIGHBORS)
    return References(
        components.mean,
        components.directions,
        step,
        coordinates,
        codes,
        np.float32(_SHARE * distance),
        # Codes that are all equal are the mode themselves.
        np.float32(2 * (_CODE_SHARE * deviation) ** 2 or 1.0),
    )
