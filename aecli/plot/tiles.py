"""Small pictures of images and vectors, RGB, to be put side by side."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from aecli.pixels import Images, unit_range

# The height and width of a vector's line.
LINE_SHAPE = (32, 48)
_INK = 40

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def tiles(
    batches: Iterable[Images],
    shape: tuple[int, int],
    limits: tuple[float, float] | None = None,
    report: Callable[[int], None] = lambda images: None,
) -> Iterator[Bytes]:
    """Yield images, in batches of any type of pixel (m, h, w, c), as RGB, uint8 (*shape, 3).

    With `limits` they are vectors, drawn as lines between these values. `report` is called with
    the number of images of each batch that is done.
    """
    for batch in batches:
        if limits is not None:
            yield from (line_tile(row.reshape(-1), shape, limits) for row in batch)
        else:
            yield from (image_tile(image, shape) for image in unit_range(batch))
        report(len(batch))


def image_tile(image: Floats, shape: tuple[int, int]) -> Bytes:
    """Return an image (h, w, c) in 0..1, clipped to that, as RGB, uint8 (*shape, 3)."""
    rgb = as_rgb(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8))
    if rgb.shape[:2] == shape:
        return rgb
    # Enlarged pixels stay squares.
    enlarged = shape[0] > rgb.shape[0]
    way = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(rgb).resize(shape[::-1], way))


def line_tile(values: Floats, shape: tuple[int, int], limits: tuple[float, float]) -> Bytes:
    """Return a vector (p,) as a dark line on white, uint8 (*shape, 3), on a scale of `limits`."""
    (low, high), (height, width) = limits, shape
    span = high - low or 1.0
    heights = (1 - (np.clip(values, low, high) - low) / span) * (height - 1)
    places = np.linspace(0, width - 1, len(values))
    picture = Image.new("L", (width, height), 255)
    points = list(zip(places.tolist(), heights.tolist(), strict=True))
    ImageDraw.Draw(picture).line(points, fill=_INK)
    return as_rgb(np.asarray(picture)[..., np.newaxis])


def as_rgb(image: Bytes) -> Bytes:
    """Return an image of 1 to 4 channels, uint8 (h, w, c), as RGB, as pictures of it are drawn.

    One channel is grey; of two the first is red and the second green; a fourth is the opacity, on
    white.
    """
    channels = image.shape[2]
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    if channels == 2:
        return np.pad(image, [(0, 0), (0, 0), (0, 1)])
    if channels == 4:
        opacity = image[..., 3:] / 255
        blended: Bytes = np.rint(image[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)
        return blended
    return image


def vector_limits(values: Floats) -> tuple[float, float]:
    """Return the values between which vectors are drawn, but for the outermost of them."""
    low, high = np.quantile(values, [0.001, 0.999])
    return float(low), float(high)
