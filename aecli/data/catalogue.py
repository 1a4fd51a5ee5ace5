"""Open a data set by its path or its name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aecli.config import nearest
from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.formats import FORMATS
from aecli.data.named import EMBEDDED, NAMED, as_files_error, read_named
from aecli.data.progress import Bar, no_bar
from aecli.data.ranges import take_range
from aecli.data.reading import first_bytes
from aecli.data.shapes import take_shape
from aecli.data.single_array import dataset_of_array
from aecli.data.source import IN_MEMORY, Source, located
from aecli.errors import AecliError, InputError
from aecli.files import kind_of
from aecli.labels import Labelling, labels_of_array
from aecli.npy import Array


def open_dataset(source: Source | str, bar: Bar = no_bar) -> Dataset:
    """Read the data set at a path or of a name; a path that exists wins over a name.

    Raises:
        InputError: there is no such data set, or it is damaged.
        AecliError: it could not be fetched, the cache folder cannot be written, or memory is short.

    """
    source = Source(source) if isinstance(source, str) else source
    if source.features is not None:
        source = replace(source, features=str(_expanded(source.features).resolve()))
    location = source.location
    path, name = located(str(_expanded(location)))
    if kind_of(path) != "nothing" and location:
        # Of `y.npz:train` too: the last part of a path may be anything.
        labels = None if source.labels is None else str(_expanded(source.labels).resolve())
        member = "" if name is None else f":{name}"
        whole = replace(source, location=f"{path.resolve()}{member}", labels=labels)
        with _memory(location):
            return _settled(_read_path(whole, bar))
    if location in dataset_names():
        with _memory(location):
            return _settled(read_named(source, bar))
    if (error := as_files_error(location)) is not None:
        raise error
    if not location or os.sep in location:
        raise InputError(f"no such file or folder: {location}")
    raise InputError(
        f"no data set, file or folder is called {location!r}{nearest(location, dataset_names())}"
    )


def dataset_of(values: Array, source: Source, labels: Array | None = None) -> Dataset:
    """Return the data set of an array in memory, as `open_dataset` reads the same array of a file.

    `values`: images (n, h, w) or (n, h, w, c), or vectors (n, p). `source` is at `IN_MEMORY`.
    `labels` (n,), if any, are classes as `labels_of_array` reads them.

    Raises:
        InputError: these are no images, or the labels do not fit them.
        AecliError: memory is short.

    """

    def own() -> Labelling:
        return Labelling() if labels is None else labels_of_array(labels, len(values), "y")

    with _memory(source.location):
        return _settled(dataset_of_array(source, values, own))


def _settled(dataset: Dataset) -> Dataset:
    """Return a data set as read with what its source asks for done to it."""
    if dataset.source.no_labels:
        dataset = replace(dataset, labels=None, class_names=None)
    return take_shape(take_range(dataset))


def _expanded(name: str) -> Path:
    """Return a path with `~` expanded; unlike Path.expanduser, keep an unknown user."""
    return Path(os.path.expanduser(name))  # noqa: PTH111


def reopen_dataset(source: Source, bar: Bar = no_bar) -> Dataset:
    """Read the data set of a `Dataset.source`; unlike in `open_dataset`, names win over paths.

    Raises:
        InputError: the data set is no longer there, or it is damaged.
        AecliError: it could not be fetched, the cache folder cannot be written, or memory is short.

    """
    if source.location in dataset_names():
        with _memory(source.location):
            return _settled(read_named(source, bar))
    if source.location == IN_MEMORY:
        raise InputError(
            "the run was trained on an array in memory, which is in no file: save it as X.npy; "
            "aecli encode RUN X.npy makes RUN/codes.npy, to name in place of RUN"
        )
    return open_dataset(source, bar)


@contextmanager
def _memory(location: str) -> Iterator[None]:
    """Make an `AecliError` of an allocation that fails; most sizes are weighed before."""
    try:
        yield
    except MemoryError as error:
        raise AecliError(
            f"memory is short to read {location}: end other programs, or take fewer or smaller "
            "images"
        ) from error


def dataset_names() -> tuple[str, ...]:
    """Return the names of data sets that `open_dataset` knows."""
    return (EMBEDDED, *NAMED)


def format_of(path: Path) -> Format:
    """Return the format of a file or a folder.

    Raises:
        InputError: it has none of the known formats, or cannot be read.

    """
    kind = kind_of(path)
    if kind not in ("file", "folder"):
        raise InputError(f"{path} is neither a file nor a folder: expected {_expected()}")
    start = b"" if kind == "folder" else first_bytes(path)
    for candidate in FORMATS:
        if candidate.matches(path, start):
            return candidate
    raise InputError(f"{path} is not in a format that aecli reads: expected {_expected()}")


def _expected() -> str:
    known = (form.description for form in FORMATS if not form.is_refused)
    return f"{', '.join(known)}, or a name"


def _read_path(source: Source, bar: Bar) -> Dataset:
    path, name = located(source.location)
    form = format_of(path)
    if name is not None and not form.has_names:
        raise InputError(f"{path} has no arrays with names, such as {name}: leave out :{name}")
    if source.labels is not None and form.labels_refusal is not None:
        raise InputError(f"{path} {form.labels_refusal}: leave out --labels")
    return form.read(source, bar)
