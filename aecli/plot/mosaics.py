"""Pictures made of many small ones: the decoded plane, images in place of dots, rows of images."""

from collections.abc import Sequence

from aecli.plot import library  # noqa: F401

# isort: split
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from aecli.plot.colors import GREY, Classes
from aecli.plot.planes import Plane
from aecli.plot.save import default_style, new_figure
from aecli.plot.tiles import LINE_SHAPE, Bytes, Floats, image_tile, line_tile, vector_limits
from aecli.printable import printable

# Along the longer side of a mosaic, and of one picture in it, in pixels.
_MOST_SIDE, _MOST_TILE = 2_400, 96
# How much of an image is left where no codes lie.
_FADED = 0.22
_FRAME = 2
_GAP = 2
_MOST_IN_LEGEND = 40
# Longer names would lie over their neighbours.
_LONGEST_NAME = 14


def tile_shape(image_shape: tuple[int, ...], along: int, *, lines: bool) -> tuple[int, int]:
    """Return the height and width of a small picture, of which `along` lie side by side."""
    height, width = LINE_SHAPE if lines else image_shape[:2]
    most = max(4, min(_MOST_TILE, _MOST_SIDE // max(1, along)))
    longest = max(height, width)
    # Small images are enlarged by a whole number, or their pixels would differ in size.
    scale = most / longest if longest > most else most // longest
    return max(1, round(height * scale)), max(1, round(width * scale))


def tiles_of(images: Floats, shape: tuple[int, int], *, lines: bool) -> list[Bytes]:
    """Return images (n, h, w, c), or with `lines` vectors, as small pictures of a shape."""
    if lines:
        limits = vector_limits(images)
        return [line_tile(image.reshape(-1), shape, limits) for image in images]
    return [image_tile(image, shape) for image in images]


@default_style()
def plane_figure(plane: Plane, images: Floats, title: str, *, lines: bool = False) -> Figure:
    """Draw what the decoder makes of a plane: images (rows * columns, h, w, c) at their places.

    Those where no codes lie are faded.
    """
    rows, columns = plane.covered.shape
    height, width = tile_shape(images.shape[1:], max(rows, columns), lines=lines)
    canvas = np.empty((rows * height, columns * width, 3), np.uint8)
    tiles = tiles_of(images, (height, width), lines=lines)
    for place, (tile, covered) in enumerate(zip(tiles, plane.covered.flat, strict=True)):
        row, column = divmod(place, columns)
        shown = tile if covered else np.rint(255 - _FADED * (255 - tile.astype(float)))
        canvas[row * height : (row + 1) * height, column * width : (column + 1) * width] = shown
    return _map_of(canvas, plane.extent, title)


def _map_of(canvas: Bytes, extent: tuple[float, float, float, float], title: str) -> Figure:
    """Return a map of codes that a canvas, (h, w, 3), is: left, right, bottom, top at its edges."""
    left, right, bottom, top = extent
    width, height = right - left, top - bottom
    longer = max(width, height)
    figure = new_figure(max(4.0, 1.2 + 7.5 * width / longer), max(3.0, 1.0 + 7.5 * height / longer))
    axes = figure.add_subplot()
    axes.imshow(canvas, extent=extent, interpolation="antialiased")
    axes.set_xlabel("code 1")
    axes.set_ylabel("code 2")
    axes.set_title(printable(title))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


@default_style()
def thumbnails_figure(
    codes: Floats,
    images: Floats,
    classes: Classes | None,
    cells: int,
    title: str,
    *,
    lines: bool = False,
) -> Figure:
    """Draw images (n, h, w, c) at the places of their codes (n, 2), framed by class.

    `classes`: of these images. `cells`: how many images fit side by side.
    """
    places = codes.astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    span = float((high - low).max()) or 1.0
    shape = tile_shape(images.shape[1:], round(1.15 * cells), lines=lines)
    outer = (shape[0] + 2 * _FRAME, shape[1] + 2 * _FRAME)
    # A cell is as wide as an image with its frame.
    scale = cells * max(outer) / span
    size = np.ceil((high - low) * scale).astype(int)[::-1] + np.array(outer)
    canvas = np.full((*size, 3), 255, np.uint8)
    colors = np.full((len(images), 3), 0.55) if classes is None else classes.colors()
    frames = np.rint(colors * 255).astype(np.uint8)
    for tile, place, color in zip(
        tiles_of(images, shape, lines=lines), places, frames, strict=True
    ):
        left = round((place[0] - low[0]) * scale)
        top = round((high[1] - place[1]) * scale)
        box = canvas[top : top + outer[0], left : left + outer[1]]
        box[:] = color
        box[_FRAME:-_FRAME, _FRAME:-_FRAME] = tile
    half = np.array(outer[::-1]) / scale / 2
    extent = (low[0] - half[0], high[0] + half[0], low[1] - half[1], high[1] + half[1])
    figure = _map_of(canvas, extent, title)
    if classes is not None and len(classes) <= _MOST_IN_LEGEND:
        frames_of = [(name, classes.color(i)) for i, name in enumerate(classes.names)]
        if classes.grey_name:
            frames_of.append((classes.grey_name, GREY))
        for name, frame_color in frames_of:
            figure.axes[0].plot([], [], "s", color=frame_color, label=name)
        figure.legend(loc="outside right upper", frameon=False)
    return figure


@default_style()
def strips_figure(
    strips: Sequence[Floats], row_names: Sequence[str], title: str, *, lines: bool = False
) -> Figure:
    """Draw rows of images, each (count, h, w, c), with a name to the left of each row."""
    count = len(strips[0])
    shape = tile_shape(strips[0].shape[1:], count, lines=lines)
    rows = [np.concatenate(_parted(tiles_of(s, shape, lines=lines)), axis=1) for s in strips]
    canvas = np.full((len(rows) * (shape[0] + _GAP) - _GAP, rows[0].shape[1], 3), 255, np.uint8)
    for i, row in enumerate(rows):
        canvas[i * (shape[0] + _GAP) : i * (shape[0] + _GAP) + shape[0]] = row
    width = min(14.0, max(4.0, 0.8 * count))
    figure = new_figure(width + 0.9, width * canvas.shape[0] / canvas.shape[1] + 0.6)
    axes = figure.add_subplot()
    axes.imshow(canvas, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([i * (shape[0] + _GAP) + shape[0] / 2 for i in range(len(rows))])
    axes.set_yticklabels([printable(name) for name in row_names])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(printable(title))
    return figure


def _parted(tiles: list[Bytes]) -> list[Bytes]:
    """Return small pictures with a white gap between each two."""
    gap: npt.NDArray[np.uint8] = np.full((tiles[0].shape[0], _GAP, 3), 255, np.uint8)
    return [part for tile in tiles for part in (tile, gap)][:-1]


@default_style()
def worst_figure(
    originals: Floats,
    reconstructions: Floats,
    names: Sequence[str],
    title: str,
    *,
    lines: bool = False,
) -> Figure:
    """Draw images (n, h, w, c) above their reconstructions, each pair with a name."""
    count = len(originals)
    columns = min(count, 10)
    rows = -(-count // columns)
    shape = tile_shape(originals.shape[1:], columns, lines=lines)
    both = tiles_of(np.concatenate([originals, reconstructions]), shape, lines=lines)
    figure = new_figure(max(4.0, 1.15 * columns), 2.7 * rows * max(0.5, shape[0] / shape[1]) + 0.5)
    figure.suptitle(printable(title))
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if place < count:
            gap = np.full((_GAP, shape[1], 3), 255, np.uint8)
            axes.imshow(np.concatenate([both[place], gap, both[count + place]]))
            axes.set_title(_broken(names[place]), fontsize=7)
    return figure


def _broken(name: str) -> str:
    """Return a name in lines that fit above a small picture; long ones lose their beginning."""
    parts = []
    for line in name.split("\n"):
        text = printable(line)
        parts.append(text if len(text) <= _LONGEST_NAME else f"…{text[1 - _LONGEST_NAME :]}")
    return "\n".join(parts)
