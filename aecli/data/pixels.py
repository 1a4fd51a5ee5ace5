"""Arrays of any kind of pixel to images, and the one scaling of each kind to 0..1."""

import math

import numpy as np
import numpy.typing as npt

from aecli.data.dataset import Images
from aecli.errors import InputError

_MOST_CHANNELS = 4


def to_images(
    values: npt.NDArray[np.generic], where: str, rescale: tuple[float, float] | None
) -> Images:
    """Return an array as images (n, h, w, c).

    `values` may be (n, h, w, c) with 1 to 4 channels, (n, h, w), or vectors (n, p), which become
    squares where p is a square, else one line of pixels. uint8 and uint16 stay what they are;
    bool becomes 0 and 255 in uint8; floats, which must lie in 0..1, become float32. With `rescale`
    numbers of any kind become float32, its low end 0 and its high end 1.

    Raises:
        InputError: the array is no set of images, or has pixels outside their range or NaN.

    """
    images = _with_axes(values, where)
    if images.dtype.kind not in "buif":
        raise InputError(f"{where} holds {images.dtype}: expected numbers as pixels")
    if rescale is not None:
        low, high = rescale
        scaled = (images.astype(np.float64) - low) / (high - low)
        return _checked(scaled.astype(np.float32), where, f"after --rescale {low:g},{high:g} ")
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * np.uint8(255)
    if images.dtype.kind == "u" and images.dtype.itemsize <= 2:
        return np.ascontiguousarray(images.astype(images.dtype.newbyteorder("="), copy=False))
    if images.dtype.kind == "f":
        return _checked(images.astype(np.float32), where, "")
    raise InputError(
        f"{where} holds {images.dtype} pixels: expected uint8, uint16, bool or floats in 0..1; "
        f"{_advice(images)} takes them as they are"
    )


def _with_axes(values: npt.NDArray[np.generic], where: str) -> npt.NDArray[np.generic]:
    if values.ndim == 2:
        pixels = values.shape[1]
        side = math.isqrt(pixels)
        height, width = (side, side) if side * side == pixels else (1, pixels)
        values = values.reshape(len(values), height, width, 1)
    elif values.ndim == 3:
        values = values[..., np.newaxis]
    if values.ndim != 4:
        raise InputError(
            f"{where} has the shape {values.shape}: expected images (n, h, w) or (n, h, w, c), or "
            "vectors (n, p)"
        )
    if 0 in values.shape:
        raise InputError(f"{where} holds no pixels: its shape is {values.shape}")
    if values.shape[3] > _MOST_CHANNELS:
        raise InputError(
            f"{where} has the shape {values.shape}: expected 1 to 4 channels on the last axis; "
            "channels that come first are to be moved there"
        )
    return values


def _checked(images: npt.NDArray[np.float32], where: str, what: str) -> Images:
    finite = np.isfinite(images)
    if not finite.all():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), images.shape))
        raise InputError(f"{where} {what}holds NaN or infinity, first at {index}")
    if images.min() < 0 or images.max() > 1:
        raise InputError(
            f"{where} {what}has pixels from {images.min():g} to {images.max():g}: expected 0..1; "
            f"{_advice(images)} maps these to it"
        )
    return images


def _advice(images: npt.NDArray[np.generic]) -> str:
    return f"--rescale {float(images.min()):g},{float(images.max()):g}"
