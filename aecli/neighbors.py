"""The neighbour graph of the training images: which of them the map is to keep together."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli import files, tensor_file
from aecli.clock import seconds_since
from aecli.config import Config
from aecli.data import Bar, Dataset, no_bar
from aecli.errors import InputError
from aecli.features import TrainingFeatures
from aecli.losses import needs_neighbors
from aecli.memory import refuse_beyond_memory
from aecli.run.folder import RunFolder
from aecli.validated import NotNegative, read_as

# More training images than this are compared within nearby cells only: the time to compare all
# pairs grows with the square of their number.
MOST_EXACT = 200_000
_CELLS_SEARCHED = 24
# Rows of one search, and of one product of sparse matrices.
_ROWS_AT_A_TIME = 8_192
# Ends of paths that are counted at a time: some 50 bytes each.
_PATHS_AT_A_TIME = 20_000_000
# Of each neighbour of each image, in the graph and in the matrices of its paths.
_BYTES_OF_A_NEIGHBOR = 40
_TENSOR = "neighbors"
_VERSION = 1

Floats = npt.NDArray[np.float32]
Neighbors = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class NeighborGraph:
    """The neighbours of each training image.

    `neighbors`: int32 (n, k), rows of the training split, the best connected first. `variance`:
    the mean over the pixels, in 0..1, of their variance. `exact`: whether every pair of
    images was compared.
    """

    neighbors: Neighbors
    variance: float
    exact: bool


@dataclass(frozen=True)
class _Stored:
    """What the file of a graph says besides its tensor."""

    sha256: str
    key: dict[str, Any]
    variance: NotNegative
    exact: bool


@dataclass
class FoundNeighbors:
    """A neighbour graph, the key that says what it depends on, and whether its file is written.

    `seconds`: the wall time of finding it, or of reading it.
    """

    graph: NeighborGraph
    key: Mapping[str, Any]
    path: Path
    written: bool
    seconds: float


def find_neighbors(
    dataset: Dataset,
    config: Config,
    folder: RunFolder,
    bar: Bar = no_bar,
    features: TrainingFeatures | None = None,
) -> FoundNeighbors | None:
    """Return the graph of these data that is in a run's folder, or else a new one.

    None where no term of the config's loss needs it. `features` are those of the training images.

    Raises:
        InputError: there are too few training images, or the file of features cannot be used.

    """
    if not needs_neighbors(config):
        return None
    started = time.perf_counter()
    features = features or TrainingFeatures(dataset)
    key = _key(dataset, config.neighbors)
    kept = load_graph(folder.neighbors, key, (dataset.count("train"), config.neighbors))
    graph = kept or neighbor_graph(dataset, config.neighbors, bar, features)
    seconds = seconds_since(started)
    return FoundNeighbors(graph, key, folder.neighbors, kept is not None, seconds)


def _key(dataset: Dataset, neighbors: int) -> dict[str, Any]:
    """Return all that a graph depends on, in JSON's types."""
    key = {
        "version": _VERSION,
        "fingerprint": dataset.fingerprint,
        "splits_digest": dataset.splits_digest,
        "neighbors": neighbors,
    }
    digest = dataset.features_digest
    return key if digest is None else {**key, "features": digest}


def neighbor_graph(
    dataset: Dataset,
    neighbors: int,
    bar: Bar = no_bar,
    features: TrainingFeatures | None = None,
) -> NeighborGraph:
    """Find the neighbours of each training image of a data set; `features` are those of its images.

    They are the images that the most short paths lead to. A path has one step, from an image to one
    of its k nearest, or two, the second of which may go backwards: images with the same nearest
    images are connected (shared neighbours: Jarvis and Patrick, *Clustering using a similarity
    measure based on shared near neighbors*, 1973). An image that is near by chance has few such
    paths, so more of these neighbours are of the same kind than of the k nearest.

    Raises:
        InputError: there are no more training images than neighbours asked for, or memory is too
            small for so many.

    """
    count = dataset.count("train")
    if count <= neighbors:
        raise InputError(
            f"--neighbors {neighbors} needs more training images than that, and "
            f"{dataset.source.location} has {count:,}: expected fewer neighbours"
        )
    size = _BYTES_OF_A_NEIGHBOR * count * neighbors
    refuse_beyond_memory(size, f"a graph of {neighbors:,} neighbours", "lower --neighbors")
    features = features or TrainingFeatures(dataset)
    values, variance = features.neighbor_values, features.components.variance
    with bar("finding neighbours", count) as advance:
        nearest = nearest_rows(values, neighbors, report=advance)
    return NeighborGraph(_most_connected(nearest), variance, exact=count <= MOST_EXACT)


def nearest_rows(
    features: Floats, count: int, *, report: Callable[[int], None] = lambda rows: None
) -> Neighbors:
    """Return the nearest other rows of each row of `features`, int32 (n, count), nearest first.

    `features`: float32 (n, p). Distances are Euclidean; beyond `MOST_EXACT` rows only those in
    nearby cells of a k-means clustering are searched.
    """
    import faiss

    rows, width = features.shape
    features = np.ascontiguousarray(features)
    index: Any = faiss.IndexFlatL2(width)
    if rows > MOST_EXACT:
        index = faiss.index_factory(width, f"IVF{4 * round(rows**0.5)},Flat")
        index.nprobe = _CELLS_SEARCHED
        # faiss samples the rows that it clusters, and would warn of cells with few of them.
        index.cp.min_points_per_centroid = 1
        index.train(features)
    index.add(features)
    nearest = np.empty((rows, count), np.int32)
    for start in range(0, rows, _ROWS_AT_A_TIME):
        block = features[start : start + _ROWS_AT_A_TIME]
        _, found = index.search(block, count + 1)
        nearest[start : start + len(block)] = _without_itself(found, start)
        report(len(block))
    return nearest


def share_in_common(first: Neighbors, second: Neighbors) -> Floats:
    """Return for each row of `first`, int32 (n, k), the share of it that `second` has there too.

    Returns float32 (n,) in 0..1.
    """
    shares = np.empty(len(first), np.float32)
    for start in range(0, len(first), _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        same = first[rows, :, np.newaxis] == second[rows, np.newaxis, :]
        shares[rows] = same.any(axis=2).mean(axis=1)
    return shares


def to_bytes(graph: NeighborGraph, key: Mapping[str, Any]) -> bytes:
    """Return a graph and its key as the bytes of their file."""
    about = {"key": key, "variance": graph.variance, "exact": graph.exact}
    return tensor_file.to_bytes({_TENSOR: graph.neighbors}, about)


def load_graph(path: Path, key: Mapping[str, Any], shape: tuple[int, int]) -> NeighborGraph | None:
    """Return the graph in a file, or None where there is none with this key and shape, (n, k)."""
    if files.kind_of(path) != "file":
        return None
    try:
        tensors, about = tensor_file.read(path)
        tensor_file.check_digest(about, tensors)
        stored = read_as(_Stored, about, "its metadata")
    except InputError:
        # Damaged, or of an older version: the neighbours are found again.
        return None
    neighbors = tensors.get(_TENSOR)
    if stored.key != key or neighbors is None:
        return None
    if neighbors.shape != shape or neighbors.dtype != np.int32:
        return None
    if neighbors.min(initial=0) < 0 or neighbors.max(initial=0) >= len(neighbors):
        return None
    return NeighborGraph(neighbors, stored.variance, stored.exact)


def _without_itself(found: npt.NDArray[np.int64], start: int) -> Neighbors:
    """Return the rows found for each row from `start` on, (m, k + 1), without the row itself.

    Where equal rows have crowded it out, the last one found is left out instead.
    """
    own = np.arange(start, start + len(found))[:, np.newaxis]
    is_own = found == own
    is_own[~is_own.any(axis=1), -1] = True
    # Nearby cells may hold too few rows: the row itself stands in for those that are missing.
    found = np.where(found < 0, own, found)
    others: Neighbors = found[~is_own].reshape(len(found), -1).astype(np.int32)
    return others


def _most_connected(nearest: Neighbors) -> Neighbors:
    """Return for each row those that the most short paths lead to, as many as it has nearest."""
    from scipy.sparse import csr_array

    rows, count = nearest.shape
    # Where paths lead to fewer rows than that, the nearest stay.
    chosen = nearest.copy()
    starts = np.arange(0, rows * count + 1, count)
    steps = csr_array((np.ones(rows * count, np.int32), nearest.ravel(), starts), (rows, rows))
    both_ways = (steps + steps.T).tocsr()
    # Two steps lead to at most so many rows.
    ends = min(rows, count + 2 * count**2)
    at_a_time = max(1, min(_ROWS_AT_A_TIME, _PATHS_AT_A_TIME // ends))
    for start in range(0, rows, at_a_time):
        block = steps[start : start + at_a_time]
        paths = (block + block @ both_ways).tocoo()
        others = paths.col != paths.row + start
        # One number for each end of paths: sorts by row, then most paths first, then by end.
        most = int(paths.data.max(initial=0))
        key = paths.row[others].astype(np.int64) * (most + 1) + (most - paths.data[others])
        key = np.sort(key * rows + paths.col[others])
        row, end = key // rows // (most + 1), key % rows
        rank = np.arange(len(key)) - np.searchsorted(row, np.arange(block.shape[0]))[row]
        kept = rank < count
        chosen[start + row[kept], rank[kept]] = end[kept]
    return chosen
