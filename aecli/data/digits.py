"""The digits that come with scikit-learn: 1,797 images of 8x8 pixels."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.rows import Rows
from aecli.data.source import Source
from aecli.errors import AecliError

# In file order: the digits of one writer stand together, so that most writers of the test split
# are not in the training split.
_SPLITS: dict[str, Rows] = {
    "train": slice(0, 1257),
    "validation": slice(1257, 1437),
    "test": slice(1437, 1797),
}


def read_digits(source: Source) -> Dataset:
    """Read the digits: 1,257 train, 180 validation and 360 test images, in file order.

    The 17 grey levels 0..16 are scaled to 0..255. Source: the test part of Alpaydin and Kaynak,
    *Optical Recognition of Handwritten Digits*, UCI (1998).
    """
    with gzip.open(_file(), "rt") as file:
        rows = np.loadtxt(file, np.uint8, delimiter=",")
    grey = np.rint(rows[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return Dataset(
        name="digits",
        source=source,
        images=to_images(grey, "digits", source.rescale),
        labels=rows[:, 64].astype(np.int64),
        class_names=tuple(str(digit) for digit in range(10)),
        splits=_SPLITS,
    )


def _file() -> Path:
    """Return the path of scikit-learn's file; importing its `load_digits` takes a second."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise AecliError("scikit-learn, which the digits come with, is missing: reinstall aecli")
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
