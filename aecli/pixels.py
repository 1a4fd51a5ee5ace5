"""The one scaling of each type of pixel to 0..1."""

from typing import Any

import numpy as np
import numpy.typing as npt


def scale_of(dtype: npt.DTypeLike) -> float:
    """Return the value that means 1: 255 for uint8, 65535 for uint16, 1 for floats."""
    kind = np.dtype(dtype)
    return 1.0 if kind.kind == "f" else float(np.iinfo(kind).max)


def unit_range(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return uint8, uint16 or float32 pixels as float32 0..1, of the same shape."""
    unit: npt.NDArray[np.float32] = np.divide(images, scale_of(images.dtype), dtype=np.float32)
    return unit
