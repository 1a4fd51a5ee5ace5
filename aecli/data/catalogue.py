"""Open a data set by its path or its name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from numpy.lib.format import MAGIC_PREFIX

from aecli.addresses import SCHEMES, address_of, expand_braces, is_address, split_member
from aecli.config import nearest
from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.formats import FORMATS
from aecli.data.named import EMBEDDED, NAMED, as_files_error, read_named
from aecli.data.progress import Bar, no_bar
from aecli.data.ranges import take_range
from aecli.data.reading import first_bytes
from aecli.data.remote_array import open_remote_npy
from aecli.data.shapes import take_shape
from aecli.data.single_array import dataset_of_array
from aecli.data.source import IN_MEMORY, Source, located, shards
from aecli.data.staged import staged
from aecli.errors import AecliError, InputError
from aecli.files import kind_of
from aecli.labels import Labelling, labels_of_array
from aecli.npy import Array, StoredArray
from aecli.remote.objects import RemoteFile, look


def open_dataset(source: Source | str, bar: Bar = no_bar) -> Dataset:
    """Read the data set at a path, at an address or of a name; a path that exists wins over a name.

    Raises:
        InputError: there is no such data set, or it is damaged.
        AecliError: it could not be fetched, the cache folder cannot be written, or memory is short.

    """
    source = Source(source) if isinstance(source, str) else source
    if source.features is not None:
        source = replace(source, features=_absolute(source.features))
    if source.features is not None and is_address(source.features):
        return _with_features_elsewhere(source, bar)
    if source.labels is not None and is_address(source.labels):
        return _with_labels_elsewhere(source, bar)
    if is_address(source.location):
        with _memory(source.location):
            return _settled(_read_elsewhere(source, bar))
    location = source.location
    path, name = located(str(_expanded(location)))
    if location and kind_of(shards(path)[0]) != "nothing":
        # Of `y.npz:train` too: the last part of a path may be anything.
        labels = None if source.labels is None else _absolute(source.labels)
        member = "" if name is None else f":{name}"
        whole = replace(source, location=f"{path.resolve()}{member}", labels=labels)
        with _memory(location):
            return _settled(_read_path(whole, bar))
    if location in dataset_names():
        with _memory(location):
            return _settled(read_named(source, bar))
    if (scheme := location.partition("://")[0]) != location:
        # What follows may have secrets.
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise InputError(f"no data are read at {scheme}:// addresses: expected {known}, or a path")
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


def _with_features_elsewhere(source: Source, bar: Bar) -> Dataset:
    """Read a data set whose features are at an address."""
    address = source.features or ""
    copy = staged(address, bar, whole=True)
    with _saying(address, copy):
        dataset = open_dataset(replace(source, features=str(copy)), bar)
        # They are read when they are asked for, where an error would name the copy.
        _ = dataset.features
    named = replace(dataset.source, features=address)
    return replace(dataset, source=named, features_file=copy)


def _with_labels_elsewhere(source: Source, bar: Bar) -> Dataset:
    """Read a data set whose labels are at an address."""
    labels = address_of(source.labels or "")
    address, member = split_member(labels)
    copy = staged(address, bar, whole=True)
    local = replace(source, labels=str(copy) if member is None else f"{copy}:{member}")
    with _saying(address, copy):
        dataset = open_dataset(local, bar)
    return replace(dataset, source=replace(dataset.source, labels=labels))


def _read_elsewhere(source: Source, bar: Bar) -> Dataset:
    """Read a data set at an address: a `.npy` file by ranges, others from a copy of them."""
    location = address_of(source.location)
    labels = None if source.labels is None else _absolute(source.labels)
    source = replace(source, location=location, labels=labels)
    if (array := _npy_at(location)) is not None:
        return dataset_of_array(source, array)
    address, member = split_member(location)
    copy = staged(address, bar)
    local = replace(source, location=str(copy) if member is None else f"{copy}:{member}")
    with _saying(address, copy):
        dataset = _read_path(local, bar)
    return replace(dataset, source=replace(dataset.source, location=location))


def _npy_at(address: str) -> Array | StoredArray | None:
    """Return the array of the `.npy` file at an address; None where another thing is there."""
    if len(expand_braces(address)) > 1 or address.endswith("/"):
        return None
    state = look(address)
    if state is None or not state.has_ranges:
        return None
    file = RemoteFile(address, state)
    is_npy = file.read(0, min(file.size, len(MAGIC_PREFIX))) == MAGIC_PREFIX
    return open_remote_npy(file) if is_npy else None


@contextmanager
def _saying(address: str, copy: Path) -> Iterator[None]:
    """Name the address, not the copy of what is there, in errors."""
    try:
        yield
    except AecliError as error:
        raise type(error)(str(error).replace(str(copy), address)) from error


def _absolute(name: str) -> str:
    """Return a path from the root on, or an address without its secrets."""
    return address_of(name) if is_address(name) else str(_expanded(name).resolve())


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
    first, *others = shards(path)
    form = format_of(first)
    if others and not form.has_shards:
        raise InputError(f"{path} names several files: expected tar or Parquet, or one file alone")
    if name is not None and not form.has_names:
        raise InputError(f"{path} has no arrays with names, such as {name}: leave out :{name}")
    if source.labels is not None and form.labels_refusal is not None:
        raise InputError(f"{path} {form.labels_refusal}: leave out --labels")
    return form.read(source, bar)
