"""Measures of codes and reconstructions: plain functions on arrays."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Groups = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.int32]

# How many distances are computed at a time.
_BLOCK = 4_000_000
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


class NoNumber(Exception):
    """There is no such number of these codes; the text says why, in some words."""


def all_equal(rows: Floats) -> bool:
    """Return whether all rows (n, d) are the same, so that none is nearer than another."""
    return bool((rows == rows[0]).all())


def equal_rows(rows: Floats) -> Groups:
    """Return for each of the rows (n, d) the number of its group, int64 (n,).

    Rows of a group are equal; groups are numbered in the order of their first rows.
    """
    # 0 and -0 are equal, and differ in their bytes.
    values = np.ascontiguousarray(rows) + np.zeros(1, rows.dtype)
    as_bytes = values.view(np.dtype((np.void, values.itemsize * values.shape[1]))).ravel()
    _, firsts, groups = np.unique(as_bytes, return_index=True, return_inverse=True)
    place = np.empty(len(firsts), np.int64)
    place[np.argsort(firsts)] = np.arange(len(firsts))
    return place[groups.ravel()]


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

    Codes: float (n, d); labels: int (n,). See `predict_labels`.
    """
    predicted = predict_labels(train_codes, train_labels, test_codes, neighbors)
    return float((predicted == test_labels).mean())


def predict_labels(
    voters: Floats,
    labels: Labels,
    codes: Floats,
    neighbors: int = 5,
    own: Labels | None = None,
) -> Labels:
    """Return the label that most of the nearest voters of each code have, int64 (m,).

    Distances are Euclidean. Of labels that are equally frequent the smallest wins. Of equal voters
    for whom there are not enough places among the nearest, each has the same share of a vote.
    Where no voters are equal this is scikit-learn's `KNeighborsClassifier`.

    Args:
        voters: float (n, d), the codes that vote.
        labels: int (n,), of these.
        codes: float (m, d).
        neighbors: how many vote; where there are fewer voters, all do.
        own: int (m,), which of the voters each code is, -1 for none: it has no vote on itself.

    """
    from scipy.sparse import csr_array
    from sklearn.neighbors import NearestNeighbors

    rows = np.arange(len(codes))[:, np.newaxis]
    groups = equal_rows(voters)
    _, firsts, sizes = np.unique(groups, return_index=True, return_counts=True)
    classes, of_class = np.unique(labels, return_inverse=True)
    shape = (len(firsts), len(classes))
    ballots = csr_array((np.ones(len(voters)), (groups, of_class)), shape)
    searched = min(neighbors + (own is not None), len(firsts))
    nearest = (
        NearestNeighbors(n_neighbors=searched)
        .fit(voters[firsts])
        .kneighbors(codes, return_distance=False)
    )
    is_own = np.zeros(nearest.shape, bool)
    if own is not None:
        is_own = (own >= 0)[:, np.newaxis] & (nearest == groups[own][:, np.newaxis])
    there = sizes[nearest] - is_own
    places = np.clip(neighbors - (there.cumsum(axis=1) - there), 0, there)
    share = places / np.maximum(there, 1)
    weights = csr_array(
        (share.ravel(), (np.broadcast_to(rows, nearest.shape).ravel(), nearest.ravel())),
        (len(codes), len(firsts)),
    )
    votes = weights @ ballots
    if own is not None:
        row, place = np.nonzero(is_own)
        mine = (share[row, place], (row, of_class[own[row]]))
        votes = votes - csr_array(mine, votes.shape)
    counted = votes.tocoo()
    # Most votes first, and of as many the smallest label; sums of shares are not exact.
    order = np.lexsort((counted.col, -counted.data.round(6), counted.row))
    _, best = np.unique(counted.row[order], return_index=True)
    winners: Labels = classes[counted.col[order][best]]
    return winners


@dataclass(frozen=True, eq=False)
class NeighborhoodScores:
    """How far codes and images have the same neighbours; each share lies in 0..1.

    `trustworthiness` and `continuity` are by the number of neighbours. `recall`, with the largest
    number, is the share of the nearest images whose codes are among the nearest codes.
    """

    trustworthiness: Mapping[int, float]
    continuity: Mapping[int, float]
    recall: float


def possible_neighbors(rows: int, asked: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of neighbours that can be compared among so many rows, ascending.

    Those that are asked for, or the most that there can be: fewer than half of the rows. As they
    are where there are fewer than 3 rows, among which none can be compared.
    """
    most = (rows - 1) // 2
    return tuple(sorted({min(count, most) for count in asked})) if most else tuple(asked)


def neighborhood_scores(
    images: Floats, codes: Floats, neighbors: Sequence[int] = (5, 15)
) -> NeighborhoodScores:
    """Compare the neighbours of images (n, p) with those of their codes (n, d), all pairs.

    `neighbors` ascend and are fewer than n / 2. Distances are Euclidean; time grows with n squared,
    memory does not. Source: Venna and Kaski, *Neighborhood preservation in nonlinear projection
    methods* (2001). Where distances are equal, which leaves that open:

    - The last places among the nearest are shared by all at the distance of the last of them.
    - Images at the same distance share the best of their ranks: each is as near as the others.
    - Codes at the same distance share the mean of their ranks, for a map that lays all on one spot
      says nothing of who is near; but those of equal images count as one.

    Raises:
        NoNumber: all images or all codes are equal, or there are fewer than 3.
        ValueError: n is too small for so many neighbours.

    """
    rows, most = len(images), neighbors[-1]
    if rows < 3:
        raise NoNumber("fewer than 3 images")
    if rows <= 2 * most:
        raise ValueError(f"{rows} rows are too few for {most} neighbours")
    same_image, same_code = equal_rows(images), equal_rows(codes)
    for groups, what in ((same_image, "images"), (same_code, "codes")):
        if not groups.any():
            raise NoNumber(f"all {what} are equal")
    # Rows whose images and codes are both equal.
    twins = equal_rows(np.stack([same_image, same_code], axis=1))
    twin_counts = np.bincount(twins)[twins].astype(np.int32)
    trust, continuity = dict.fromkeys(neighbors, 0.0), dict.fromkeys(neighbors, 0.0)
    shared = 0.0
    step = max(1, _BLOCK // rows)
    for start in range(0, rows, step):
        own = np.arange(start, min(start + step, rows))
        image_rank, image_ties = _ranked(_distances(images, same_image, own))
        code_rank, code_ties = _ranked(_distances(codes, same_code, own))
        is_twin = twins[own][:, np.newaxis] == twins
        # How many codes tie with each, itself included, where its twins count as one.
        apart = code_ties - twin_counts + is_twin + 1
        mean_rank = code_rank + (apart - 1) / np.float32(2)
        for count in neighbors:
            chosen = _Chosen.among(code_rank, code_ties, count)
            trust[count] += chosen.sum(_beyond(image_rank, chosen, count))
            chosen = _Chosen.among(image_rank, image_ties, count)
            continuity[count] += chosen.sum(_beyond(mean_rank, chosen, count))
        near = _share_of_places(code_rank[chosen.places], apart[chosen.places], most)
        shared += chosen.sum(near)

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


def silhouette(codes: Floats, labels: Labels) -> float:
    """Return how much nearer codes (n, d) lie to their own class than to the next one, -1..1.

    Source: Rousseeuw, *Silhouettes* (1987).

    Raises:
        NoNumber: there is one class, each code is a class of its own, or all codes are equal.

    """
    from sklearn.metrics import silhouette_score

    classes = len(np.unique(labels))
    if classes < 2:
        raise NoNumber("one class")
    if classes == len(labels):
        raise NoNumber("each image is a class")
    if all_equal(codes):
        raise NoNumber("all codes are equal")
    return float(silhouette_score(codes, labels))


def centroid_correlation(images: Floats, codes: Floats, labels: Labels) -> float:
    """Return Pearson's correlation, over pairs of classes, of the distances of their means.

    The distances among `images` (n, p) are compared with those among `codes` (n, d).

    Raises:
        NoNumber: there are fewer than three classes or more than 5,000, or all distances are equal.

    """
    from scipy.spatial.distance import pdist

    classes = np.unique(labels)
    if len(classes) < 3:
        raise NoNumber("fewer than 3 classes")
    if len(classes) > _MOST_CLASSES:
        raise NoNumber(f"more than {_MOST_CLASSES:,} classes")
    distances = [
        pdist(np.stack([values[labels == label].mean(axis=0) for label in classes]))
        for values in (images, codes)
    ]
    if min(float(lengths.std()) for lengths in distances) == 0:
        raise NoNumber("all distances are equal")
    return float(np.corrcoef(*distances)[0, 1])


def _distances(values: Floats, same: Groups, own: Groups) -> Floats:
    """Return the distances of the rows `own` of `values` from all rows, float32 (m, n).

    Rows of a group of `same` are equal: they have the very same distance from any row, and 0 from
    each other, which products of matrices alone would not give. That of a row from itself is
    infinity.
    """
    from sklearn.metrics import pairwise_distances

    _, firsts = np.unique(same, return_index=True)
    distances = pairwise_distances(values[own], values[firsts])
    distances[np.arange(len(own)), same[own]] = 0
    distances = np.take(distances, same, axis=1) if len(firsts) < len(values) else distances
    distances[np.arange(len(own)), own] = np.inf
    found: Floats = distances
    return found


def _ranked(distances: Floats) -> tuple[Ranks, Ranks]:
    """Return the rank of each distance in its row (m, n), and how many are equal to it.

    The smallest has rank 1; equal ones have the best of the ranks that they share.
    """
    order = np.argsort(distances, axis=1).astype(np.int32)
    ascending = np.take_along_axis(distances, order, axis=1)
    starts = np.ones(distances.shape, bool)
    starts[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    place = np.arange(distances.shape[1], dtype=np.int32)
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, first + 1, axis=1)
    if starts.all():
        return rank, np.ones_like(rank)
    ends = np.ones_like(starts)
    ends[:, :-1] = starts[:, 1:]
    last = np.where(ends, place, place[-1])[:, ::-1]
    ties = np.empty_like(order)
    np.put_along_axis(ties, order, np.minimum.accumulate(last, axis=1)[:, ::-1] - first + 1, axis=1)
    return rank, ties


@dataclass(frozen=True, eq=False)
class _Chosen:
    """The nearest rows of some rows: their places in a matrix (m, n), and the share of each."""

    places: tuple[npt.NDArray[np.intp], ...]
    shares: npt.NDArray[np.float64]

    @classmethod
    def among(cls, rank: Ranks, ties: Ranks, count: int) -> "_Chosen":
        """Choose the `count` nearest of each row."""
        places = np.nonzero(rank <= count)
        return cls(places, _share_of_places(rank[places], ties[places], count))

    def sum(self, values: npt.NDArray[Any]) -> float:
        """Return the sum of a value of each, by its share."""
        return float((self.shares * values).sum())


def _share_of_places(
    rank: npt.NDArray[Any], ties: npt.NDArray[Any], count: int
) -> npt.NDArray[np.float64]:
    """Return which share of a place among the `count` nearest rows have, 0..1."""
    share: npt.NDArray[np.float64] = np.clip((count + 1 - rank) / ties, 0, 1)
    return share


def _beyond(rank: npt.NDArray[Any], chosen: _Chosen, count: int) -> npt.NDArray[Any]:
    """Return by how many ranks each of the chosen rows lies beyond the nearest `count`."""
    beyond: npt.NDArray[Any] = np.maximum(rank[chosen.places] - count, 0)
    return beyond
