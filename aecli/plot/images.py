"""Pictures of images: reconstructions below their originals, and grids.

`draw_image` draws on axes that it is given; the `*_figure` functions lay out a whole picture.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aecli.plot import library  # noqa: F401

# isort: split
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from aecli.plot.save import DOTS_PER_INCH, default_style, new_figure
from aecli.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID_DOTS = 1_000  # About the width of a grid of few images in the picture.
# A grid is at most this high and wide: more is more than a screen shows, and takes a gigabyte.
_MOST_DOTS = 3_000
# Where all images would not fit, large ones lose pixels, down to about so many along a side.
_FEWEST_PIXELS = 64
_FRAME = 2  # Dots of the white frame of an image, both sides together.
_RECONSTRUCTION_PIXELS = 320  # Along a side; an image is drawn an inch wide.

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """How images lie in a picture: the first `count` of `available` ones, in rows of `columns`.

    `height` and `width`: the pixels of each that are drawn, every `down`-th row and every
    `across`-th column.
    """

    available: int
    count: int
    columns: int
    height: int
    width: int
    down: int
    across: int

    @property
    def rows(self) -> int:
        """How many rows of images there are."""
        return -(-self.count // self.columns)

    @property
    def note(self) -> str | None:
        """What is not drawn, in words; None where all of it is."""
        parts = []
        if self.count < self.available:
            parts.append(f"the first {self.count:,} of {self.available:,} images")
        if max(self.down, self.across) > 1:
            parts.append(f"1 in {self.down}x{self.across} pixels")
        return f"drew {', '.join(parts)}: a picture has no room for more" if parts else None


def plan_grid(available: int, height: int, width: int) -> Grid:
    """Return the grid of at least one image of a size, about as wide as it is high.

    Where all of them do not fit, large images lose pixels; where that is not enough, only the first
    images are drawn.
    """
    for step in range(1, max(2, max(height, width) // _FEWEST_PIXELS + 1)):
        down = min(step, max(1, height // _FEWEST_PIXELS))
        across = min(step, max(1, width // _FEWEST_PIXELS))
        drawn = (-(-height // down), -(-width // across))
        columns = min(available, math.ceil(math.sqrt(available * drawn[0] / drawn[1])))
        grid = Grid(available, available, columns, *drawn, down, across)
        if max(_canvas_shape(grid)) <= _MOST_DOTS:
            return grid
    columns, rows = (_MOST_DOTS // (pixels + _FRAME) for pixels in (grid.width, grid.height))
    return Grid(available, columns * rows, columns, *drawn, down, across)


def reconstructions_figure(
    originals: Floats, reconstructions: Floats, title: str, *, lines: bool = False
) -> Figure:
    """Draw images (n, h, w, c) in 0..1 in a row, and their reconstructions below: `rows_figure`."""
    rows = {"original": originals, "reconstruction": reconstructions}
    return rows_figure(rows, title, lines=lines)


@default_style()
def rows_figure(rows: Mapping[str, Floats], title: str, *, lines: bool = False) -> Figure:
    """Draw images that belong together below each other: rows (n, h, w, c) in 0..1 by their names.

    With `lines` each is drawn as the line of its numbers, which may have any range.
    """
    images = list(rows.values())
    count = len(images[0])
    figure = new_figure(max(1.0 * count, 4), 0.6 + len(rows))
    figure.suptitle(printable(title))
    grid = figure.subplots(len(rows), count, squeeze=False)
    down, across = (max(1, pixels // _RECONSTRUCTION_PIXELS) for pixels in images[0].shape[1:3])
    # One scale for all lines: they are to be compared.
    limits = float(min(map(np.min, images))), float(max(map(np.max, images)))
    for row, own in zip(grid, images, strict=True):
        for axes, image in zip(row, own, strict=True):
            if lines:
                draw_line(axes, image.reshape(-1), limits)
            else:
                draw_image(axes, image[::down, ::across])
    for axes, name in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(name)
    return figure


@default_style()
def lines_figure(vectors: Iterable[Floats], count: int) -> Figure:
    """Draw vectors, each (1, p, 1), as lines in a grid of one scale; there must be `count`."""
    drawn = [vector.reshape(-1) for vector in vectors]
    columns = math.ceil(math.sqrt(count))
    figure = new_figure(10, 10)
    grid = figure.subplots(-(-count // columns), columns, squeeze=False)
    limits = float(min(map(np.min, drawn))), float(max(map(np.max, drawn)))
    for place, axes in enumerate(grid.flat):
        if place < count:
            draw_line(axes, drawn[place], limits)
        else:
            axes.set_axis_off()
    return figure


def draw_line(axes: "Axes", vector: Floats, limits: tuple[float, float]) -> None:
    """Draw the numbers of a vector (p,), on a scale that ends at `limits`."""
    axes.plot(vector, color="black", linewidth=0.5)
    if limits[0] < limits[1]:
        axes.set_ylim(*limits)
    axes.set_xticks([])
    axes.set_yticks([])


@default_style()
def grid_figure(images: Iterable[Floats], grid: Grid) -> Figure:
    """Draw images, each (h, w, c) in 0..1, in a grid; there must be as many as it has."""
    tiled = _tile(images, grid)
    # Each pixel of an image takes a whole number of dots, or it would be blurred.
    zoom = round(_GRID_DOTS / (grid.columns * grid.width))
    zoom = max(1, min(zoom, _MOST_DOTS // max(_canvas_shape(grid))))
    size = (tiled.shape[1] * zoom / DOTS_PER_INCH, tiled.shape[0] * zoom / DOTS_PER_INCH)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    draw_image(axes, tiled)
    return figure


def draw_image(axes: "Axes", image: Floats) -> None:
    """Draw an image (h, w, c) in 0..1; what lies beyond is drawn as black or white.

    One channel is grey; of two the first is red and the second green; three are red, green and
    blue; a fourth is the opacity.
    """
    # Matplotlib would warn of colours beyond.
    image = np.clip(_in_color(image), 0, 1)
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])


def _in_color(image: Floats) -> Floats:
    """Return an image as one with channels that can be drawn."""
    return np.pad(image, [(0, 0), (0, 0), (0, 1)]) if image.shape[-1] == 2 else image


def _canvas_shape(grid: Grid) -> tuple[int, int]:
    """Return how many pixels the images and their frames take: height and width."""
    return grid.rows * (grid.height + _FRAME), grid.columns * (grid.width + _FRAME)


def _tile(images: Iterable[Floats], grid: Grid) -> Floats:
    """Return the images of a grid, side by side in its rows, each in a white frame."""
    tiled = np.ones((0, 0, 1), np.float32)
    for place, image in zip(range(grid.count), images, strict=True):
        drawn = _in_color(image[:: grid.down, :: grid.across])
        if place == 0:
            tiled = np.ones((*_canvas_shape(grid), drawn.shape[-1]), np.float32)
        row, column = divmod(place, grid.columns)
        top = row * (grid.height + _FRAME) + _FRAME // 2
        left = column * (grid.width + _FRAME) + _FRAME // 2
        tiled[top : top + grid.height, left : left + grid.width] = drawn
    return tiled
