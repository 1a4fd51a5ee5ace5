"""What is found among the training images before the first step: which are neighbours."""

import time
from dataclasses import dataclass

from aecli.clock import seconds_since
from aecli.config import Config
from aecli.data import Bar, Dataset, no_bar
from aecli.features import TrainingFeatures
from aecli.neighbors import FoundNeighbors, NeighborGraph, find_neighbors
from aecli.run.folder import RunFolder


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
