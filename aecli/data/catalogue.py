"""From what the user typed to a data set: a path that exists, or else a known name."""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from aecli.config import nearest
from aecli.data.dataset import Dataset
from aecli.data.digits import read_digits
from aecli.data.idx import read_idx_folder
from aecli.errors import InputError
from aecli.files import kind_of

DATA_VARIABLE = "AECLI_DATA_DIR"
_MNIST_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"


def open_dataset(source: str) -> Dataset:
    """Read the data set at a path or of a name; a path that exists wins over a name.

    Raises:
        InputError: there is no such data set, or it is damaged.

    """
    path = Path(source).expanduser()
    kind = kind_of(path) if source else "nothing"
    if kind == "folder":
        return read_idx_folder(path)
    if kind == "file":
        raise InputError(f"{source} is a file: expected a folder of IDX files, or a name")
    if source in _READERS:
        return _READERS[source]()
    if not source or os.sep in source:
        raise InputError(f"no such folder: {source}")
    names = tuple(_READERS)
    raise InputError(f"no data set or folder is called {source!r}{nearest(source, names)}")


def reopen_dataset(source: str) -> Dataset:
    """Read the data set that a `Dataset.source` means: no folder can take the place of a name.

    Raises:
        InputError: the data set is no longer there, or it is damaged.

    """
    return _READERS[source]() if source in _READERS else open_dataset(source)


def _read_mnist() -> Dataset:
    folders = [
        Path(root).expanduser() / "mnist"
        for root in (os.environ.get(DATA_VARIABLE), platformdirs.user_cache_dir("aecli"))
        if root
    ]
    for folder in folders:
        if kind_of(folder) == "folder":
            return read_idx_folder(folder, name="mnist")
    raise InputError(
        f"mnist is not on this machine: put its four IDX files, for example from {_MNIST_MIRROR}, "
        f"into {folders[-1]}, or into a folder mnist and set {DATA_VARIABLE} to the one above it"
    )


_READERS: dict[str, Callable[[], Dataset]] = {
    "digits": read_digits,
    "mnist": _read_mnist,
}
