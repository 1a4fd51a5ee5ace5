"""The memory of training images that a run's encoder looks through, and what it sees of a split."""

import math
from itertools import chain

import numpy as np
import numpy.typing as npt

from aecli.compile_cache import compiled
from aecli.config import Config, SplitName
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.features import COMPONENTS, TrainingFeatures
from aecli.memory import refuse_beyond_memory
from aecli.model.layers import ImageShape
from aecli.model.smoothing import FeatureMemory, Smoother

# The bandwidth is told in squared distances to this neighbour: the median over some images.
_NEIGHBOR = 15
_SAMPLE = 1_000
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
    near, components, of_features = features.neighbor_values, features.components, None
    cells = _cells(near, config.landmarks)
    memory, counts = _means(features.values, cells)
    if (found := features.neighbor_components) is not None:
        of_features = FeatureMemory(found.mean, found.directions, _means(near, cells)[0])
    return Smoother.of(
        components.mean,
        components.directions,
        memory,
        np.log(counts).astype(np.float32),
        np.float32(config.smoothing * _squared_distance(near)),
        of_features,
    )


def seen_bytes(config: Config, image_shape: ImageShape) -> int:
    """Return the bytes of what the encoder sees of an image; 0 where it sees the image."""
    return 4 * min(COMPONENTS, math.prod(image_shape)) if config.smoothing else 0


def coordinates(smoother: Smoother, dataset: Dataset, split: SplitName) -> Floats:
    """Return what the encoder sees of a split as coordinates, float32 (n, q)."""
    import jax

    def block(smoother: Smoother, inputs: jax.Array) -> jax.Array:
        return smoother.coordinates(inputs)

    count = dataset.count(split)
    landmarks, width = smoother.memory.shape
    size = 4 * count * width
    refuse_beyond_memory(size, f"what the encoder sees of {count:,} images", "--smoothing 0")
    numbers = len((smoother.features or smoother).mean)
    at_a_time = max(1, min(_ROWS, count, _BLOCK_BYTES // (4 * (landmarks + numbers))))
    by_pixels = smoother.features is None
    batches = (dataset.batches if by_pixels else dataset.feature_batches)(split, at_a_time)
    first = next(batches)
    like = jax.ShapeDtypeStruct((at_a_time, *first.shape[1:]), first.dtype)
    program = compiled(block, {"program": "coordinates"}, smoother, like)
    seen = np.empty((count, width), np.float32)
    done = 0
    smoother = jax.device_put(smoother)
    for batch in chain([first], batches):
        padded = np.zeros(like.shape, like.dtype)
        padded[: len(batch)] = batch
        seen[done : done + len(batch)] = program(smoother, padded)[: len(batch)]
        done += len(batch)
    return seen


def _cells(values: Floats, most: int) -> npt.NDArray[np.int64] | None:
    """Return which of at most `most` cells of a k-means clustering each row lies in, int64 (n,).

    None where there are no more rows: each stands for itself.
    """
    count, width = values.shape
    if count <= most:
        return None
    import faiss

    clustering = faiss.Kmeans(
        width, most, niter=_STEPS, seed=0, min_points_per_centroid=1, max_points_per_centroid=256
    )
    clustering.train(values)
    _, found = clustering.index.search(values, 1)
    cells: npt.NDArray[np.int64] = found[:, 0]
    return cells


def _means(
    values: Floats, cells: npt.NDArray[np.int64] | None
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the mean of the rows of each cell that has some, and how many it has."""
    if cells is None:
        return values.copy(), np.ones(len(values), np.int64)
    counts = np.bincount(cells)
    sums = np.zeros((len(counts), values.shape[1]), np.float64)
    np.add.at(sums, cells, values)
    there = counts > 0
    means = (sums[there] / counts[there, None]).astype(np.float32)
    return means, counts[there]


def _squared_distance(values: Floats) -> float:
    """Return the median squared distance of rows, float32 (n, q), to their 15th neighbour.

    Where most rows are equal it is a small share of the variance of all, and where all are, 1.
    """
    import faiss

    count = len(values)
    neighbor = min(_NEIGHBOR, count - 1)
    sample = values[np.linspace(0, count - 1, min(count, _SAMPLE)).round().astype(np.int64)]
    index = faiss.IndexFlatL2(values.shape[1])
    index.add(values)
    distances, _ = index.search(sample, neighbor + 1)
    least = 1e-6 * float(values.var(axis=0, dtype=np.float64).sum())
    return max(float(np.median(distances[:, neighbor])), least) or 1.0
