"""What is found among the training images before the first step: which are neighbours."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecli.clock import seconds_since
from aecli.config import Config
from aecli.data import Bar, Dataset, no_bar
from aecli.features import TrainingFeatures
from aecli.neighbors import FoundNeighbors, NeighborGraph, find_neighbors
from aecli.run.folder import RunFolder

if TYPE_CHECKING:
    from aecli.processes.group import Processes


@dataclass(frozen=True)
class Prepared:
    """The features of the training images, and the neighbours that the loss asks for, if any.

    `seconds`: the wall time of finding them, or of reading them.
    """

    features: TrainingFeatures
    found: FoundNeighbors | None = None
    seconds: float = 0.0

    @property
    def graph(self) -> NeighborGraph | None:
        """The neighbour graph, where the loss asks for one."""
        return None if self.found is None else self.found.graph


def prepare(dataset: Dataset, config: Config, folder: RunFolder, bar: Bar = no_bar) -> Prepared:
    """Find what a training needs to know of the training images; a run has what was found before.

    Raises:
        InputError: there are too few training images, or memory is too small.

    """
    started = time.perf_counter()
    features = TrainingFeatures(dataset)
    found = find_neighbors(dataset, config, folder, bar, features)
    return Prepared(features, found, seconds_since(started))


def prepare_together(
    processes: "Processes",
    dataset: Dataset,
    config: Config,
    folder: RunFolder,
    bar: Bar = no_bar,
) -> Prepared:
    """Return what the first process finds, as `prepare` does, in all. Involves all processes.

    Raises:
        InputError: as `prepare` does.

    """
    started = time.perf_counter()
    made: Prepared | None = None
    arrays: dict[str, npt.NDArray[Any]] = {}
    if processes.first:
        made = prepare(dataset, config, folder, bar)
        if (graph := made.graph) is not None:
            arrays = {"neighbors": graph.neighbors, "variance": np.array([graph.variance])}
    arrays = processes.share(arrays)
    if made is not None:
        return made
    found = None
    if arrays:
        graph = NeighborGraph(arrays["neighbors"], float(arrays["variance"][0]), exact=True)
        # The first process writes it.
        found = FoundNeighbors(graph, {}, folder.neighbors, written=True, seconds=0.0)
    return Prepared(TrainingFeatures(dataset), found, seconds_since(started))
