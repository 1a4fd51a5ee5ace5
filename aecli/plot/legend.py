"""What stands beside a map: a legend of classes, or a colour bar."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aecli.plot import library  # noqa: F401

# isort: split
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from aecli.plot.colors import ContinuousColors
from aecli.plot.names import shortened, shortened_apart, wrapped

# For up to so many entries: columns, points of a letter, and the width of all in inches.
_LAYOUTS = ((28, 1, 9.5, 1.65), (44, 1, 7.5, 1.65), (84, 2, 7.5, 2.7), (144, 3, 6.8, 3.0))
_LINE = 1.3  # The height of a row, in letters.
_MARKER = 2.2  # The width of a marker and the space around it, in letters.
_EM = 0.56  # About how wide a letter is.
_BAR_WIDTH = 0.18

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Entry:
    """A row of a legend: its name, colour and marker, and how many codes it stands for."""

    name: str
    color: str
    marker: str = "o"
    count: int = 0


def legend_width(entries: int) -> float:
    """Return how wide a legend is, in inches: it follows from the number of its entries alone."""
    return _layout(entries)[3] if entries else 0.0


def _layout(entries: int) -> tuple[int, int, float, float]:
    return next((one for one in _LAYOUTS if entries <= one[0]), _LAYOUTS[-1])


def draw_legend(figure: Figure, entries: Sequence[Entry], box: Box) -> None:
    """Draw a legend at the top of a box (left, bottom, width, height), in inches.

    Of more entries than there is room for those of the most codes are shown, and the others
    counted. Names are shortened in the middle, or wrapped where there is room for that.
    """
    most, columns, points, full_width = _layout(len(entries))
    points *= min(1.0, box[2] / full_width)
    rows = int(box[3] * 72 / (points * _LINE))
    shown = _largest(entries, min(most, rows * columns))
    texts = _fitted(figure, [entry.name for entry in shown], points, box[2] / columns, rows // 2)
    if len(texts) > rows // 2 or columns > 1:
        texts = [text.replace("\n", " ") for text in texts]
    handles = [
        Line2D([], [], linestyle="", color=entry.color, marker=entry.marker, label=text)
        for entry, text in zip(shown, texts, strict=True)
    ]
    width, height = figure.get_size_inches()
    column = text_sizes(figure, texts, points)[:, 0].max() / figure.dpi * 72 / points + _MARKER
    spare = box[2] / columns * 72 / points - column
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(box[0] / width, (box[1] + box[3]) / height),
        ncols=columns,
        fontsize=points,
        markerscale=points / 10,
        frameon=False,
        borderpad=0,
        borderaxespad=0.6,
        handlelength=1.0,
        handletextpad=0.5,
        columnspacing=float(np.clip(spare, 0.3, 2)),
        labelspacing=_LINE - 1,
    )


def draw_color_bar(
    figure: Figure, coloring: ContinuousColors, box: Box, grey: Sequence[Entry]
) -> None:
    """Draw a colour bar in a box, as `draw_legend`, and a legend of what is grey below it.

    Where the bar is cut it ends in a point, and says how many numbers lie beyond.
    """
    width, height = figure.get_size_inches()
    left, bottom, across, upwards = box
    bar = (left + 0.1 * across, bottom + 0.3 * upwards, _BAR_WIDTH, 0.55 * upwards)
    axes = figure.add_axes(
        (bar[0] / width, bar[1] / height, bar[2] / width, bar[3] / height), label="colour bar"
    )
    below, above = coloring.cut
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    drawn = figure.colorbar(
        coloring.scale(),
        cax=axes,
        label=wrapped(shortened(coloring.name, 80), 44),
        extend=extend[int(below > 0), int(above > 0)],
    )
    drawn.outline.set_visible(False)
    low, high = coloring.limits
    for count, word, limit, at, side in (
        (below, "below", low, -0.07, "top"),
        (above, "above", high, 1.07, "bottom"),
    ):
        if count:
            text = f"{count:,} {word} {limit:.3g}"
            axes.text(0, at, text, transform=axes.transAxes, va=side, fontsize=8)
    if grey:
        draw_legend(figure, grey, (left, bottom, across, 0.2 * upwards))


def text_sizes(
    figure: Any, texts: Sequence[str], points: float, weight: str = "normal"
) -> npt.NDArray[np.float64]:
    """Return width and height of texts, which may have several lines, in dots, float64 (k, 2)."""
    canvas = (
        figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    )
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    font = FontProperties(size=points, weight=weight)
    sizes = np.zeros((len(texts), 2))
    for i, text in enumerate(texts):
        lines = text.split("\n")
        widths = [renderer.get_text_width_height_descent(line, font, False)[0] for line in lines]
        sizes[i] = max(1.0, *widths), len(lines) * points * 1.15 * figure.dpi / 72
    return sizes


def _largest(entries: Sequence[Entry], most: int) -> list[Entry]:
    """Return at most `most` entries, in their order; what is left out is the last one."""
    if len(entries) <= most:
        return list(entries)
    ranked = sorted(range(len(entries)), key=lambda i: -entries[i].count)[: most - 1]
    more = Entry(f"and {len(entries) - len(ranked):,} more", "none")
    return [*(entries[i] for i in sorted(ranked)), more]


def _fitted(
    figure: Figure, names: Sequence[str], points: float, inches: float, wrap_up_to: int
) -> list[str]:
    """Return names that are at most so wide beside their markers, in two or three lines if few."""
    room = inches * 72 - _MARKER * points
    letters = max(4, int(room / (_EM * points)))
    lines = 3 if 3 * len(names) <= wrap_up_to * 2 else 2 if len(names) <= wrap_up_to else 1
    while True:
        short = shortened_apart(names, letters * lines - (0 if lines == 1 else letters // 2))
        texts = [wrapped(name, letters) for name in short] if lines > 1 else short
        widest = text_sizes(figure, texts, points)[:, 0].max() * 72 / figure.dpi
        if widest <= room or letters <= 4:
            return texts
        letters -= 1
