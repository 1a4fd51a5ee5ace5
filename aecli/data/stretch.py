"""Convert the pixels of arrays to another size and other channels, as image files are."""

from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.pixels import Images

# What red, green and blue weigh in gray (ITU-R BT.601), as in Pillow.
GRAY_WEIGHTS = (0.299, 0.587, 0.114)


def fit(images: Images, shape: tuple[int, int, int]) -> Images:
    """Return images (n, h, w, c) of any type of pixel, converted to the shape (h, w, c).

    Stretched by Lanczos' filter; RGB becomes gray, and gray is repeated. Other channels must be as
    many as they are.
    """
    height, width, channels = shape
    if images.shape[3] == 3 and channels == 1:
        images = _to_gray(images)
    if images.shape[1:3] != (height, width):
        fitted = np.empty((len(images), height, width, images.shape[3]), images.dtype)
        for image, target in zip(images, fitted, strict=True):
            for channel in range(images.shape[3]):
                target[..., channel] = _stretch(image[..., channel], (width, height))
        images = fitted
    return images if images.shape[3] == channels else np.repeat(images, channels, axis=3)


def _to_gray(images: Images) -> Images:
    if images.dtype == np.uint8:
        from PIL import Image

        # Pillow's own rounding, so that arrays and files agree.
        gray = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
        return np.stack(gray)[..., np.newaxis] if gray else images[..., :1]
    values: npt.NDArray[np.float64] = images.astype(np.float64) @ np.array(GRAY_WEIGHTS)
    if images.dtype.kind == "u":
        values = np.rint(values)
    gray_values: Images = values.astype(images.dtype)
    return gray_values[..., np.newaxis]


def _stretch(pixels: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Return the pixels (h, w) stretched to (width, height)."""
    from PIL import Image

    kind = pixels.dtype
    image = Image.fromarray(pixels if kind == np.uint8 else pixels.astype(np.float32))
    stretched: npt.NDArray[Any] = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    if kind == np.uint16:
        # Stretching may overshoot.
        stretched = np.rint(np.clip(stretched, 0, 65535))
    resized: npt.NDArray[Any] = stretched.astype(kind)
    return resized
