"""Validate arrays and convert them to images."""

import math

import numpy as np

from aecli.data.stored import StoredImages, blocks, extremes
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array, StoredArray
from aecli.pixels import MOST_CHANNELS, Images, as_pixels, pixel_type

# What a row takes in memory besides its pixels: its label, and its place while splits are drawn.
_ROW_BYTES = 40


def to_images(
    values: Array | StoredArray, where: str, rescale: tuple[float, float] | None
) -> Images | StoredImages:
    """Convert an array to images (n, h, w, c); an array in a file stays there.

    `values` may be (n, h, w, c) with 1 to 4 channels, (n, h, w), or vectors (n, p), which become
    square images where p is a square number, else images one pixel high. `where` is what errors
    call the array. The pixels are those of `aecli.pixels.as_pixels`; floats, and the results of
    `rescale`, must lie in 0..1.

    Raises:
        InputError: the array does not hold images, or has pixels out of range or NaN.

    """
    shape = _image_shape(values.shape, where)
    refuse_beyond_memory(
        # A row that is read is converted too.
        shape[0] * _ROW_BYTES + math.prod(shape[1:]) * (values.dtype.itemsize + 16),
        f"{where} of the shape {shape}, even on disk,",
        "take fewer or smaller images",
    )
    if values.dtype.kind not in "buif":
        raise InputError(f"{where} holds {values.dtype}: expected numbers as pixels")
    is_float = values.dtype.kind == "f"
    is_pixel = values.dtype.kind == "b" or (values.dtype.kind == "u" and values.dtype.itemsize <= 2)
    if not (rescale or is_float or is_pixel):
        raise InputError(
            f"{where} holds {values.dtype} pixels: expected uint8, uint16, bool or floats in 0..1; "
            f"{_advice(*extremes(values))} maps them to 0..1"
        )
    images: Images | StoredImages
    if isinstance(values, StoredArray):
        images = StoredImages(values, shape, rescale)
    else:
        images = _convert(values.reshape(shape), where, rescale)
    if is_float or rescale:
        _check_range(images, where, rescale)
    return images


def _convert(values: Array, where: str, rescale: tuple[float, float] | None) -> Images:
    """Return an array as pixels; in blocks, as intermediate results may take 8 times the memory."""
    kind = pixel_type(values.dtype, rescale)
    if rescale is None and kind == values.dtype:
        return as_pixels(values, None)
    advice = "save the array as .npy, then it can stay on disk"
    refuse_beyond_memory(values.size * kind.itemsize, f"{where}, as {kind},", advice)
    images = np.empty(values.shape, kind)
    start = 0
    for block in blocks(values):
        images[start : start + len(block)] = as_pixels(block, rescale)
        start += len(block)
    return images


def _image_shape(shape: tuple[int, ...], where: str) -> tuple[int, int, int, int]:
    """Return the shape (n, h, w, c) of the images in an array of this shape."""
    if len(shape) == 2:
        rows, pixels = shape
        side = math.isqrt(pixels)
        height, width = (side, side) if side * side == pixels else (1, pixels)
        images = (rows, height, width, 1)
    elif len(shape) == 3:
        images = (*shape, 1)
    elif len(shape) == 4:
        images = shape
    else:
        raise InputError(
            f"{where} has the shape {shape}: expected images (n, h, w) or (n, h, w, c), or vectors "
            "(n, p)"
        )
    if 0 in images:
        raise InputError(f"{where} holds no pixels: its shape is {images}")
    if images[3] > MOST_CHANNELS:
        raise InputError(
            f"{where} has the shape {images}: expected 1 to 4 channels on the last axis; move "
            "channels there that come first"
        )
    return images


def _check_range(
    images: Images | StoredImages, where: str, rescale: tuple[float, float] | None
) -> None:
    what = "" if rescale is None else f"after --rescale {rescale[0]:g},{rescale[1]:g} "
    lowest, highest, row = math.inf, -math.inf, 0
    for block in blocks(images):
        finite = np.isfinite(block)
        if not finite.all():
            first, *rest = (int(i) for i in np.unravel_index(np.argmin(finite), block.shape))
            index = (row + first, *rest)
            raise InputError(
                f"{where} {what}holds NaN, infinity or a number too large for float32, first at "
                f"{index}"
            )
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
        row += len(block)
    if lowest < 0 or highest > 1:
        low, high = rescale or (0.0, 1.0)
        advice = _advice(*(low + (high - low) * value for value in (lowest, highest)))
        raise InputError(
            f"{where} {what}has pixels from {lowest:g} to {highest:g}: expected 0..1; "
            f"{advice} maps them to that range"
        )


def _advice(lowest: float, highest: float) -> str:
    low, high = (str(value).removesuffix(".0") for value in (lowest, highest))
    return f"--rescale {low},{high}"
