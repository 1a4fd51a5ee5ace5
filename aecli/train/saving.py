"""What a training writes into the run's folder, and when."""

import math
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import jax
import numpy as np

from aecli import files, neighbors
from aecli.config import Config
from aecli.csv_text import csv_bytes
from aecli.data import DataDescription
from aecli.errors import AecliError
from aecli.model.parameters import Parameters
from aecli.model.references import References
from aecli.run.checkpoint import Checkpoint, flatten, to_bytes, unflatten
from aecli.run.folder import RunFolder
from aecli.run.states import Best, EpochMetrics, PartialEpoch, ShuffleLayout
from aecli.train.environment import environment
from aecli.train.prepare import Prepared
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
        prepared: Prepared,
        *,
        broken: Mapping[str, str],
        resumed_at: int | None,
    ) -> None:
        """Take what all checkpoints of a training have in common.

        `broken`: why image files could not be read and are left out, by their names. `resumed_at`
        is the epoch of the checkpoint that it resumes from; None for a new run.
        """
        self._folder, self._config, self._data, self._layout = folder, config, data, layout
        found = prepared.found
        self._found, self._environment, self._broken = found, environment(), broken
        # None until the folder is made, with the first files.
        self._identity = folder.identity
        # Files of another run, or of an earlier state of this one.
        self._stale = [folder.summary]
        if resumed_at is None:
            self._stale.append(folder.best)
        if found is None:
            self._stale.append(folder.neighbors)
        if not broken:
            self._stale.append(folder.left_out)
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
        """Write the run's files, all or none; the last checkpoint takes its name last.

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
        last = Checkpoint(
            config,
            data,
            epoch,
            best,
            state,
            self._layout,
            progress.partial,
            history,
            self._environment,
        )
        settings = {"config": config.to_json(), "data": data.to_json(), **_versions()}
        with files.writing_together() as together:
            if epoch:
                together.write(folder.best, to_bytes(self.best_model(progress)))
            found = self._found
            if found is not None and not found.written:
                together.write(found.path, neighbors.to_bytes(found.graph, found.key))
            metrics = [asdict(epoch) for epoch in history]
            together.write(folder.metrics, files.json_lines_bytes(metrics))
            together.write(folder.config, files.json_bytes(settings))
            if self._broken:
                together.write(
                    folder.left_out, csv_bytes(("file", "reason"), list(self._broken.items()))
                )
            for path in self._stale:
                together.remove(path)
            together.write(folder.last, to_bytes(last))
        if found is not None:
            found.written = True
        self._stale = []
        self._identity = folder.identity
        self._saved_at = time.perf_counter()
        self._epoch_saved = epoch

    def best_model(self, progress: Progress, references: References | None = None) -> Checkpoint:
        """Return the model of the best epoch, as the other commands read it."""
        found = {} if references is None else references.tensors()
        parameters = flatten(progress.best_parameters, "parameters")
        return Checkpoint(
            self._config,
            self._data,
            progress.best.epoch,
            progress.best,
            parameters | found,
            self._layout,
            environment=self._environment,
        )

    def add_references(self, progress: Progress, references: References) -> None:
        """Write the best model once more, with what it places images among.

        Raises:
            AecliError: the folder is not the one that it was, or the operating system refused.

        """
        self._check_folder()
        files.write_bytes(self._folder.best, to_bytes(self.best_model(progress, references)))

    def current_model(self, progress: Progress) -> Checkpoint:
        """Return the model of the epoch that was trained last, as the best one is saved."""
        tensors = flatten(progress.state.parameters, "parameters")
        return Checkpoint(self._config, self._data, progress.epoch, progress.best, tensors)

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


class NotSaving:
    """What a process has in place of a `Saver` where another one saves."""

    has_saved = False

    def is_due(self) -> bool:
        """Return that it is not."""
        return False

    def is_saved(self, epoch: int) -> bool:
        """Return that whoever saves sees to it."""
        return True

    def save(self, progress: Progress) -> None:
        """Do nothing."""


def _versions() -> dict[str, Any]:
    """Return the command line and the versions that this process runs."""
    from importlib.metadata import version

    packages = ("aecli", "jax", "flax", "optax", "numpy")
    versions = {package: version(package) for package in packages}
    return {
        "command_line": sys.argv,
        "versions": {"python": platform.python_version(), **versions},
    }
