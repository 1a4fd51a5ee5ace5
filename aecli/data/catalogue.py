"""From what the user typed to a data set: a path that exists, or else a known name."""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from aecli.config import DEFAULT_DATASET, nearest
from aecli.data.dataset import Dataset
from aecli.data.digits import read_digits
from aecli.data.idx import read_idx_folder
from aecli.errors import InputError

DATA_VARIABLE = "AECLI_DATA_DIR"


def open_dataset(source: str) -> Dataset:
    """Read the data set at a path or of a name; a path that exists wins over a name.

    Raises:
        InputError: there is no such data set, or it is damaged.

    """
    path = Path(source).expanduser()
    if path.is_dir():
        return read_idx_folder(path)
    if path.exists():
        raise InputError(f"{source} is a file: expected a folder of IDX files, or a name")
    if source in _READERS:
        return _READERS[source]()
    if source in ("", ".") or os.sep in source:
        raise InputError(f"no such folder: {source}")
    names = tuple(_READERS)
    raise InputError(f"no data set or folder is called {source!r}{nearest(source, names)}")


def _read_mnist() -> Dataset:
    folders = [
        Path(root) / "mnist"
        for root in (os.environ.get(DATA_VARIABLE), platformdirs.user_cache_dir("aecli"))
        if root
    ]
    for folder in folders:
        if folder.is_dir():
            return read_idx_folder(folder, name="mnist")
    raise InputError(
        f"mnist is not on this machine: put its four IDX files into {folders[-1]}, or into a "
        f"folder mnist and set {DATA_VARIABLE} to the folder that holds it"
    )


_READERS: dict[str, Callable[[], Dataset]] = {
    DEFAULT_DATASET: read_digits,
    "mnist": _read_mnist,
}
