"""The files that a data set was read from, which must not be written."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from aecli.data.dataset import Dataset
from aecli.data.named import NAMED, find_named
from aecli.data.source import located, shards
from aecli.errors import InputError
from aecli.files import PICTURE_SUFFIXES, kind_of, refuse_inputs

# What aecli itself may have written into the folder of a data set.
_OUTPUTS = (*PICTURE_SUFFIXES, ".npy", ".json")


def refuse_data_files(outputs: Sequence[Path], dataset: Dataset) -> None:
    """Raise `InputError` where a file to write is one of a data set, or would lie among its images.

    There it would be one of the images the next time.
    """
    refuse_inputs(outputs, files_of(dataset))
    if not dataset.row_ids:
        return
    location, _ = located(dataset.source.location)
    folders = {place.resolve() for place in {(location / name).parent for name in dataset.row_ids}}
    for path in outputs:
        if path.parent.resolve() in folders:
            raise InputError(f"{path} lies among the images that are read: name another folder")


def files_of(dataset: Dataset) -> Iterator[Path]:
    """Yield the files, and maybe others beside them, that a data set was read from."""
    source = dataset.source
    if source.labels is not None:
        yield located(source.labels)[0]
    if source.features is not None:
        yield Path(source.features)
    folder = (
        find_named(source.location) if source.location in NAMED else located(source.location)[0]
    )
    if folder is None or kind_of(folder) != "folder":
        if folder is not None:
            yield from shards(folder)
        return
    names = chain(dataset.row_ids or (), dataset.broken)
    for name in dict.fromkeys(chain.from_iterable(map(_files_of_row, names))):
        yield folder / name
    for place in (folder, folder / "data"):
        if kind_of(place) == "folder":
            yield from (path for path in place.iterdir() if path.suffix.lower() not in _OUTPUTS)


def _files_of_row(row_id: str) -> Iterator[str]:
    """Yield the file that a row comes from: `a.tif#3` may be a page of `a.tif`."""
    yield row_id
    file, mark, page = row_id.rpartition("#")
    if mark and page.isdecimal():
        yield file
