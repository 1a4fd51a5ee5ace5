"""The files that a data set was read from, which must not be written."""

from collections.abc import Iterator
from pathlib import Path

from aecli.data.dataset import Dataset
from aecli.data.named import NAMED, find_named
from aecli.data.source import located
from aecli.files import PICTURE_SUFFIXES, kind_of

# What aecli itself may have written into the folder of a data set.
_OUTPUTS = (*PICTURE_SUFFIXES, ".npy", ".json")


def files_of(dataset: Dataset) -> Iterator[Path]:
    """Yield the files, and maybe others beside them, that a data set was read from."""
    source = dataset.source
    if source.labels is not None:
        yield Path(source.labels)
    folder = (
        find_named(source.location) if source.location in NAMED else located(source.location)[0]
    )
    if folder is None or kind_of(folder) != "folder":
        if folder is not None:
            yield folder
        return
    for name in dataset.row_ids or ():
        yield folder / name
    for place in (folder, folder / "data"):
        if kind_of(place) == "folder":
            yield from (path for path in place.iterdir() if path.suffix.lower() not in _OUTPUTS)
