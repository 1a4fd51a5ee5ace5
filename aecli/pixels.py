"""How each type of pixel is scaled to 0..1."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

MOST_CHANNELS = 4
# uint8, uint16 or float32 (n, h, w, c); `scale_of` says what stands for 1.
Images = npt.NDArray[Any]
# The numbers that become 0 and 1, of all pixels or, as arrays (h, w, c), of each; None for the
# scaling of their type.
Limits = tuple[float, float] | tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None
# "auto" where they are still to be found.
Rescale = Limits | Literal["auto"]


def scale_of(dtype: npt.DTypeLike) -> float:
    """Return the value that means 1: 255 for uint8, 65535 for uint16, 1 for floats."""
    kind = np.dtype(dtype)
    return 1.0 if kind.kind == "f" else float(np.iinfo(kind).max)


def is_pixel(dtype: np.dtype[Any]) -> bool:
    """Return whether numbers of this type are pixels from 0 to `scale_of` it: uint8 and uint16."""
    return dtype.kind == "u" and dtype.itemsize <= 2


def unit_range(images: Images) -> npt.NDArray[np.float32]:
    """Return uint8, uint16 or float32 pixels as float32 0..1, of the same shape."""
    unit: npt.NDArray[np.float32] = np.divide(images, scale_of(images.dtype), dtype=np.float32)
    return unit


def unit_rows(images: Images) -> npt.NDArray[np.float32]:
    """Return pixels (n, h, w, c) as float32 0..1, one row per image, (n, h * w * c)."""
    return unit_range(images.reshape(len(images), -1))


def pixel_type(dtype: np.dtype[Any], rescale: Limits) -> np.dtype[Any]:
    """Return the type that `as_pixels` gives: uint8, uint16 or float32."""
    if rescale is not None or dtype.kind == "f":
        return np.dtype(np.float32)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")


def as_pixels(values: npt.NDArray[Any], rescale: Limits) -> Images:
    """Return numbers as pixels, of the same shape, without checking their range.

    uint8 and uint16 stay what they are; bool becomes 0 and 255 in uint8; floats become float32.
    With `rescale` numbers of any kind become float32, its low end 0 and its high end 1.
    """
    if rescale is not None:
        low, high = rescale
        with np.errstate(over="ignore"):
            return ((values.astype(np.float64) - low) / (high - low)).astype(np.float32)
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    # What is too large for float32 becomes infinity, which the check of the range will find.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, pixel_type(values.dtype, None))
