"""Maps of codes, coloured by class or by a number for each code.

The `draw_*` functions draw on axes that they are given; the `*_figure` functions lay out a whole
picture.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from aecli.plot.colors import GREY, PALE_GREY, UNLABELLED, Classes, Coloring, ContinuousColors
from aecli.plot.legend import Entry, draw_color_bar, draw_legend, legend_width, text_sizes
from aecli.plot.limits import Limits, find_limits
from aecli.plot.names import place_names, shortened, shortened_apart, wrapped
from aecli.plot.raster import count_in_cells
from aecli.plot.save import DOTS_PER_INCH, default_style
from aecli.printable import printable
from aecli.run.codes import Codes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mpl_toolkits.mplot3d import Axes3D

_MOST_MARKERS = 50_000
_MOST_VECTOR_MARKERS = 5_000
_MOST_CELLS = 1_600  # Along the longer side of a map of counts, at any resolution.
_MOST_NAMES_ON_MAP = 120
_MOST_NAMES_OF_ROWS = 80
# As many codes say well enough where a class is dense; of more, every second, third and so on.
_MOST_FOR_NAMES = 100_000
_BINS = 80
_FINEST = 1e-25  # matplotlib takes lengths below 1e-30 for 1e-30 where scales are to be equal.
_MOST_HISTOGRAMS = 500  # About as many rows as can be told apart.
# Where dots are too small to show their shape, so many of each class are drawn larger, in points
# squared.
_MARKS = 12
_MARK_SIZE = 16.0
_SMALLEST_SHAPE = 9.0

# The parts of a picture, in inches.
_WIDTH, _HEIGHT = 8.0, 7.0
_LEFT, _BOTTOM, _TOP, _RIGHT = 0.75, 0.6, 0.62, 0.2
_LEFT_OF_ROWS = 1.7
# A title has letters of this many points, of which each is about so many ems wide.
_TITLE_POINTS, _EM = 12.0, 0.56

# Places are drawn in float64: among large float32 numbers distances overflow, and among tiny ones
# they vanish.
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class MapStyle:
    """How a map is drawn.

    `size`: width and height in inches; None for 8 by 7, and more width for a long legend. `dpi`:
    dots an inch. `dot_size`: the diameter of a dot in points; None for one that suits the number
    of codes. `names`: whether names of classes stand on the map. `title`: None for one that says
    what is drawn. `everything`: whether the limits take in codes that lie far out.
    """

    size: tuple[float, float] | None = None
    dpi: int = DOTS_PER_INCH
    dot_size: float | None = None
    names: bool = True
    title: str | None = None
    everything: bool = False


@dataclass(frozen=True, eq=False)
class Background:
    """Codes (n, d) that show where others lie: grey, beneath all; and what they are called."""

    values: Floats
    name: str


@default_style()
def map_figure(
    codes: Codes,
    name: str,
    coloring: Coloring | None = None,
    *,
    over: Background | None = None,
    style: MapStyle | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Figure:
    """Draw codes (n, d) as a map, by `coloring`, or else by label where there are labels.

    d = 1 gives a histogram for each label, d = 2 and 3 a scatter, d > 3 a scatter of the first
    two principal components, those of the codes that they lie `over`, if any. `name` is used in the
    title of codes without provenance. `say` is called with what is not drawn where it is.

    Raises:
        InputError: codes of 1 number and a number for each, or codes of another d than those they
            lie over.

    """
    style = style or MapStyle()
    _refuse_unfit(codes.values, coloring, over)
    if coloring is None and codes.labels is not None:
        coloring = Classes(codes.labels, codes.class_names, codes.all_class_names)
    values, beneath, axis_names, note = _project(codes.values, over)
    figure, axes = _layout(len(axis_names), coloring, over, style)
    far = _draw(axes, values, beneath, coloring, style)
    notes = [note] if note else []
    if far:
        count = f"{far:,} of {len(values) + (0 if beneath is None else len(beneath)):,} codes"
        verb = "lies" if far == 1 else "lie"
        notes.append(f"{count} {verb} far out: marked at the border")
        say(f"{count} {verb} far out, marked at the border: --limits all shows everything")
    axes.set_title("\n".join([_title(codes, name, coloring, axes, style), *notes]))
    _name_axes(axes, axis_names)
    return figure


def draw_map(axes: Any, codes: Floats, coloring: Coloring | None) -> int:
    """Draw codes (n, d) on axes that are given, 3-D ones for d = 3, as `map_figure` draws them.

    Returns how many are far out and marked at the border.

    Raises:
        InputError: codes of 1 number and a number for each.

    """
    _refuse_unfit(codes, coloring, None)
    values, _, axis_names, note = _project(codes, None)
    far = _draw(axes, values, None, coloring, MapStyle())
    if note:
        axes.set_title(note)
    _name_axes(axes, axis_names)
    return far


def _draw(
    axes: Any, values: Floats, beneath: Floats | None, coloring: Coloring | None, style: MapStyle
) -> int:
    """Draw codes of 1 to 3 numbers; return how many are far out."""
    if values.shape[1] == 1:
        classes = coloring if isinstance(coloring, Classes) else None
        return draw_histograms(axes, values[:, 0], classes, style=style, over=beneath)
    draw = draw_scatter_3d if values.shape[1] == 3 else draw_scatter
    return draw(axes, values, coloring, style=style, over=beneath)


def _name_axes(axes: Any, names: Sequence[str]) -> None:
    axes.set_xlabel(names[0])
    if len(names) > 1:
        axes.set_ylabel(names[1])


@default_style()
def maps_figure(
    maps: Sequence[tuple[str, Floats]],
    labels: npt.NDArray[np.int64] | None,
    class_names: Sequence[str] | None,
    all_names: Sequence[str] | None = None,
) -> Figure:
    """Draw maps of the same images side by side: titles and codes (n, d), coloured by label.

    Codes of more than two numbers are drawn as their first two principal components. `all_names` as
    of `Classes`.
    """
    classes = None if labels is None else Classes(labels, class_names, all_names)
    width, height = 5 * len(maps), 5.4
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
    for i, (title, codes) in enumerate(maps):
        axes = figure.add_axes(((5 * i + 0.1) / width, 0.1 / height, 4.8 / width, 4.8 / height))
        flat = codes if codes.shape[1] == 2 else pca_projection(codes, 2)[0]
        far = draw_scatter(axes, flat, classes)
        note = f"\n{far:,} of {len(flat):,} codes far out, at the border" if far else ""
        axes.set_title(f"{printable(title)}{note}")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def draw_scatter(
    axes: "Axes",
    values: Floats,
    coloring: Coloring | None,
    *,
    style: MapStyle | None = None,
    over: Floats | None = None,
) -> int:
    """Scatter codes (n, 2) at equal scale, each class with its name where it is densest.

    Beyond 50,000 codes they are counted in cells as small as the dots of the picture: this looks
    as if they were drawn one by one, and is much faster. Returns how many codes, also of those
    that they lie `over`, (m, 2), are far out and marked at the border. The axes must have their
    place in the figure.
    """
    style, values = style or MapStyle(), values.astype(np.float64)
    beneath = None if over is None else over.astype(np.float64)
    limits = _set_limits(axes, values, beneath, everything=style.everything)
    axes.spines[["top", "right"]].set_visible(False)
    far = 0
    if beneath is not None:
        _draw_codes(axes, beneath, None, limits, style, PALE_GREY)
        far += _mark_far(axes, beneath, None, limits, PALE_GREY)
    _draw_codes(axes, values, coloring, limits, style, UNLABELLED)
    far += _mark_far(axes, values, coloring, limits, UNLABELLED)
    if style.names and isinstance(coloring, Classes) and len(coloring) <= _MOST_NAMES_ON_MAP:
        _draw_names(axes, values, coloring, limits)
    return far


def draw_scatter_3d(
    axes: "Axes3D",
    values: Floats,
    coloring: Coloring | None,
    *,
    style: MapStyle | None = None,
    over: Floats | None = None,
) -> int:
    """Scatter codes (n, 3) at equal scale; returns how many are far out, as `draw_scatter` does."""
    style, values = style or MapStyle(), values.astype(np.float64)
    everything = values if over is None else np.concatenate([over.astype(np.float64), values])
    limits = find_limits(everything, everything=style.everything)
    beneath = len(everything) - len(values)
    if beneath:
        _draw_markers(axes, everything[:beneath][~limits.far[:beneath]], None, style, PALE_GREY)
    far = limits.far[beneath:]
    _draw_markers(axes, values, coloring, style, UNLABELLED, far)
    for bound, low, high in zip("xyz", limits.low, limits.high, strict=True):
        getattr(axes, f"set_{bound}lim")(low, high)
    if limits.far.any():
        colors = np.concatenate(
            [np.tile(_rgb(PALE_GREY), (beneath, 1)), _colors_of(coloring, len(values))]
        )
        edges = limits.clipped(everything[limits.far])
        axes.scatter(*edges.T, marker="x", s=30, c=colors[limits.far], depthshade=False)
    axes.set_aspect("equal")
    axes.set_zlabel("code 3")
    return int(limits.far.sum())


def draw_histograms(
    axes: "Axes",
    values: Floats,
    classes: Classes | None,
    *,
    style: MapStyle | None = None,
    over: Floats | None = None,
) -> int:
    """Draw a histogram of codes (n,) for each class, one above the other, each to its own peak.

    Those of more than 500 classes are one histogram of all codes; the lowest is that of the codes
    that they lie `over`, (m, 1). Returns how many are far out, as `draw_scatter` does.
    """
    style, values = style or MapStyle(), values.astype(np.float64)
    beneath = np.zeros(0) if over is None else over[:, 0].astype(np.float64)
    everything = np.concatenate([beneath, values])
    limits = find_limits(everything[:, None], everything=style.everything)
    edges = _bin_edges(everything[~limits.far])
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(float(limits.low[0]), float(limits.high[0]))
    rows = _histogram_rows(values, classes)
    if len(beneath):
        rows.append((f"beneath: {len(beneath):,}", beneath, PALE_GREY))
    for floor, (_, numbers, color) in enumerate(rows[::-1]):
        # The first class is the top row.
        counts, _ = np.histogram(numbers, bins=edges)
        heights = counts if len(rows) == 1 else 0.9 * counts / max(counts.max(), 1) + floor
        axes.stairs(heights, edges, baseline=floor, fill=True, color=color)
        for marker, bound, beyond in (
            ("<", limits.low[0], numbers < limits.low[0]),
            (">", limits.high[0], numbers > limits.high[0]),
        ):
            if beyond.any():
                axes.plot(bound, floor, marker, color=color, markeredgecolor="black", clip_on=False)
    if len(rows) == 1:
        axes.set_ylabel(rows[0][0])
        return int(limits.far.sum())
    if len(rows) <= _MOST_NAMES_OF_ROWS:
        names = [wrapped(name) for name in shortened_apart([row[0] for row in rows[::-1]], 32)]
        axes.set_yticks(range(len(rows)), names, fontsize=float(np.clip(250 / len(rows), 4.5, 10)))
    else:
        axes.set_yticks([])
    axes.set_ylim(-0.1, len(rows))
    return int(limits.far.sum())


def _histogram_rows(values: Floats, classes: Classes | None) -> list[tuple[str, Floats, str]]:
    """Return the rows of histograms, the top one first: their name, codes and colour."""
    if classes is None or len(classes) > _MOST_HISTOGRAMS:
        return [("codes" if classes is None else "codes of all classes", values, UNLABELLED)]
    rows = [
        (name, values[classes.index == i], classes.color(i)) for i, name in enumerate(classes.names)
    ]
    if classes.grey_name:
        rows.append((classes.grey_name, values[~classes.known], GREY))
    return rows


def _refuse_unfit(codes: Floats, coloring: Coloring | None, over: Background | None) -> None:
    dimensions = codes.shape[1]
    if isinstance(coloring, ContinuousColors) and dimensions == 1:
        raise InputError("a colour for each code needs codes of at least 2 numbers: these have 1")
    if over is not None and over.values.shape[1] != dimensions:
        raise InputError(
            f"codes of {dimensions} numbers cannot lie over {over.name}, whose codes have "
            f"{over.values.shape[1]}: expected codes of the same run"
        )


def _title(codes: Codes, name: str, coloring: Coloring | None, axes: Any, style: MapStyle) -> str:
    """Return the title, at most as wide as the map; one that is given may take two lines."""
    room = int(72 * _inches(axes) / (_TITLE_POINTS * _EM))
    if style.title is not None:
        return wrapped(shortened(style.title, 2 * room - 4), room) if style.title else ""
    rows, dimensions = codes.values.shape
    origin = codes.provenance
    where = f"{origin['data']} {origin['split']}" if origin else name
    what = f": {rows:,} {'code' if rows == 1 else 'codes'}, {dimensions}-D"
    if isinstance(coloring, Classes) and len(coloring) > _MOST_NAMES_ON_MAP:
        what += f", {len(coloring):,} classes"
    return shortened(where, max(12, room - len(what))) + what


def _inches(axes: Any) -> float:
    """Return how wide axes are, in inches."""
    return float(axes.get_position().width * axes.figure.get_figwidth())


def _project(
    values: Floats, over: Background | None
) -> tuple[Floats, Floats | None, list[str], str]:
    """Return codes (n, d), and those beneath, as d = 1..3 numbers each.

    Also returns the names of their axes, and a note for the title. Codes of more numbers become
    their first two principal components.
    """
    beneath = None if over is None else over.values
    if values.shape[1] <= 3:
        return values, beneath, [f"code {axis + 1}" for axis in range(values.shape[1])], ""
    fitted_to = values if beneath is None else beneath
    projected, kept = pca_projection(values, 2, fitted_to)
    if beneath is not None:
        beneath, kept = pca_projection(beneath, 2)
    note = f"first 2 principal components, {kept:.0%} of the variance"
    return projected, beneath, ["principal component 1", "principal component 2"], note


def _layout(
    dimensions: int, coloring: Coloring | None, over: Background | None, style: MapStyle
) -> tuple[Figure, Any]:
    """Return a figure with the axes of a map, and beside them a legend or a colour bar.

    The axes have a place of their own: whatever is written in the legend, the map keeps its size.
    """
    entries = [] if dimensions == 1 else _entries(coloring, over)
    has_bar = isinstance(coloring, ContinuousColors)
    beside = max(legend_width(len(entries)), legend_width(1) if has_bar else 0)
    least = legend_width(1) if beside else 0
    width, height = style.size or (_WIDTH + beside - least, _HEIGHT)
    # In a small picture the margins shrink too.
    scale = min(1, width / _WIDTH, height / _HEIGHT)
    beside = min(beside * scale, 0.45 * width)
    left = (_LEFT_OF_ROWS if dimensions == 1 and _has_rows(coloring, over) else _LEFT) * scale
    bottom, top, right = _BOTTOM * scale, _TOP * scale, _RIGHT * scale
    box = (left, bottom, width - left - right - beside, height - bottom - top)
    figure = Figure(figsize=(width, height), dpi=style.dpi)
    axes = figure.add_axes(
        _shares(box, width, height), projection="3d" if dimensions == 3 else None
    )
    strip = (width - beside, bottom, beside, box[3])
    if isinstance(coloring, ContinuousColors):
        draw_color_bar(figure, coloring, strip, entries)
    elif entries:
        draw_legend(figure, entries, strip)
    return figure, axes


def _shares(box: tuple[float, float, float, float], width: float, height: float) -> Any:
    """Return a box in inches as shares of a figure's size."""
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def _has_rows(coloring: Coloring | None, over: Background | None) -> bool:
    """Return whether histograms are rows with names."""
    if over is not None:
        return True
    return isinstance(coloring, Classes) and len(coloring) <= _MOST_NAMES_OF_ROWS


def _entries(coloring: Coloring | None, over: Background | None) -> list[Entry]:
    """Return what stands in a legend: just what the picture has."""
    entries = []
    if isinstance(coloring, Classes):
        counts = np.bincount(coloring.index[coloring.known], minlength=len(coloring))
        entries = [
            Entry(name, coloring.color(i), coloring.marker(i), int(counts[i]))
            for i, name in enumerate(coloring.names)
        ]
    elif coloring is None and over is not None:
        entries = [Entry("codes", UNLABELLED)]
    if coloring is not None and coloring.grey_name:
        entries.append(Entry(coloring.grey_name, GREY))
    if over is not None:
        entries.append(Entry(f"{over.name}: {len(over.values):,}", PALE_GREY))
    return entries


def _rgb(color: str) -> tuple[float, float, float]:
    return matplotlib.colors.to_rgb(color)


def _colors_of(coloring: Coloring | None, rows: int, color: str = UNLABELLED) -> Floats:
    """Return the colour of each code, (n, 3) in 0..1."""
    return np.tile(_rgb(color), (rows, 1)) if coloring is None else coloring.colors()


def _set_limits(
    axes: "Axes", values: Floats, beneath: Floats | None, *, everything: bool
) -> Limits:
    """Set the limits of axes to show codes (n, 2), and those beneath, at equal scale.

    `far` of what is returned is of no use: the limits are wider than those that were looked for.
    """
    both = values if beneath is None else np.concatenate([beneath, values])
    limits = find_limits(both, everything=everything).filling(axes.bbox.width, axes.bbox.height)
    axes.set_xlim(float(limits.low[0]), float(limits.high[0]))
    axes.set_ylim(float(limits.low[1]), float(limits.high[1]))
    largest = np.abs(both).max()
    if largest == 0 or largest > _FINEST:
        axes.set_aspect("equal", adjustable="datalim")
    return limits


def _draw_codes(
    axes: "Axes",
    values: Floats,
    coloring: Coloring | None,
    limits: Limits,
    style: MapStyle,
    color: str,
) -> None:
    """Draw codes (n, 2) as markers, or many of them as a bitmap."""
    if len(values) <= _MOST_MARKERS:
        _draw_markers(axes, values, coloring, style, color)
    else:
        _draw_counts(axes, values, coloring, limits, style, color)
    small = _marker_size(len(values), style) < _SMALLEST_SHAPE
    if small and isinstance(coloring, Classes) and coloring.has_markers:
        _draw_marks(axes, values, coloring)


def _marker_size(rows: int, style: MapStyle) -> float:
    """Return the area of a marker in points squared: about the same ink for any number of codes."""
    if style.dot_size is not None:
        return style.dot_size**2
    return float(np.clip(40_000 / rows, 0.8, 30))


def _opacity(rows: int) -> float:
    """Return the opacity of each of `rows` codes, 0..1; one alone can be told from white."""
    return float(np.clip((2_000 / rows) ** 0.35, 0.4, 0.9))


def _draw_markers(
    axes: Any,
    values: Floats,
    coloring: Coloring | None,
    style: MapStyle,
    color: str,
    without: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Draw a marker for each code (n, 2) or (n, 3), but for those `without`, (n,)."""
    rows = len(values)
    for chosen, colors, marker in _marker_groups(rows, coloring, color):
        drawn = chosen if without is None else chosen[~without[chosen]]
        axes.scatter(
            *values[drawn].T,
            color=colors if isinstance(colors, str) else colors[drawn],
            marker=marker,
            s=_marker_size(rows, style),
            alpha=_opacity(rows),
            linewidths=0,
            # In SVG and PDF many markers are one bitmap, or the file would be megabytes.
            rasterized=rows > _MOST_VECTOR_MARKERS,
            **({"depthshade": False} if values.shape[1] == 3 else {}),
        )


def _marker_groups(
    rows: int, coloring: Coloring | None, color: str
) -> Iterator[tuple[npt.NDArray[np.intp], Any, str]]:
    """Return the rows to draw with each marker, one colour or that of all rows, and the marker.

    Their order is random but fixed: in the order of the classes the last would cover the others.
    Those whose class or number nobody knows come first, beneath the others.
    """
    order = np.random.default_rng(0).permutation(rows)
    if coloring is None:
        yield order, color, "o"
        return
    colors, known = coloring.colors(), coloring.known[order]
    if not known.all():
        yield order[~known], GREY, "o"
        order = order[known]
    if isinstance(coloring, Classes):
        for marker, marked in coloring.by_marker():
            yield order[marked[order]], colors, marker
    else:
        yield order, colors, "o"


def _draw_marks(axes: "Axes", values: Floats, classes: Classes) -> None:
    """Draw some codes (n, 2) of each class so large that their shape can be seen."""
    order = np.random.default_rng(0).permutation(len(values))
    order = order[np.argsort(classes.index[order], kind="stable")]
    index = classes.index[order]
    rank = np.arange(len(order)) - np.searchsorted(index, index)
    chosen = order[(rank < _MARKS) & (index >= 0)]
    colors = classes.colors()
    for marker, marked in classes.by_marker():
        rows = chosen[marked[chosen]]
        axes.scatter(
            values[rows, 0],
            values[rows, 1],
            c=colors[rows],
            marker=marker,
            s=_MARK_SIZE,
            linewidths=0.5,
            edgecolors="white",
            zorder=2,
        )


def _mark_far(
    axes: "Axes", values: Floats, coloring: Coloring | None, limits: Limits, color: str
) -> int:
    """Mark codes (n, 2) beyond the limits at the border; return how many there are."""
    span = limits.high - limits.low
    if (values >= limits.low).all() and (values <= limits.high).all():
        return 0
    beyond = np.stack([limits.low - values, values - limits.high], axis=1) / span[None, None]
    beyond = beyond.reshape(len(values), 4)
    far = np.flatnonzero((beyond > 0).any(axis=1))
    colors = _colors_of(coloring, len(values), color)[far]
    places, sides = limits.clipped(values[far]), beyond[far].argmax(axis=1)
    for side, marker in enumerate("<v>^"):
        here = sides == side
        if here.any():
            axes.scatter(
                places[here, 0],
                places[here, 1],
                c=colors[here],
                marker=marker,
                s=45,
                linewidths=0.6,
                edgecolors="black",
                clip_on=False,
                zorder=4,
            )
    return len(far)


def _draw_names(axes: "Axes", values: Floats, classes: Classes, limits: Limits) -> None:
    """Write the name of each class where its codes (n, 2) are densest, or beside a line to there.

    A name for which there is no room is in the legend alone.
    """
    if not len(classes):
        return
    few = len(classes) <= 12
    weight = "bold" if len(classes) <= 30 else "normal"
    short = shortened_apart(classes.names, 36 if few else 22)
    texts = [wrapped(name, 16 if few else 12) for name in short]
    longest = max(map(len, short))
    points = 12.0 - min(3.5, 0.2 * max(0, longest - 8))
    if not few:
        points = min(points, float(np.clip(240 / len(classes), 6.5, 10)))
    width, height = axes.bbox.width, axes.bbox.height
    sizes = text_sizes(axes.figure, texts, points, weight)
    span = limits.high - limits.low
    every = -(-len(values) // _MOST_FOR_NAMES)
    pixels = (values[::every] - limits.low) / span * (width, height)
    halo = [withStroke(linewidth=2.5, foreground="white")]
    places = place_names(pixels, classes.index[::every], sizes, width, height)
    for i, (text, size, place) in enumerate(zip(texts, sizes, places, strict=True)):
        if place is None:
            continue
        at = limits.low + span * (place.x / width, place.y / height)
        if place.leader is not None:
            ends = np.array([place.edge(*size), place.leader])
            axes.plot(
                *(limits.low + span * (ends / (width, height))).T,
                color="black",
                linewidth=0.7 if few else 0.5,
                marker="o",
                markersize=4,
                markerfacecolor=classes.color(i),
                markevery=[1],
                path_effects=halo,
                zorder=3,
            )
        axes.text(
            float(at[0]),
            float(at[1]),
            text,
            ha="center",
            va="center",
            fontsize=points,
            fontweight=weight,
            linespacing=1.0,
            path_effects=halo,
            zorder=5,
        )


def _draw_counts(
    axes: "Axes",
    values: Floats,
    coloring: Coloring | None,
    limits: Limits,
    style: MapStyle,
    color: str,
) -> None:
    """Draw codes (n, 2) as a bitmap of cells, each as opaque as its codes on top of each other."""
    width, height = axes.bbox.width, axes.bbox.height
    scale = min(1.0, _MOST_CELLS / max(width, height))
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    cells = (values - limits.low) / (limits.high - limits.low) * (columns, rows)
    diameter = _marker_size(len(values), style) ** 0.5 * axes.figure.dpi / 72 * scale
    bitmap = count_in_cells(
        cells,
        (rows, columns),
        max(1, round(diameter)),
        _opacity(len(values)),
        coloring,
        _rgb(color),
    )
    (left, bottom), (right, top) = limits.low.tolist(), limits.high.tolist()
    axes.imshow(
        bitmap,
        extent=(left, right, bottom, top),
        origin="lower",
        interpolation="antialiased",
        aspect="auto",
        zorder=1,
    )


def _bin_edges(values: Floats) -> npt.NDArray[np.float64]:
    """Return the edges of histogram bins over codes (n,)."""
    # Equal codes need a width too.
    low, high = float(values.min()), float(values.max())
    half = (max(high - low, 1e-6 * max(abs(low), abs(high))) or 1e-6) / 2
    return (low + high) / 2 + np.linspace(-half, half, _BINS + 1)
