"""The folder of a run: what its files are called, and those that are for people."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aecli import files
from aecli.errors import InputError


@dataclass(frozen=True)
class EpochMetrics:
    """One line of `metrics.jsonl`.

    The losses are those of the config, means over pixels; `train_loss` is the mean over the
    epoch's steps. `learning_rate` is that of the epoch's last step. `seconds` is wall time.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    images_per_second: float
    seconds: float


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run; it need not exist yet."""

    path: Path

    @property
    def last(self) -> Path:
        """Everything needed to go on."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The parameters with the lowest validation loss."""
        return self.path / "best.safetensors"

    @property
    def config(self) -> Path:
        """The resolved config, versions, command line and data, for people."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """One line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """The numbers at the end of training, as `train --json` prints them."""
        return self.path / "summary.json"

    @property
    def exists(self) -> bool:
        """Whether a run has written here."""
        return any(path.exists() for path in (self.last, self.best, self.config, self.metrics))

    def read_metrics(self) -> list[EpochMetrics]:
        """Return the epochs so far, oldest first.

        Raises:
            InputError: the file is missing or damaged.

        """
        try:
            lines = self.metrics.read_text().splitlines()
            return [EpochMetrics(**json.loads(line)) for line in lines]
        except OSError as error:
            raise InputError(f"cannot read {self.metrics}: {error.strerror or error}") from error
        except (ValueError, TypeError) as error:
            raise InputError(f"{self.metrics} is damaged: {error}") from error

    def write_metrics(self, history: list[EpochMetrics]) -> None:
        """Write all epochs so far."""
        files.write_json_lines(self.metrics, [asdict(metrics) for metrics in history])

    def read_summary(self) -> dict[str, Any] | None:
        """Return the summary, or None where training has not ended."""
        if not self.summary.exists():
            return None
        summary: dict[str, Any] = files.read_json(self.summary)
        return summary


def find_checkpoint(run: Path) -> Path:
    """Return the checkpoint that `run` means: the best of a run's folder, or a file itself.

    Raises:
        InputError: there is no such run.

    """
    if run.is_file():
        if run.suffix != ".safetensors":
            raise InputError(f"{run} is no run: expected its folder or a .safetensors file")
        return run
    best = RunFolder(run).best
    if best.is_file():
        return best
    if run.exists():
        raise InputError(f"{run} is no run: it has no {best.name}; aecli train makes one")
    raise InputError(f"no such run: {run}; aecli train -o {run} makes it")
