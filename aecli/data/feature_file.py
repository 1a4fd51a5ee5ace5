"""A file of features: a row of numbers for each image, which say which images are near."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from aecli.errors import InputError
from aecli.npy import finite_float32, read_npy

# Their squares, added up, fit float32, and do not vanish there.
_SMALLEST, _LARGEST = 1e-12, 1e12

Floats = npt.NDArray[np.float32]


def read_features(path: Path, images: int, name: str) -> Floats:
    """Return the features of all images of a data set, float32 (n, f), from a `.npy` file.

    `images` is their number, `name` what errors call the data set.

    Raises:
        InputError: the file cannot be read, or has not finite numbers of common sizes, a row for
            each image.

    """
    features = read_npy(path)
    if features.ndim != 2 or features.dtype.kind not in "fiu" or 0 in features.shape:
        raise InputError(
            f"--features {path} is {features.dtype} {features.shape}: expected numbers (n, f), a "
            "row for each image"
        )
    if len(features) != images:
        raise InputError(
            f"--features {path} has {len(features):,} rows, {name} has {images:,} images: "
            "expected a row for each image, in the order of the data"
        )
    numbers = finite_float32(features, f"--features {path} holds numbers that are not finite")
    largest = float(np.abs(numbers).max())
    if not (largest == 0 or _SMALLEST < largest < _LARGEST):
        raise InputError(
            f"--features {path} holds numbers up to {largest:.3g}: expected the largest between "
            f"{_SMALLEST:g} and {_LARGEST:g}; scale them"
        )
    return numbers
