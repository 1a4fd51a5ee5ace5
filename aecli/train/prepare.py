"""What is found among the training images before the first step: their neighbours, landmarks."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecli.clock import seconds_since
from aecli.config import Config, SplitName
from aecli.data import Bar, Dataset, no_bar
from aecli.features import TrainingFeatures
from aecli.model.smoothing import Smoother, smoother_of
from aecli.neighbors import FoundNeighbors, NeighborGraph, find_neighbors
from aecli.run.checkpoint import Checkpoint
from aecli.run.folder import RunFolder
from aecli.smoothing import coordinates, fit_smoother

if TYPE_CHECKING:
    from aecli.processes.group import Processes

# Those that the encoder sees while it is trained.
_SPLITS: tuple[SplitName, ...] = ("train", "validation")
_SEEN = "seen."


@dataclass(frozen=True)
class Prepared:
    """The neighbours that the loss asks for, and what the encoder looks through, if anything.

    `seconds`: the wall time of finding both, or of reading them. `coordinates`: what the encoder
    sees of the training and of the validation images, float32 (n, q); None where it sees the images
    themselves, or where each epoch finds it.
    """

    found: FoundNeighbors | None
    smoother: Smoother | None
    seconds: float
    coordinates: Mapping[str, npt.NDArray[np.float32]] | None = None

    @property
    def graph(self) -> NeighborGraph | None:
        """The neighbour graph, where the loss asks for one."""
        return None if self.found is None else self.found.graph


def prepare(
    dataset: Dataset,
    config: Config,
    folder: RunFolder,
    checkpoint: Checkpoint | None = None,
    bar: Bar = no_bar,
) -> Prepared:
    """Find what a training needs to know of the training images; a run has what was found before.

    Raises:
        InputError: there are too few training images, or memory is too small.

    """
    started = time.perf_counter()
    features = TrainingFeatures(dataset)
    found = find_neighbors(dataset, config, folder, bar, features)
    if checkpoint is None:
        smoother = fit_smoother(dataset, config, features)
    else:
        smoother = smoother_of(checkpoint.tensors)
    return Prepared(found, smoother, seconds_since(started))


def prepare_together(
    processes: "Processes",
    dataset: Dataset,
    config: Config,
    folder: RunFolder,
    checkpoint: Checkpoint | None = None,
    bar: Bar = no_bar,
) -> Prepared:
    """Return what the first process finds, as `prepare` does, and what the encoder sees, in all.

    Involves all processes.

    Raises:
        InputError: as `prepare` does.

    """
    started = time.perf_counter()
    made: Prepared | None = None
    arrays: dict[str, npt.NDArray[Any]] = {}
    if processes.first:
        made = prepare(dataset, config, folder, checkpoint, bar)
        if (graph := made.graph) is not None:
            arrays |= {"neighbors": graph.neighbors, "variance": np.array([graph.variance])}
        if (smoother := made.smoother) is not None:
            arrays |= smoother.tensors()
            arrays |= {
                f"{_SEEN}{split}": coordinates(smoother, dataset, split) for split in _SPLITS
            }
    arrays = processes.share(arrays)
    seen = {n.removeprefix(_SEEN): v for n, v in arrays.items() if n.startswith(_SEEN)} or None
    if made is not None:
        return Prepared(made.found, made.smoother, made.seconds, seen)
    found = None
    if "neighbors" in arrays:
        graph = NeighborGraph(arrays["neighbors"], float(arrays["variance"][0]), exact=True)
        # The first process writes it.
        found = FoundNeighbors(graph, {}, folder.neighbors, written=True, seconds=0.0)
    return Prepared(found, smoother_of(arrays), seconds_since(started), seen)
