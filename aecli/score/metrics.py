"""Measures of codes and reconstructions: plain functions on arrays."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

# How many distances are computed at a time.
_BLOCK = 8_000_000
# Float32 squares numbers of at most this size, and at least its inverse, and adds them up.
_LARGE = 1e12
# All pairs of more classes than this would take gigabytes.
_MOST_CLASSES = 5_000


def comparable(codes: Floats, *others: Floats) -> tuple[Floats, ...]:
    """Return codes (n, d), and others of the same map, in a scale in which distances are exact.

    They stay as they are, but for codes so large or small that the squares of distances would be
    infinity or 0: their median size becomes 1, and what is 1e12 times as far out goes to there. No
    measure here depends on the scale.
    """
    sizes = np.abs(codes)
    if not sizes.any() or 1 / _LARGE < sizes.max() < _LARGE:
        return codes, *others
    size = np.float64(np.median(sizes) or sizes.max())
    return tuple(
        np.clip(values / size, -_LARGE, _LARGE).astype(np.float32) for values in (codes, *others)
    )


def all_equal(rows: Floats) -> bool:
    """Return whether all rows (n, d) are the same, so that none is nearer than another."""
    return bool((rows == rows[0]).all())


def peak_signal_to_noise(mse: float) -> float:
    """Return the PSNR in dB of images in 0..1 with this mean squared error; infinity for none."""
    return -10 * math.log10(mse) if mse > 0 else math.inf


def knn_accuracy(
    train_codes: Floats,
    train_labels: Labels,
    test_codes: Floats,
    test_labels: Labels,
    neighbors: int = 5,
) -> float:
    """Return the share of test codes that have the label of most of their nearest train codes.

    Codes: float (n, d); labels: int (n,). Distances are Euclidean.
    """
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(neighbors).fit(train_codes, train_labels)
    return float(classifier.score(test_codes, test_labels))


@dataclass(frozen=True, eq=False)
class NeighborhoodScores:
    """How far codes and images have the same neighbours; each share lies in 0..1.

    `trustworthiness` and `continuity` are by the number of neighbours. `recall`, with the largest
    number, is the share of the nearest images whose codes are among the nearest codes.
    """

    trustworthiness: Mapping[int, float]
    continuity: Mapping[int, float]
    recall: float


def neighborhood_scores(
    images: Floats, codes: Floats, neighbors: Sequence[int] = (5, 15)
) -> NeighborhoodScores:
    """Compare the neighbours of images (n, p) with those of their codes (n, d), all pairs.

    `neighbors` ascend and are fewer than n / 2. Distances are Euclidean; time grows with n squared,
    memory does not. Source: Venna and Kaski, *Neighborhood preservation in nonlinear projection
    methods* (2001).

    Raises:
        ValueError: n is too small.

    """
    rows, most = len(images), neighbors[-1]
    if rows <= 2 * most:
        raise ValueError(f"{rows} rows are too few for {most} neighbours")
    trust, continuity = dict.fromkeys(neighbors, 0.0), dict.fromkeys(neighbors, 0.0)
    shared = 0
    step = max(1, _BLOCK // rows)
    for start in range(0, rows, step):
        own = np.arange(start, min(start + step, rows))
        image_order, image_rank = _ranked(images, own)
        code_order, code_rank = _ranked(codes, own)
        for count in neighbors:
            trust[count] += _beyond(code_order[:, :count], image_rank, count)
            continuity[count] += _beyond(image_order[:, :count], code_rank, count)
        near = np.take_along_axis(code_rank, image_order[:, :most], axis=1)
        shared += int((near <= most).sum())

    def share(total: float, count: int) -> float:
        return 1 - 2 * total / (rows * count * (2 * rows - 3 * count - 1))

    return NeighborhoodScores(
        {count: share(trust[count], count) for count in neighbors},
        {count: share(continuity[count], count) for count in neighbors},
        shared / (rows * most),
    )


def trustworthiness(images: Floats, codes: Floats, neighbors: int = 5) -> float:
    """Return how far the neighbours of codes (n, d) are neighbours of images (n, p) too, 0..1."""
    return neighborhood_scores(images, codes, (neighbors,)).trustworthiness[neighbors]


def silhouette(codes: Floats, labels: Labels) -> float | None:
    """Return how much nearer codes (n, d) lie to their own class than to the next one, -1..1.

    None where there is one class, where each code is a class of its own, or where all codes are the
    same. Source: Rousseeuw, *Silhouettes* (1987).
    """
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels) or all_equal(codes):
        return None
    return float(silhouette_score(codes, labels))


def centroid_correlation(images: Floats, codes: Floats, labels: Labels) -> float | None:
    """Return Pearson's correlation, over pairs of classes, of the distances of their means.

    The distances among `images` (n, p) are compared with those among `codes` (n, d). None with
    fewer than three classes or more than 5,000, or where all distances are the same.
    """
    from scipy.spatial.distance import pdist

    classes = np.unique(labels)
    if not 3 <= len(classes) <= _MOST_CLASSES:
        return None
    distances = [
        pdist(np.stack([values[labels == label].mean(axis=0) for label in classes]))
        for values in (images, codes)
    ]
    if min(float(lengths.std()) for lengths in distances) == 0:
        return None
    return float(np.corrcoef(*distances)[0, 1])


def _ranked(
    values: Floats, own: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return all rows by their distance from each of the rows `own`, and the rank of each row.

    Both are (m, n). The row itself comes last by distance, and has rank 0; the nearest has 1.
    """
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(values[own], values)
    distances[np.arange(len(own)), own] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(1, len(values) + 1)[np.newaxis], axis=1)
    rank[np.arange(len(own)), own] = 0
    return order, rank


def _beyond(chosen: npt.NDArray[np.int64], rank: npt.NDArray[np.int64], neighbors: int) -> float:
    """Return by how many ranks, in all, the chosen rows lie beyond the nearest `neighbors`."""
    ranks = np.take_along_axis(rank, chosen, axis=1)
    return float(np.maximum(ranks - neighbors, 0).sum())
