"""Validate arrays and convert them to images."""

import math

import numpy as np

from aecli.data.stored import StoredImages, blocks, extremes
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array, StoredArray
from aecli.pixels import (
    MOST_CHANNELS,
    Images,
    Limits,
    Rescale,
    as_pixels,
    is_pixel,
    pixel_type,
)

# What a row takes in memory besides its pixels: its label, its place while splits are drawn, and
# its lowest and its highest pixel.
_ROW_BYTES = 60


def to_images(values: Array | StoredArray, where: str, rescale: Rescale) -> Images | StoredImages:
    """Convert an array to images (n, h, w, c); an array in a file stays there.

    `values` may be (n, h, w, c) with 1 to 4 channels, (n, h, w), or vectors (n, p), which become
    square images where p is a square number, else images one pixel high. `where` is what errors
    call the array. The pixels are those of `aecli.pixels.as_pixels`; with "auto" they stay the
    numbers that they are, until `aecli.data.ranges.take_range` knows their range.

    Raises:
        InputError: the array does not hold images, or its type does not say what 0 and 1 are.

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
    if rescale is None and not (is_pixel(values.dtype) or values.dtype.kind in "bf"):
        low, high = (str(value).removesuffix(".0") for value in extremes(values))
        raise InputError(
            f"{where} holds {values.dtype} pixels: expected uint8, uint16, bool or floats in 0..1; "
            f"--rescale {low},{high} maps them to 0..1"
        )
    if isinstance(values, StoredArray):
        return StoredImages(values, shape, None if rescale == "auto" else rescale)
    images = values.reshape(shape)
    if rescale == "auto":
        return as_pixels(images, None) if values.dtype.kind == "b" else images
    return to_pixels(images, where, rescale)


def to_pixels(images: Array | StoredImages, where: str, rescale: Limits) -> Images | StoredImages:
    """Return images of any numbers as pixels; in a file they become pixels when they are read.

    In blocks: intermediate results may take 8 times the memory.

    Raises:
        InputError: memory has no room for them.

    """
    if isinstance(images, StoredImages):
        return StoredImages(images.array, images.shape, rescale)
    kind = pixel_type(images.dtype, rescale)
    if rescale is None and kind == images.dtype:
        return as_pixels(images, None)
    advice = "save the array as .npy, then it can stay on disk"
    refuse_beyond_memory(images.size * kind.itemsize, f"{where}, as {kind},", advice)
    pixels = np.empty(images.shape, kind)
    start = 0
    for block in blocks(images):
        pixels[start : start + len(block)] = as_pixels(block, rescale)
        start += len(block)
    return pixels


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
