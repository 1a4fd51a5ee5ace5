"""What is found among the training images before the first step: their neighbours, landmarks."""

import time
from dataclasses import dataclass

from aecli.clock import seconds_since
from aecli.config import Config
from aecli.data import Bar, Dataset, no_bar
from aecli.features import TrainingFeatures
from aecli.model.smoothing import Smoother, smoother_of
from aecli.neighbors import FoundNeighbors, NeighborGraph, find_neighbors
from aecli.run.checkpoint import Checkpoint
from aecli.run.folder import RunFolder
from aecli.smoothing import fit_smoother


@dataclass(frozen=True)
class Prepared:
    """The neighbours that the loss asks for, and what the encoder looks through, if anything.

    `seconds`: the wall time of finding both, or of reading them. `features` are those of the
    training images, where any were asked for.
    """

    found: FoundNeighbors | None
    smoother: Smoother | None
    seconds: float
    features: TrainingFeatures | None = None

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
    return Prepared(found, smoother, seconds_since(started), features)
