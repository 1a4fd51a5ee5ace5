"""Pictures of images: reconstructions below their originals, and grids.

`draw_image` draws on axes that it is given; the `*_figure` functions lay out a whole picture.
"""

from typing import TYPE_CHECKING

from aecli.plot import library  # noqa: F401

# isort: split
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from aecli.plot.save import DOTS_PER_INCH, new_figure
from aecli.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID_DOTS = 1_000  # About the width of a grid in the picture.

Floats = npt.NDArray[np.float32]


def reconstructions_figure(originals: Floats, reconstructions: Floats, title: str) -> Figure:
    """Draw images (n, h, w, c) in 0..1 in a row, and their reconstructions below."""
    count = len(originals)
    figure = new_figure(max(1.0 * count, 4), 2.6)
    figure.suptitle(printable(title))
    grid = figure.subplots(2, count, squeeze=False)
    for row, images in zip(grid, (originals, reconstructions), strict=True):
        for axes, image in zip(row, images, strict=True):
            draw_image(axes, image)
    for axes, text in zip(grid[:, 0], ("original", "reconstruction"), strict=True):
        axes.set_ylabel(text)
    return figure


def grid_figure(images: Floats) -> Figure:
    """Draw images (n, h, w, c) in 0..1 in a grid that is about as wide as it is high."""
    count, height, width, _ = images.shape
    columns = int(np.ceil(np.sqrt(count * height / width)))
    tiled = _tile(images, columns)
    # Each pixel of an image takes a whole number of dots, or it would be blurred.
    zoom = max(1, round(_GRID_DOTS / (columns * width)))
    size = (tiled.shape[1] * zoom / DOTS_PER_INCH, tiled.shape[0] * zoom / DOTS_PER_INCH)
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    draw_image(axes, tiled)
    return figure


def draw_image(axes: "Axes", image: Floats) -> None:
    """Draw an image (h, w, c) in 0..1: grey with one channel, in colour with three."""
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])


def _tile(images: Floats, columns: int) -> Floats:
    """Return images (n, h, w, c) side by side in rows of `columns`, each in a white frame."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    cells = np.ones((rows * columns, height + 2, width + 2, channels), np.float32)
    cells[:count, 1:-1, 1:-1] = images
    tiled = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    return tiled.reshape(rows * (height + 2), columns * (width + 2), channels)
