"""A run in memory: the files of its folder as bytes, and the model that they hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aecli import files
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import RunFolder, find_checkpoint
from aecli.run.states import EpochMetrics


@dataclass(frozen=True, eq=False)
class RunInMemory:
    """A run without its folder.

    `files`: the content of each file by its name; the neighbour graph, which is found again where
    it is needed, is not among them. `checkpoint`: the best model. `history`: one entry per epoch.
    Pickled, it is its files alone, and they are checked when they are read again.
    """

    files: Mapping[str, bytes]
    checkpoint: Checkpoint
    history: tuple[EpochMetrics, ...]

    def write(self, folder: RunFolder, *, force: bool) -> None:
        """Write the files, all or none.

        Raises:
            InputError: a run is there and `force` does not allow replacing it.
            AecliError: the operating system refused.

        """
        files.refuse_file(folder.path, "expected the folder of a run")
        folder.refuse_existing(force=force)
        with folder.locked(), files.writing_together() as together:
            # The last checkpoint says what the others are, and takes its name last.
            for path in sorted(folder.files, key=lambda one: one == folder.last):
                if path.name in self.files:
                    together.write(path, self.files[path.name])
                else:
                    together.remove(path)

    def __reduce__(self) -> tuple[Callable[..., "RunInMemory"], tuple[Any, ...]]:
        return _read_from, (dict(self.files),)


def read_run(path: Path) -> RunInMemory:
    """Read a run's folder.

    Raises:
        InputError: there is no run, or it is damaged.

    """
    checkpoint, folder = load(find_checkpoint(path)), RunFolder(path)
    kept = [one for one in folder.files if one != folder.neighbors]
    found = {one.name: files.read_bytes(one) for one in kept if files.kind_of(one) == "file"}
    history = load(folder.last).history if folder.last.name in found else ()
    return RunInMemory(found, checkpoint, history)


def _read_from(found: Mapping[str, bytes]) -> RunInMemory:
    with TemporaryDirectory(prefix="aecli-") as place:
        for name, content in found.items():
            # A name alone: whoever made a pickle does not choose the folder.
            (Path(place) / Path(name).name).write_bytes(content)
        return read_run(Path(place))
