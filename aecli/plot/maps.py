"""Pictures: maps of codes, reconstructions, the history of a run, grids of images.

The `draw_*` functions draw on axes that they are given; the `*_figure` functions lay out a whole
picture; `save_figure` writes it.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.colors
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from aecli import files
from aecli.errors import InputError
from aecli.pca import pca_projection
from aecli.run.codes import Codes
from aecli.run.states import EpochMetrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mpl_toolkits.mplot3d import Axes3D

# Petroff, *Accessible color sequences for data visualization* (2021): ten colours chosen to be
# told apart also with colour-vision deficiencies. More classes take further marker shapes.
_COLORS: Sequence[Any] = matplotlib.color_sequences["petroff10"]
_MARKERS = "o^sDvP*X<>"
_UNLABELLED = "#3f90da"
_SHADES = "viridis"
_DOTS_PER_INCH = 160
_NAMES_ON_MAP = 30
_MOST_MARKERS = 50_000
_COUNTED_DOTS = 800  # Along the longer side of the map; about as many as the picture has there.
_LEGEND_ROWS = 20
_BINS = 80
_NAMES_IN_LEGEND = 60

# Names of data, classes and files are no formulas, whatever dollar signs they hold.
matplotlib.rcParams["text.parse_math"] = False

Floats = npt.NDArray[np.float32]


class Classes:
    """The classes of labels (n,): which there are, and how each is called and drawn."""

    def __init__(self, labels: npt.NDArray[np.int64], names: Sequence[str] | None) -> None:
        self.values, self.index = np.unique(labels, return_inverse=True)
        known = names or ()
        self.names = [known[v] if 0 <= v < len(known) else str(v) for v in self.values]

    def __len__(self) -> int:
        return len(self.values)

    def color(self, index: int) -> Any:
        """Return the colour of a class."""
        return _COLORS[index % len(_COLORS)]

    def colors(self) -> npt.NDArray[np.float64]:
        """Return the colour of each label, (n, 3) in 0..1."""
        palette = [matplotlib.colors.to_rgb(self.color(i)) for i in range(len(self))]
        return np.array(palette)[self.index]

    def marker(self, index: int) -> str:
        """Return the marker of a class, another one for each round of colours."""
        return _MARKERS[index // len(_COLORS) % len(_MARKERS)]

    def legend_handles(self) -> list[Line2D]:
        """Return a marker and a name for each class."""
        return [
            Line2D([], [], linestyle="", color=self.color(i), marker=self.marker(i), label=name)
            for i, name in enumerate(self.names)
        ]


@dataclass(frozen=True, eq=False)
class ContinuousColors:
    """A number for each code, float32 (n,), and what it is: codes are coloured by it."""

    name: str
    values: Floats

    @property
    def limits(self) -> tuple[float, float]:
        """The numbers of the first and the last colour: a few outliers do not count."""
        low, high = (float(edge) for edge in np.quantile(self.values, [0.01, 0.99]))
        return low, high if high > low else low + 1e-6 * max(abs(low), 1)

    def colors(self) -> npt.NDArray[np.float64]:
        """Return the colour of each code, (n, 3) in 0..1."""
        low, high = self.limits
        shades = matplotlib.colormaps[_SHADES](np.clip((self.values - low) / (high - low), 0, 1))
        return np.asarray(shades[:, :3], np.float64)

    def scale(self) -> ScalarMappable:
        """Return what a colour bar is drawn of."""
        return ScalarMappable(matplotlib.colors.Normalize(*self.limits), _SHADES)


def map_figure(codes: Codes, name: str, shades: ContinuousColors | None = None) -> Figure:
    """Draw codes (n, d) as a map, coloured by label where there are labels, or by `shades`.

    d = 1 gives a histogram for each label, d = 2 and 3 a scatter, d > 3 a scatter of the first
    two principal components. `name` is used in the title where the codes have no provenance.

    Raises:
        InputError: codes of 1 number and `shades`.

    """
    rows, dimensions = codes.values.shape
    if shades is not None and dimensions == 1:
        raise InputError("--color-by needs codes of at least 2 numbers: these have 1")
    labels = None if shades is not None else codes.labels
    classes = None if labels is None else Classes(labels, codes.class_names)
    origin = codes.provenance
    where = f"{origin['data']} {origin['split']}" if origin else name
    title = f"{where}: {rows:,} {'code' if rows == 1 else 'codes'}, {dimensions}-D"
    if classes is not None and len(classes) > _NAMES_IN_LEGEND:
        title += f", {len(classes)} classes"
    values = codes.values
    axis_names = [f"code {axis + 1}" for axis in range(dimensions)]
    if dimensions > 3:
        values, kept = pca_projection(values, 2)
        axis_names = ["principal component 1", "principal component 2"]
        title += f"\nfirst 2 principal components, {kept:.0%} of the variance"
    figure = Figure(figsize=(8, 7), layout="constrained")
    if dimensions == 1:
        draw_histograms(figure.add_subplot(), values[:, 0], classes)
    elif dimensions == 3:
        draw_scatter_3d(figure.add_subplot(projection="3d"), values, shades or classes)
    else:
        draw_scatter(figure.add_subplot(), values, shades or classes)
    axes = figure.axes[0]
    if shades is not None:
        bar = figure.colorbar(shades.scale(), ax=axes, label=shades.name, shrink=0.6)
        bar.outline.set_visible(False)
    axes.set_title(title)
    axes.set_xlabel(axis_names[0])
    if dimensions > 1:
        axes.set_ylabel(axis_names[1])
    if classes is not None and dimensions > 1 and len(classes) <= _NAMES_IN_LEGEND:
        figure.legend(
            handles=classes.legend_handles(),
            loc="outside right upper",
            ncols=-(-len(classes) // _LEGEND_ROWS),
            frameon=False,
            handletextpad=0,
            labelspacing=0.2,
        )
    return figure


def maps_figure(
    maps: Sequence[tuple[str, Floats]],
    labels: npt.NDArray[np.int64] | None,
    class_names: Sequence[str] | None,
) -> Figure:
    """Draw maps of the same images side by side: titles and codes (n, d), coloured by label.

    Codes of more than two numbers are drawn as their first two principal components.
    """
    classes = None if labels is None else Classes(labels, class_names)
    figure = Figure(figsize=(5 * len(maps), 5.4), layout="constrained")
    for axes, (title, codes) in zip(
        figure.subplots(1, len(maps), squeeze=False)[0], maps, strict=True
    ):
        flat = codes if codes.shape[1] == 2 else pca_projection(codes, 2)[0]
        draw_scatter(axes, flat, classes)
        axes.set_title(title)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def draw_scatter(axes: "Axes", values: Floats, classes: Classes | ContinuousColors | None) -> None:
    """Scatter codes (n, 2) at equal scale, with the name of each class at its median.

    Beyond 50,000 they are counted into dots of the picture, each in the mean colour of its codes:
    what drawing them one by one comes to, at a fraction of the time.
    """
    if len(values) > _MOST_MARKERS:
        _draw_counted(axes, values, classes)
    else:
        _scatter(axes, values, classes)
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[["top", "right"]].set_visible(False)
    if not isinstance(classes, Classes) or len(classes) > _NAMES_ON_MAP:
        return
    for i, name in enumerate(classes.names):
        x, y = np.median(values[classes.index == i], axis=0)
        axes.text(
            x,
            y,
            name,
            ha="center",
            va="center",
            fontsize=13,
            fontweight="bold",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def draw_scatter_3d(
    axes: "Axes3D", values: Floats, classes: Classes | ContinuousColors | None
) -> None:
    """Scatter codes (n, 3) at equal scale."""
    _scatter(axes, values, classes)
    axes.set_aspect("equal")
    axes.set_zlabel("code 3")


def draw_histograms(axes: "Axes", values: Floats, classes: Classes | None) -> None:
    """Draw a histogram of codes (n,) for each class, one above the other, each to its own peak."""
    # In float64, as the width of a range of large float32 overflows; equal codes need a width too.
    low, high = float(values.min()), float(values.max())
    half = max(high - low, 1e-6 * abs(high), 1e-6) / 2
    edges = (low + high) / 2 + np.linspace(-half, half, _BINS + 1)
    if classes is None:
        axes.hist(values, bins=edges.tolist(), color=_UNLABELLED)
        axes.set_ylabel("codes")
    else:
        for i in range(len(classes)):
            counts, _ = np.histogram(values[classes.index == i], bins=edges)
            heights = 0.9 * counts / max(counts.max(), 1)
            # Rows from the top down, in the order of the classes.
            floor = len(classes) - 1 - i
            axes.stairs(heights + floor, edges, baseline=floor, fill=True, color=classes.color(i))
        if len(classes) <= _NAMES_IN_LEGEND:
            axes.set_yticks(range(len(classes)), classes.names[::-1])
        axes.set_ylim(-0.1, len(classes))
    axes.spines[["top", "right"]].set_visible(False)


def reconstructions_figure(originals: Floats, reconstructions: Floats, title: str) -> Figure:
    """Draw images (n, h, w, c) in 0..1 in a row, and their reconstructions below."""
    count = len(originals)
    figure = Figure(figsize=(max(1.0 * count, 4), 2.6), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(2, count, squeeze=False)
    for row, images in zip(grid, (originals, reconstructions), strict=True):
        for axes, image in zip(row, images, strict=True):
            draw_image(axes, image)
    for axes, text in zip(grid[:, 0], ("original", "reconstruction"), strict=True):
        axes.set_ylabel(text)
    return figure


def draw_image(axes: "Axes", image: Floats) -> None:
    """Draw one image (h, w, c) in 0..1; one channel is grey, three are colours."""
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])


def history_figure(history: Sequence[EpochMetrics], loss: str, title: str) -> Figure:
    """Draw the losses of a run by epoch, and mark the best one."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    draw_history(axes, history)
    axes.set_title(title)
    axes.set_ylabel(f"{loss} a pixel")
    return figure


def draw_history(axes: "Axes", history: Sequence[EpochMetrics]) -> None:
    """Draw train and validation loss by epoch on a logarithmic scale."""
    epochs = [metrics.epoch for metrics in history]
    axes.plot(
        epochs,
        [metrics.losses["reconstruction"] for metrics in history],
        label="train",
        color=_COLORS[0],
    )
    axes.plot(
        epochs,
        [metrics.validation_loss for metrics in history],
        label="validation",
        color=_COLORS[1],
    )
    best = min(history, key=lambda metrics: metrics.validation_loss)
    axes.plot(
        best.epoch,
        best.validation_loss,
        "o",
        color=_COLORS[2],
        label=f"best: {best.validation_loss:.4f}, epoch {best.epoch}",
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.set_xlabel("epoch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def grid_figure(images: Floats) -> Figure:
    """Draw images (n, h, w, c) in 0..1 in a grid that is about as wide as high."""
    count, height, width, _ = images.shape
    columns = int(np.ceil(np.sqrt(count * height / width)))
    rows = -(-count // columns)
    # The picture has whole pixels for each image, or it would be blurred.
    zoom = max(1, round(1000 / (columns * width)))
    cells = np.ones((rows * columns, height + 2, width + 2, images.shape[-1]), np.float32)
    cells[:count, 1:-1, 1:-1] = images
    tiled = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    tiled = tiled.reshape(rows * (height + 2), columns * (width + 2), -1)
    size = (tiled.shape[1] * zoom / _DOTS_PER_INCH, tiled.shape[0] * zoom / _DOTS_PER_INCH)
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    draw_image(axes, tiled)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture, whole or not at all; the suffix, one of `PICTURE_SUFFIXES`, is its format.

    Raises:
        AecliError: the operating system refused.

    """
    kind = path.suffix.lower().removeprefix(".")
    # No date: the same codes give the same bytes.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    picture = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "aecli", "svg.fonttype": "none"}):
        figure.savefig(picture, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)
    files.write_bytes(path, picture.getvalue())


def _scatter(axes: Any, values: Floats, classes: Classes | ContinuousColors | None) -> None:
    """Scatter in a random but fixed order, or the last class would cover the others."""
    rows = len(values)
    style = {
        # About the same ink at any n, within what can be seen.
        "s": float(np.clip(40_000 / rows, 0.5, 30)),
        "alpha": _opacity(rows),
        "linewidths": 0,
        # In SVG and PDF the points are one bitmap, or the file would be megabytes.
        "rasterized": True,
        **({"depthshade": False} if values.shape[1] == 3 else {}),
    }
    order = np.random.default_rng(0).permutation(rows)
    if classes is None:
        axes.scatter(*values[order].T, color=_UNLABELLED, **style)
        return
    if isinstance(classes, ContinuousColors):
        axes.scatter(*values[order].T, c=classes.colors()[order], **style)
        return
    colors = classes.colors()
    rounds = classes.index[order] // len(_COLORS)
    for turn in np.unique(rounds):
        chosen = order[rounds == turn]
        axes.scatter(
            *values[chosen].T,
            color=colors[chosen],
            marker=classes.marker(int(turn) * len(_COLORS)),
            **style,
        )


def _opacity(rows: int) -> float:
    """Return how opaque one code of so many is, 0..1."""
    return float(np.clip((2_000 / rows) ** 0.35, 0.15, 0.9))


def _draw_counted(axes: "Axes", values: Floats, classes: Classes | ContinuousColors | None) -> None:
    """Draw codes (n, 2) as a picture of square dots, each as opaque as its codes together."""
    low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)
    dot = max((high - low).max() / _COUNTED_DOTS, 1e-6 * np.abs([low, high]).max(), 1e-12)
    columns, rows = ((high - low) // dot).astype(int) + 2
    cells = ((values - low) / dot).astype(np.int32)
    cell = cells[:, 1] * columns + cells[:, 0]

    def spread(weights: npt.NDArray[Any] | None) -> npt.NDArray[np.float64]:
        counts = np.bincount(cell, weights, minlength=rows * columns).reshape(rows, columns)
        # A code is two dots wide, as its marker would be.
        counts = counts + np.roll(counts, 1, axis=1)
        return np.asarray(counts + np.roll(counts, 1, axis=0), np.float64)

    count = spread(None)
    picture = np.empty((rows, columns, 4), np.float32)
    picture[..., 3] = 1 - (1 - _opacity(len(values))) ** count
    if classes is None:
        picture[..., :3] = matplotlib.colors.to_rgb(_UNLABELLED)
    else:
        colors = classes.colors()
        for channel in range(3):
            total = spread(colors[:, channel])
            picture[..., channel] = total / np.maximum(count, 1)
    left, bottom = low
    extent = (left, left + columns * dot, bottom, bottom + rows * dot)
    image = axes.imshow(picture, extent=extent, origin="lower", interpolation="antialiased")
    # With the margins of a scatter, whose limits the aspect may move.
    image.sticky_edges.x.clear()
    image.sticky_edges.y.clear()
    axes.autoscale()
