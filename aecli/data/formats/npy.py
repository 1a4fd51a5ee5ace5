"""NumPy's file of one array, `.npy`."""

from pathlib import Path

import numpy as np

from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.progress import Bar
from aecli.data.single_array import dataset_of_array
from aecli.data.source import Source
from aecli.npy import open_npy


def _read(source: Source, bar: Bar) -> Dataset:
    return dataset_of_array(source, open_npy(Path(source.location)))


FORMAT = Format(
    description=".npy",
    matches=lambda path, first_bytes: first_bytes.startswith(np.lib.format.MAGIC_PREFIX),
    read=_read,
)
