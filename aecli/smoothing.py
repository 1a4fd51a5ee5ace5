"""The memory of training images that a run's encoder looks through, and what it sees of a split."""

import math

import numpy as np
import numpy.typing as npt

from aecli.compile_cache import compiled
from aecli.config import Config, SplitName
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.features import COMPONENTS, TrainingFeatures, squared_distance
from aecli.memory import refuse_beyond_memory
from aecli.model.layers import ImageShape
from aecli.model.smoothing import Smoother

# The bandwidth is told in squared distances to this neighbour.
_NEIGHBOR = 15
# Steps of Lloyd's algorithm that bring the means of several images to their places.
_STEPS = 5
# Images that are smoothed at a time, and the bytes of what is computed of them.
_ROWS = 1_008
_BLOCK_BYTES = 64_000_000

Floats = npt.NDArray[np.float32]


def fit_smoother(dataset: Dataset, config: Config, features: TrainingFeatures) -> Smoother | None:
    """Return the smoother of a config for the training images; None where it asks for none.

    It is a function of the training images and two settings, and not of the seed. `features` are
    those of the training images.

    Raises:
        InputError: there is only one training image, or memory is too small for the landmarks.

    """
    if not config.smoothing:
        return None
    count = dataset.count("train")
    if count < 2:
        raise InputError(
            f"--smoothing {config.smoothing:g} needs other training images beside each, and "
            f"{dataset.source.location} has {count}: expected --smoothing 0"
        )
    values, components = features.values, features.components
    memory, counts = _landmarks(values, config.landmarks)
    return Smoother.of(
        components.mean,
        components.directions,
        memory,
        np.log(counts).astype(np.float32),
        np.float32(config.smoothing * squared_distance(values, _NEIGHBOR)),
    )


def seen_bytes(config: Config, image_shape: ImageShape) -> int:
    """Return the bytes of what the encoder sees of an image; 0 where it sees the image."""
    return 4 * min(COMPONENTS, math.prod(image_shape)) if config.smoothing else 0


def coordinates(smoother: Smoother, dataset: Dataset, split: SplitName) -> Floats:
    """Return what the encoder sees of a split as coordinates, float32 (n, q)."""
    import jax

    def block(smoother: Smoother, pixels: jax.Array) -> jax.Array:
        seen: jax.Array = smoother.of_pixels(pixels).coordinates
        return seen

    count = dataset.count(split)
    landmarks, width = smoother.memory.shape
    size = 4 * count * width
    refuse_beyond_memory(size, f"what the encoder sees of {count:,} images", "--smoothing 0")
    row_bytes = 4 * (landmarks + len(smoother.mean))
    at_a_time = max(1, min(_ROWS, count, _BLOCK_BYTES // row_bytes))
    like = jax.ShapeDtypeStruct((at_a_time, *dataset.image_shape), dataset.images.dtype)
    program = compiled(block, {"program": "coordinates"}, smoother, like)
    seen = np.empty((count, width), np.float32)
    done = 0
    smoother = jax.device_put(smoother)
    for batch in dataset.batches(split, at_a_time):
        padded = np.zeros(like.shape, like.dtype)
        padded[: len(batch)] = batch
        seen[done : done + len(batch)] = program(smoother, padded)[: len(batch)]
        done += len(batch)
    return seen


def _landmarks(values: Floats, most: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return rows that stand for all of `values`, float32 (m, q), and for how many each does.

    They are the rows themselves, or else the means of a k-means clustering.
    """
    count, width = values.shape
    if count <= most:
        return values.copy(), np.ones(count, np.int64)
    import faiss

    clustering = faiss.Kmeans(
        width, most, niter=_STEPS, seed=0, min_points_per_centroid=1, max_points_per_centroid=256
    )
    clustering.train(values)
    _, found = clustering.index.search(values, 1)
    counts = np.bincount(found[:, 0], minlength=most)
    sums = np.zeros((most, width), np.float64)
    np.add.at(sums, found[:, 0], values)
    there = counts > 0
    means = (sums[there] / counts[there, None]).astype(np.float32)
    return means, counts[there]
