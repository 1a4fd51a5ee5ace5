"""Colours of codes: by class, or by a number for each code."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aecli.plot import library  # noqa: F401

# isort: split
import matplotlib
import matplotlib.colors
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable

from aecli.labels import UNKNOWN
from aecli.plot.names import one_name

# Twenty-two colours for a white ground. Six are of Petroff, *Accessible color sequences for data
# visualization* (2021), whose greys and tan would be taken for `GREY`, and whose pale cyan for
# white. The others were searched for: as far from all of these and from `GREY` as can be, in OKLab
# (Ottosson, 2020), as people with full colour vision see them and, by the matrices of Machado et
# al. (2009), those without red, green or blue cones.
PALETTE: tuple[str, ...] = (
    "#3f90da", "#ffa90e", "#bd1f01", "#559600", "#832db6", "#a96b59", "#e76300", "#b9a555",
    "#006485", "#43c8e9", "#7a1600", "#642cff", "#ff16c8", "#9b9bff", "#de6f90", "#9064ff",
    "#6f0b6f", "#856fa6", "#1600de", "#b10b7a", "#596437", "#4e0ba6",
)  # fmt: skip
UNLABELLED = PALETTE[0]
# Codes without a class or number, or whose class is not highlighted, beneath the others.
GREY = "#b0b0b0"
# Codes that only show where others lie, beneath all.
PALE_GREY = "#c8c8c8"
# Beyond the palette classes also differ by marker.
MARKERS = "o^sDvP*X<>"
# Viridis (van der Walt and Smith, 2015) without its last quarter, which is too pale for dots.
_COLORMAP = matplotlib.colors.ListedColormap(
    matplotlib.colormaps["viridis"](np.linspace(0, 0.8, 256)), "viridis to green"
)
_CUT = 0.01
# The numbers are cut where all of them would take this many times the range of the others.
_CUT_GAIN = 1.5

Floats = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


class Classes:
    """The classes among labels, int64 (n,), with their names, colours and markers.

    `names`: what the labels index. `all_names`: those of all classes of the run, by which a class
    has its colour whichever others are drawn. `highlight`: the names of the only classes that are
    not grey.

    `values` are the labels that occur, in order, `names` and `places` of the same length their
    names and places among all classes. `index`: which of these each row has, -1 for none, (n,).
    """

    def __init__(
        self,
        labels: npt.NDArray[np.int64],
        names: Sequence[str] | None,
        all_names: Sequence[str] | None = None,
        highlight: Collection[str] | None = None,
    ) -> None:
        known = labels != UNKNOWN
        index = np.full(len(labels), -1, np.intp)
        values, index[known] = _unique(labels[known])
        texts = [one_name(text) for text in _texts(values, names)]
        places = np.array(_places(values, names, all_names), np.intp)
        shown = [i for i, text in enumerate(texts) if highlight is None or text in highlight]
        # The last place is that of the unknown ones.
        to_shown = np.full(len(values) + 1, -1, np.intp)
        to_shown[shown] = np.arange(len(shown))
        self.values = values[shown]
        self.names = [texts[i] for i in shown]
        self.places = places[shown]
        self.index: Index = to_shown[index]
        self._grey_word = "unknown" if highlight is None else "others"

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which rows have a class that is drawn in its colour, (n,)."""
        return np.asarray(self.index >= 0)

    def color(self, index: int) -> str:
        """Return the colour of a class, `#rrggbb`: that of its place among those of the run.

        There are `len(PALETTE)`; beyond, they repeat, with another of `MARKERS`.
        """
        return PALETTE[int(self.places[index]) % len(PALETTE)]

    def palette(self) -> Rgb:
        """Return the colours of the classes, and last that of rows without one, (k + 1, 3)."""
        colors = [self.color(i) for i in range(len(self))]
        return np.array([matplotlib.colors.to_rgb(color) for color in [*colors, GREY]])

    def colors(self) -> Rgb:
        """Return the colour of each label, (n, 3) in 0..1."""
        return self.palette()[self.index]

    def marker(self, index: int) -> str:
        """Return the marker of a class: one for each round of the palette."""
        return MARKERS[self.places[index] // len(PALETTE) % len(MARKERS)]

    @property
    def has_markers(self) -> bool:
        """Whether classes differ by more than their colours."""
        return len({self.marker(i) for i in range(len(self))}) > 1

    def by_marker(self) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Return each marker in use, and which labels it marks, (n,)."""
        rounds = np.append(self.places // len(PALETTE) % len(MARKERS), -1)[self.index]
        return [(MARKERS[one], rounds == one) for one in np.unique(rounds) if one >= 0]

    @property
    def grey_name(self) -> str | None:
        """What stands in the legend for the grey rows; None where all have a class."""
        grey = len(self.index) - int(self.known.sum())
        return f"{self._grey_word}: {grey:,}" if grey else None


@dataclass(frozen=True, eq=False)
class ContinuousColors:
    """A number for each code, float32 (n,), that codes are coloured by, and its name.

    NaN where nobody knows it, but not everywhere.
    """

    name: str
    values: Floats

    @cached_property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which codes have a number, (n,)."""
        return ~np.isnan(self.values)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The values of the first and the last colour.

        A few outliers, at most 1 % at each end, do not count where they would take most colours.
        """
        known = self.values[self.known]
        low, high = float(known.min()), float(known.max())
        near = [float(edge) for edge in np.quantile(known, [_CUT, 1 - _CUT])]
        if high - low > _CUT_GAIN * (near[1] - near[0]) > 0:
            low, high = near
        return low, high if high > low else low + 1e-6 * max(abs(low), 1)

    @property
    def cut(self) -> tuple[int, int]:
        """How many numbers are below the first colour's value, and above the last one's."""
        low, high = self.limits
        return int((self.values < low).sum()), int((self.values > high).sum())

    @property
    def grey_name(self) -> str | None:
        """What stands in the legend for codes without a number; None where all have one."""
        unknown = len(self.values) - int(self.known.sum())
        return f"unknown: {unknown:,}" if unknown else None

    def colors_of(self, values: npt.NDArray[np.floating[Any]]) -> Rgb:
        """Return the colour of numbers of any shape, (..., 3) in 0..1; grey for NaN."""
        low, high = self.limits
        colormap = _COLORMAP.with_extremes(bad=GREY)
        colors = colormap(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1))
        return np.asarray(colors[..., :3], np.float64)

    def colors(self) -> Rgb:
        """Return the colour of each code, (n, 3) in 0..1."""
        return self.colors_of(self.values)

    def scale(self) -> ScalarMappable:
        """Return the colour scale, for a colour bar."""
        return ScalarMappable(matplotlib.colors.Normalize(*self.limits), _COLORMAP)


def colormap_bytes() -> npt.NDArray[np.uint8]:
    """Return the colours of numbers from low to high, uint8 (256, 3)."""
    colors = _COLORMAP(np.linspace(0, 1, 256), bytes=True)
    return np.ascontiguousarray(colors[:, :3])


Coloring = Classes | ContinuousColors


def _unique(labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Index]:
    """Return the different labels in order, and which of them each is, as `np.unique` does."""
    if len(labels) and (least := int(labels.min())) >= 0 and int(labels.max()) < len(labels):
        # Counting is much faster than sorting.
        counts = np.bincount(labels)
        values = np.flatnonzero(counts[least:]) + least
        place = np.zeros(len(counts), np.intp)
        place[values] = np.arange(len(values))
        return values, place[labels]
    values, index = np.unique(labels, return_inverse=True)
    return values, index


def _texts(values: npt.NDArray[np.int64], names: Sequence[str] | None) -> list[str]:
    """Return the names of labels: those that they index, else their numbers."""
    known = names or ()
    return [known[value] if 0 <= value < len(known) else str(value) for value in values.tolist()]


def _places(
    values: npt.NDArray[np.int64], names: Sequence[str] | None, all_names: Sequence[str] | None
) -> list[int]:
    """Return the place of each class among all classes of its run; others come after those."""
    known: dict[str, int] = {name: place for place, name in enumerate(all_names or names or ())}
    if not known and len(values) and values[0] >= 0 and values[-1] < len(PALETTE):
        # Numbers that few enough classes count from 0: some may be missing here.
        return [int(value) for value in values]
    others = iter(range(len(known), len(known) + len(values)))
    return [known[t] if t in known else next(others) for t in _texts(values, names)]
