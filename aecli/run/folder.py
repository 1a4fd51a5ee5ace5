"""The folder of a run: what its files are called, and how to find it."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from aecli import signals
from aecli.errors import AecliError, InputError
from aecli.files import (
    LOCKS,
    kind_of,
    make_folder,
    open_regular,
    read_bytes,
    read_json,
    room,
    where_supported,
)
from aecli.validated import NotNegative, read_as

# Near the beginning of what aecli writes into a run: the key of metadata, or of its version.
_MARK = b'"aecli"'
_FIRST_BYTES = 16_384


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
    def left_out(self) -> Path:
        """The image files that could not be read and were left out, where there are any."""
        return self.path / "left-out.csv"

    @property
    def pictures(self) -> tuple[Path, Path]:
        """The map and the history that are drawn at the end, where that is asked for."""
        return self.path / "map.png", self.path / "history.png"

    @property
    def files(self) -> list[Path]:
        """All files of a run."""
        return [
            self.last,
            self.best,
            self.config,
            self.metrics,
            self.summary,
            self.neighbors,
            self.left_out,
        ]

    def refuse_existing(self, *, force: bool) -> None:
        """Raise `InputError` where a run is here and `force` does not allow replacing it.

        Files of these names that are no run's are refused in any case.
        """
        there = [path for path in self.files if path.is_symlink() or kind_of(path) != "nothing"]
        if not there:
            return
        if not any(map(_is_of_a_run, there)):
            raise InputError(
                f"{there[0]} is not of a run of aecli and would be replaced: -o names another "
                "folder"
            )
        if not force:
            raise InputError(
                f"{self.path} holds a run already: --resume resumes it, --force replaces it, "
                "-o names another folder"
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

        holder = self.path / ".aecli.lock"
        lock = FileLock(holder)
        created: list[Path] = []
        try:
            try:
                created = make_folder(self.path)
                if kind_of(holder) not in ("file", "nothing") or holder.is_symlink():
                    raise InputError(f"{holder} is no lock of aecli: move it, or name another -o")
                with where_supported(LOCKS):
                    lock.acquire(timeout=0)
                    holder.write_text(str(os.getpid()))
            except Timeout as error:
                raise InputError(
                    f"{self.path} is being trained by {_process_in(holder)}: wait for it, or name "
                    "another folder with -o"
                ) from error
            except OSError as error:
                reason = f"{error.strerror}{room(error, holder)}"
                raise AecliError(f"cannot write into {self.path}: {reason}") from error
            with signals.undoing(lambda: _tidy(holder, folders=created)):
                yield
        finally:
            _tidy(*([holder] if lock.is_locked else []), folders=created)
            lock.release()

    def describe_files(self) -> dict[str, int]:
        """Return the names and sizes in bytes of the files here."""
        return {
            path.name: path.stat().st_size
            for path in sorted(self.path.iterdir())
            if path.is_file() and not path.name.startswith(".")
        }

    def read_summary(self) -> dict[str, float | None] | None:
        """Return the numbers of the summary that others read; None where training has not ended.

        They are `test_mse`, `pca_mse` and `seconds`; None stands for one that is not known.

        Raises:
            InputError: the file is damaged.

        """
        if kind_of(self.summary) != "file":
            return None
        summary = read_json(self.summary)
        return asdict(read_as(_Summary, summary, str(self.summary), others=True))


@dataclass(frozen=True)
class _Summary:
    """The fields of a summary that are read."""

    test_mse: NotNegative | None = None
    pca_mse: NotNegative | None = None
    seconds: NotNegative | None = None


def _is_of_a_run(path: Path) -> bool:
    """Return whether a file says that aecli wrote it into a run; it may be damaged beyond that."""
    if kind_of(path) != "file":
        return False
    try:
        with open_regular(path) as file:
            start = file.read(_FIRST_BYTES)
    except OSError:
        return False
    return _MARK in start


def _tidy(*paths: Path, folders: list[Path]) -> None:
    """Remove files, and those of the folders, deepest first, in which nothing is left."""
    with suppress(OSError):
        for path in paths:
            path.unlink(missing_ok=True)
        for path in folders:
            path.rmdir()


def _process_in(holder: Path) -> str:
    try:
        return f"process {int(read_bytes(holder)[:20])}"
    except (AecliError, ValueError):
        # It has only just begun, or ended.
        return "another process"


def folder_of(run: Path) -> RunFolder:
    """Return the folder of a run that is named by its folder or by one of its checkpoints."""
    return RunFolder(run.parent if kind_of(run) == "file" else run)


def find_checkpoint(run: Path) -> Path:
    """Return the checkpoint that `run` means: the best of a run's folder, or a file itself.

    Raises:
        InputError: there is no such run.

    """
    kind = kind_of(run)
    if kind == "file":
        if run.suffix != ".safetensors":
            raise InputError(f"{run} is not a run: expected its folder or a .safetensors file")
        return run
    folder, place = RunFolder(run), shlex.quote(str(run))
    if kind_of(folder.best) == "file":
        return folder.best
    if kind_of(folder.last) == "file":
        raise InputError(
            f"{run} has no whole epoch yet: aecli train --resume -o {place} resumes it"
        )
    if kind == "folder":
        raise InputError(f"{run} is not a run: it has no {folder.best.name}; aecli train makes one")
    raise InputError(f"no such run: {run}; aecli train DATASET -o {place} makes it")
