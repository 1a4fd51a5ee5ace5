"""The folder of a run: what its files are called, and how to find it."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aecli import files
from aecli.errors import AecliError, InputError


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run; it need not exist yet."""

    path: Path

    @property
    def last(self) -> Path:
        """Everything needed to resume."""
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
        """One line per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """The numbers at the end of training, as `train --json` prints them."""
        return self.path / "summary.json"

    @property
    def neighbors(self) -> Path:
        """The neighbour graph of the training images, where the loss asks for one."""
        return self.path / "neighbors.safetensors"

    @property
    def exists(self) -> bool:
        """Whether a run has written here."""
        return any(
            files.kind_of(path) != "nothing"
            for path in (self.last, self.best, self.config, self.metrics, self.summary)
        )

    @property
    def identity(self) -> tuple[int, int] | None:
        """What tells this folder from another one at the same path; None where there is none."""
        try:
            state = self.path.stat()
        except OSError:
            return None
        return state.st_dev, state.st_ino

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process alone; the folder is created where it is missing.

        The operating system lets go of the lock when its holder ends, however that comes. Where
        nothing was written, nothing is left.

        Raises:
            InputError: another process holds it.
            AecliError: the operating system refused.

        """
        from filelock import FileLock, Timeout

        holder = self.path / ".lock"
        lock = FileLock(holder)
        created: list[Path] = []
        try:
            try:
                created = files.make_folder(self.path)
                lock.acquire(timeout=0)
                holder.write_text(str(os.getpid()))
            except Timeout as error:
                raise InputError(
                    f"{self.path} is being trained by {_process_in(holder)}: wait for it, or name "
                    "another folder with -o"
                ) from error
            except OSError as error:
                reason = f"{error.strerror}{files.room(error, holder)}"
                raise AecliError(f"cannot write into {self.path}: {reason}") from error
            yield
        finally:
            if lock.is_locked:
                with suppress(OSError):
                    holder.unlink(missing_ok=True)
                lock.release()
            with suppress(OSError):
                for path in created:
                    path.rmdir()

    def describe_files(self) -> dict[str, int]:
        """Return the names and sizes in bytes of the files here."""
        return {
            path.name: path.stat().st_size
            for path in sorted(self.path.iterdir())
            if path.is_file() and not path.name.startswith(".")
        }

    def read_summary(self) -> dict[str, Any] | None:
        """Return the summary, or None where training has not ended.

        Raises:
            InputError: the file is damaged.

        """
        if files.kind_of(self.summary) != "file":
            return None
        summary = files.read_json(self.summary)
        if not isinstance(summary, dict):
            raise InputError(f"{self.summary} is damaged: expected one JSON object")
        return summary


def _process_in(holder: Path) -> str:
    try:
        return f"process {int(holder.read_text())}"
    except (OSError, ValueError):
        # It has only just begun, or ended.
        return "another process"


def folder_of(run: Path) -> RunFolder:
    """Return the folder of a run that is named by its folder or by one of its checkpoints."""
    return RunFolder(run.parent if files.kind_of(run) == "file" else run)


def find_checkpoint(run: Path) -> Path:
    """Return the checkpoint that `run` means: the best of a run's folder, or a file itself.

    Raises:
        InputError: there is no such run.

    """
    kind = files.kind_of(run)
    if kind == "file":
        if run.suffix != ".safetensors":
            raise InputError(f"{run} is not a run: expected its folder or a .safetensors file")
        return run
    folder, place = RunFolder(run), shlex.quote(str(run))
    if files.kind_of(folder.best) == "file":
        return folder.best
    if files.kind_of(folder.last) == "file":
        raise InputError(
            f"{run} has no whole epoch yet: aecli train --resume -o {place} resumes it"
        )
    if kind == "folder":
        raise InputError(f"{run} is not a run: it has no {folder.best.name}; aecli train makes one")
    raise InputError(f"no such run: {run}; aecli train DATASET -o {place} makes it")
