"""Maps of codes, coloured by class or by a number for each code.

The `draw_*` functions draw on axes that they are given; the `*_figure` functions lay out a whole
picture.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aecli.plot import library  # noqa: F401

# isort: split
import matplotlib.colors
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from aecli.errors import InputError
from aecli.pca import pca_projection
from aecli.plot.colors import (
    UNKNOWN_COLOR,
    UNLABELLED,
    Classes,
    Coloring,
    ContinuousColors,
)
from aecli.plot.save import default_style, new_figure
from aecli.printable import printable
from aecli.run.codes import Codes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mpl_toolkits.mplot3d import Axes3D

_MOST_MARKERS = 50_000
_CELLS = 800  # Along the longer side of a map of counts; about the dots that the picture has there.
_MOST_NAMES_ON_MAP = 30
_MOST_NAMES_IN_LEGEND = 60
_LEGEND_ROWS = 20
_BINS = 80
_FINEST = 1e-25  # matplotlib takes lengths below 1e-30 for 1e-30 where scales are to be equal.
_MOST_HISTOGRAMS = 500  # About as many rows as can be told apart.

# Places are drawn in float64: among large float32 numbers distances overflow, and among tiny ones
# they vanish.
Floats = npt.NDArray[np.floating[Any]]


@default_style()
def map_figure(codes: Codes, name: str, color_by: ContinuousColors | None = None) -> Figure:
    """Draw codes (n, d) as a map, coloured by `color_by` or else by label, where there are labels.

    d = 1 gives a histogram for each label, d = 2 and 3 a scatter, d > 3 a scatter of the first
    two principal components. `name` is used in the title of codes without provenance.

    Raises:
        InputError: codes of 1 number and `color_by`.

    """
    if color_by is not None and codes.values.shape[1] == 1:
        raise InputError("a colour for each code needs codes of at least 2 numbers: these have 1")
    coloring: Coloring | None = color_by
    if coloring is None and codes.labels is not None:
        coloring = Classes(codes.labels, codes.class_names)
    values, axis_names, note = _project(codes.values)
    figure = new_figure(8, 7)
    _draw_map(figure, values, coloring)
    axes = figure.axes[0]
    axes.set_title(f"{_title(codes, name, coloring)}{note}")
    axes.set_xlabel(axis_names[0])
    if len(axis_names) > 1:
        axes.set_ylabel(axis_names[1])
    return figure


@default_style()
def maps_figure(
    maps: Sequence[tuple[str, Floats]],
    labels: npt.NDArray[np.int64] | None,
    class_names: Sequence[str] | None,
) -> Figure:
    """Draw maps of the same images side by side: titles and codes (n, d), coloured by label.

    Codes of more than two numbers are drawn as their first two principal components.
    """
    classes = None if labels is None else Classes(labels, class_names)
    figure = new_figure(5 * len(maps), 5.4)
    for axes, (title, codes) in zip(
        figure.subplots(1, len(maps), squeeze=False)[0], maps, strict=True
    ):
        flat = codes if codes.shape[1] == 2 else pca_projection(codes, 2)[0]
        draw_scatter(axes, flat, classes)
        axes.set_title(printable(title))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def draw_scatter(axes: "Axes", values: Floats, coloring: Coloring | None) -> None:
    """Scatter codes (n, 2) at equal scale, with the name of each class at its median.

    Beyond 50,000 codes they are counted in cells as small as the dots of the picture, each drawn in
    the mean colour of its codes: this looks as if they were drawn one by one, and is much faster.
    """
    values = values.astype(np.float64)
    if len(values) > _MOST_MARKERS:
        _draw_counts(axes, values, coloring)
    else:
        _draw_markers(axes, values, coloring)
    largest = np.abs(values).max()
    if largest == 0 or largest > _FINEST:
        axes.set_aspect("equal", adjustable="datalim")
    axes.spines[["top", "right"]].set_visible(False)
    if isinstance(coloring, Classes) and len(coloring) <= _MOST_NAMES_ON_MAP:
        _draw_names(axes, values, coloring)


def draw_scatter_3d(axes: "Axes3D", values: Floats, coloring: Coloring | None) -> None:
    """Scatter codes (n, 3) at equal scale."""
    _draw_markers(axes, values.astype(np.float64), coloring)
    axes.set_aspect("equal")
    axes.set_zlabel("code 3")


def draw_histograms(axes: "Axes", values: Floats, classes: Classes | None) -> None:
    """Draw a histogram of codes (n,) for each class, one above the other, each to its own peak.

    Those of more than 500 classes are one histogram of all codes.
    """
    values = values.astype(np.float64)
    edges = _bin_edges(values)
    axes.spines[["top", "right"]].set_visible(False)
    if classes is None or len(classes) > _MOST_HISTOGRAMS:
        axes.hist(values, bins=edges.tolist(), color=UNLABELLED)
        axes.set_ylabel("codes" if classes is None else "codes of all classes")
        return
    rows = [(name, i, classes.color(i)) for i, name in enumerate(classes.names)]
    if classes.unknown_name:
        rows.append((classes.unknown_name, -1, UNKNOWN_COLOR))
    for i, (_, place, color) in enumerate(rows):
        counts, _ = np.histogram(values[classes.index == place], bins=edges)
        heights = 0.9 * counts / max(counts.max(), 1)
        # The first class is the top row.
        floor = len(rows) - 1 - i
        axes.stairs(heights + floor, edges, baseline=floor, fill=True, color=color)
    if len(rows) <= _MOST_NAMES_IN_LEGEND:
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows[::-1]])
    axes.set_ylim(-0.1, len(rows))


def _title(codes: Codes, name: str, coloring: Coloring | None) -> str:
    rows, dimensions = codes.values.shape
    origin = codes.provenance
    where = printable(f"{origin['data']} {origin['split']}" if origin else name)
    title = f"{where}: {rows:,} {'code' if rows == 1 else 'codes'}, {dimensions}-D"
    if isinstance(coloring, Classes) and len(coloring) > _MOST_NAMES_IN_LEGEND:
        title += f", {len(coloring)} classes"
    return title


def _project(values: Floats) -> tuple[Floats, list[str], str]:
    """Return codes (n, d) as d = 1..3 numbers each, the names of their axes, a note for the title.

    Codes of more numbers become their first two principal components.
    """
    dimensions = values.shape[1]
    if dimensions <= 3:
        return values, [f"code {axis + 1}" for axis in range(dimensions)], ""
    values, kept = pca_projection(values, 2)
    axis_names = ["principal component 1", "principal component 2"]
    return values, axis_names, f"\nfirst 2 principal components, {kept:.0%} of the variance"


def _draw_map(figure: Figure, values: Floats, coloring: Coloring | None) -> None:
    """Draw codes (n, d), d in 1..3, on new axes, with a legend of classes or a colour bar."""
    dimensions = values.shape[1]
    classes = coloring if isinstance(coloring, Classes) else None
    if dimensions == 1:
        draw_histograms(figure.add_subplot(), values[:, 0], classes)
    elif dimensions == 3:
        draw_scatter_3d(figure.add_subplot(projection="3d"), values, coloring)
    else:
        draw_scatter(figure.add_subplot(), values, coloring)
    if isinstance(coloring, ContinuousColors):
        bar = figure.colorbar(coloring.scale(), ax=figure.axes[0], label=coloring.name, shrink=0.6)
        bar.outline.set_visible(False)
    elif classes is not None and dimensions > 1 and len(classes) <= _MOST_NAMES_IN_LEGEND:
        figure.legend(
            handles=classes.legend_handles(),
            loc="outside right upper",
            ncols=-(-len(classes) // _LEGEND_ROWS),
            frameon=False,
            handletextpad=0,
            labelspacing=0.2,
        )


def _draw_names(axes: "Axes", values: Floats, classes: Classes) -> None:
    """Write the name of each class at the median of its codes (n, 2)."""
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


def _draw_markers(axes: Any, values: Floats, coloring: Coloring | None) -> None:
    """Draw a marker for each code (n, 2) or (n, 3)."""
    rows = len(values)
    for chosen, color, marker in _marker_groups(rows, coloring):
        axes.scatter(
            *values[chosen].T,
            color=color,
            marker=marker,
            # About the same ink at any n, within what can be seen.
            s=float(np.clip(40_000 / rows, 0.5, 30)),
            alpha=_opacity(rows),
            linewidths=0,
            # In SVG and PDF the markers are one bitmap, or the file would be megabytes.
            rasterized=True,
            **({"depthshade": False} if values.shape[1] == 3 else {}),
        )


def _marker_groups(
    rows: int, coloring: Coloring | None
) -> Iterator[tuple[npt.NDArray[np.intp], Any, str]]:
    """Return the rows to draw with each marker, their colour or colours, and the marker.

    Their order is random but fixed: in the order of the classes the last would cover the others.
    Those whose class or number nobody knows come first, beneath the others.
    """
    order = np.random.default_rng(0).permutation(rows)
    if coloring is None:
        yield order, UNLABELLED, "o"
        return
    colors, known = coloring.colors(), coloring.known[order]
    if not known.all():
        yield order[~known], UNKNOWN_COLOR, "o"
        order = order[known]
    if isinstance(coloring, Classes):
        for marker, marked in coloring.by_marker():
            chosen = order[marked[order]]
            yield chosen, colors[chosen], marker
    else:
        yield order, colors[order], "o"


def _opacity(rows: int) -> float:
    """Return the opacity of each of `rows` codes, 0..1."""
    return float(np.clip((2_000 / rows) ** 0.35, 0.15, 0.9))


def _draw_counts(axes: "Axes", values: Floats, coloring: Coloring | None) -> None:
    """Draw codes (n, 2) as a bitmap of cells, each as opaque as its codes on top of each other."""
    bitmap, extent = _count(values, coloring)
    image = axes.imshow(bitmap, extent=extent, origin="lower", interpolation="antialiased")
    # With the margins of a scatter, whose limits the aspect may move.
    image.sticky_edges.x.clear()
    image.sticky_edges.y.clear()
    axes.autoscale()


def _count(
    values: Floats, coloring: Coloring | None
) -> tuple[Floats, tuple[float, float, float, float]]:
    """Count codes (n, 2) in square cells.

    Returns red, green, blue and opacity of each cell, float32 (rows, columns, 4) in 0..1, and the
    left, right, bottom and top of all cells.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    size = max((high - low).max() / _CELLS, 1e-6 * np.abs([low, high]).max()) or 1e-12
    columns, rows = ((high - low) // size).astype(int) + 2
    column, row = ((values - low) / size).astype(np.int32).T
    cell = row * columns + column

    def total(weights: npt.NDArray[Any] | None) -> npt.NDArray[np.float64]:
        """Return the sum of the weights of the codes in each cell; None counts them."""
        sums = np.bincount(cell, weights, minlength=rows * columns).reshape(rows, columns)
        # A code is two cells wide, as its marker would be.
        sums = sums + np.roll(sums, 1, axis=1)
        return np.asarray(sums + np.roll(sums, 1, axis=0), np.float64)

    count = total(None)
    bitmap = np.empty((rows, columns, 4), np.float32)
    bitmap[..., 3] = 1 - (1 - _opacity(len(values))) ** count
    if coloring is None:
        bitmap[..., :3] = matplotlib.colors.to_rgb(UNLABELLED)
    else:
        known = coloring.known
        count_known = total(known.astype(float))
        for channel, weights in enumerate(coloring.colors().T):
            bitmap[..., channel] = total(np.where(known, weights, 0)) / np.maximum(count_known, 1)
        beneath = (count > 0) & (count_known == 0)
        bitmap[beneath, :3] = matplotlib.colors.to_rgb(UNKNOWN_COLOR)
    left, bottom = low
    return bitmap, (left, left + columns * size, bottom, bottom + rows * size)


def _bin_edges(values: Floats) -> npt.NDArray[np.float64]:
    """Return the edges of histogram bins over codes (n,)."""
    # Equal codes need a width too.
    low, high = float(values.min()), float(values.max())
    half = (max(high - low, 1e-6 * max(abs(low), abs(high))) or 1e-6) / 2
    return (low + high) / 2 + np.linspace(-half, half, _BINS + 1)
