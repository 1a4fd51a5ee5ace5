"""What a training writes into the run's folder, and when."""

import math
import platform
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import jax
import numpy as np

from aecli import files
from aecli.config import Config
from aecli.data import DataDescription
from aecli.errors import AecliError
from aecli.model.parameters import Parameters
from aecli.neighbors import FoundNeighbors
from aecli.run.checkpoint import Checkpoint, flatten, save, unflatten
from aecli.run.folder import RunFolder
from aecli.run.states import Best, EpochMetrics, PartialEpoch, ShuffleLayout
from aecli.train.step import TrainState

# Small data sets have epochs of milliseconds: saving each of them would cost more than training.
_SECONDS_BETWEEN_SAVES = 2.0


@dataclass
class Progress:
    """Where a training stands: between two epochs, or within one."""

    state: TrainState
    epoch: int = 0
    partial: PartialEpoch | None = None
    best: Best = Best(0, math.inf)  # noqa: RUF009
    best_parameters: Parameters = None
    history: list[EpochMetrics] = field(default_factory=list)

    @property
    def buffers_done(self) -> int:
        """How many shuffle buffers of the next epoch are trained on already."""
        return self.partial.buffers if self.partial else 0

    def ended(self, config: Config) -> bool:
        """Return whether there are as many epochs as asked for, or patience has run out."""
        return config.ended(self.epoch, self.best.epoch)

    def add(self, metrics: EpochMetrics) -> None:
        """Add an epoch; where it is the best one, keep a copy of its parameters."""
        self.history.append(metrics)
        self.epoch = metrics.epoch
        self.partial = None
        if metrics.validation_loss < self.best.validation_loss:
            self.best = Best(metrics.epoch, metrics.validation_loss)
            # The next epoch overwrites the state's own memory.
            self.best_parameters = jax.tree.map(np.array, self.state.parameters)


def restore(like: TrainState, checkpoint: Checkpoint) -> Progress:
    """Return the progress of a checkpoint, with states of the structure of `like`.

    Raises:
        InputError: its tensors do not fit its config.

    """
    tensors = checkpoint.tensors
    return Progress(
        state=TrainState(
            unflatten(like.parameters, "parameters", tensors),
            unflatten(like.optimizer, "optimizer", tensors),
        ),
        epoch=checkpoint.epoch,
        partial=checkpoint.partial,
        best=checkpoint.best,
        best_parameters=unflatten(like.parameters, "best", tensors),
        history=list(checkpoint.history),
    )


class Saver:
    """Writes a run's files; the last checkpoint alone decides where a resumed run continues."""

    def __init__(
        self,
        folder: RunFolder,
        config: Config,
        data: DataDescription,
        layout: ShuffleLayout | None,
        neighbors: FoundNeighbors | None,
        *,
        resumed_at: int | None,
    ) -> None:
        """Take what all checkpoints of a training have in common.

        `resumed_at` is the epoch of the checkpoint that it resumes from; None for a new run.
        """
        self._folder, self._config, self._data, self._layout = folder, config, data, layout
        # None until the folder is made, with the first files.
        self._identity = folder.identity
        self._neighbors = neighbors
        # Files of another run, or of an earlier state of this one.
        self._stale = [folder.summary]
        if resumed_at is None:
            self._stale += [folder.best, folder.metrics, folder.config]
        if neighbors is None:
            self._stale.append(folder.neighbors)
        self._saved_at = -math.inf
        self._epoch_saved = resumed_at or 0

    @property
    def has_saved(self) -> bool:
        """Whether anything was saved by now."""
        return self._saved_at > -math.inf

    def is_due(self) -> bool:
        """Return whether the last save was long enough ago for another one."""
        return time.perf_counter() - self._saved_at > _SECONDS_BETWEEN_SAVES

    def is_saved(self, epoch: int) -> bool:
        """Return whether a checkpoint of this epoch, or of none, is on the disk."""
        return self._epoch_saved == epoch

    def save(self, progress: Progress) -> None:
        """Write the run's files.

        Stale files go before the new checkpoint takes its name, and no earlier: a full disk leaves
        them.

        Raises:
            AecliError: a number is not finite, the folder is not the one that it was, or the
                operating system refused.

        """
        folder, config, data = self._folder, self._config, self._data
        self._check_folder()
        best, epoch = progress.best, progress.epoch
        # Within the first epoch there are no best ones yet.
        best_parameters = progress.best_parameters if epoch else progress.state.parameters
        state = {
            **flatten(progress.state.parameters, "parameters"),
            **flatten(progress.state.optimizer, "optimizer"),
            **flatten(best_parameters, "best"),
        }
        history = tuple(progress.history)
        last = Checkpoint(config, data, epoch, best, state, self._layout, progress.partial, history)
        save(folder.last, last, self._remove_stale)
        if epoch:
            parameters = flatten(best_parameters, "parameters")
            save(folder.best, Checkpoint(config, data, best.epoch, best, parameters, self._layout))
        if self._neighbors is not None:
            self._neighbors.save()
        files.write_json_lines(folder.metrics, [asdict(metrics) for metrics in history])
        files.write_json(
            folder.config,
            {"config": config.to_json(), "data": data.to_json(), **_environment()},
        )
        self._identity = folder.identity
        self._saved_at = time.perf_counter()
        self._epoch_saved = epoch

    def write_summary(self, summary: Any) -> None:
        """Write the numbers at the end of training, a dataclass.

        Raises:
            AecliError: the folder is not the one that it was, or the operating system refused.

        """
        self._check_folder()
        files.write_json(self._folder.summary, asdict(summary))

    def _check_folder(self) -> None:
        """Raise `AecliError` where the folder was moved or removed: none is made in its place."""
        if self._identity not in (None, self._folder.identity):
            raise AecliError(
                f"{self._folder.path} was moved or removed while it was trained: the training ends "
                "here; where the folder was moved to, aecli train --resume -o FOLDER resumes it"
            )

    def _remove_stale(self) -> None:
        while self._stale:
            files.remove(self._stale.pop())


def _environment() -> dict[str, Any]:
    """Return the command line and the versions that this process runs."""
    from importlib.metadata import version

    packages = ("aecli", "jax", "flax", "optax", "numpy")
    versions = {package: version(package) for package in packages}
    return {
        "command_line": sys.argv,
        "versions": {"python": platform.python_version(), **versions},
    }
