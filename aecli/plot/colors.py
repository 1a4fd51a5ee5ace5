"""Colours of codes: by class, or by a number for each code."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aecli.plot import library  # noqa: F401

# isort: split
import matplotlib
import matplotlib.colors
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D

from aecli.labels import UNKNOWN
from aecli.printable import one_line

# Petroff, *Accessible color sequences for data visualization* (2021): ten colours chosen to be
# told apart with colour-vision deficiencies too. Beyond ten, classes also differ by marker.
PALETTE: Sequence[Any] = matplotlib.color_sequences["petroff10"]
UNLABELLED = "#3f90da"
# Codes whose class or number nobody knows, beneath the others.
UNKNOWN_COLOR = "#d4d4d4"
_MARKERS = "o^sDvP*X<>"
_COLORMAP = "viridis"
# Longer names of classes lose their middle: beside them there must be room for the map.
_LONGEST_NAME = 40

Floats = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.float64]


def shortened(name: str) -> str:
    """Return a name as pictures have it: in one line, without its middle if it is long."""
    return one_line(name, _LONGEST_NAME)


class Classes:
    """The classes among labels, int64 (n,), with their names, colours and markers.

    `known`: which rows have a class, (n,). `index`: the place of the class of each row, -1 without.
    """

    def __init__(self, labels: npt.NDArray[np.int64], names: Sequence[str] | None) -> None:
        self.known: npt.NDArray[np.bool_] = labels != UNKNOWN
        self.index = np.full(len(labels), -1, np.intp)
        self.values, self.index[self.known] = np.unique(labels[self.known], return_inverse=True)
        known = [shortened(name) for name in names or ()]
        self.names = [known[v] if 0 <= v < len(known) else str(v) for v in self.values]

    def __len__(self) -> int:
        return len(self.values)

    def color(self, index: int) -> Any:
        """Return the colour of a class."""
        return PALETTE[index % len(PALETTE)]

    def hex_color(self, index: int) -> str:
        """Return the colour of a class as `#rrggbb`."""
        return matplotlib.colors.to_hex(self.color(index))

    def colors(self) -> Rgb:
        """Return the colour of each label, (n, 3) in 0..1."""
        palette = [matplotlib.colors.to_rgb(self.color(i)) for i in range(len(self))]
        # The last place is that of the unknown ones.
        palette.append(matplotlib.colors.to_rgb(UNKNOWN_COLOR))
        return np.array(palette)[self.index]

    def marker(self, index: int) -> str:
        """Return the marker of a class: one marker for each ten classes."""
        return _MARKERS[index // len(PALETTE) % len(_MARKERS)]

    def by_marker(self) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Return each marker in use, and which labels it marks, (n,)."""
        places = np.where(self.known, self.index // len(PALETTE) % len(_MARKERS), -1)
        return [(_MARKERS[place], places == place) for place in np.unique(places) if place >= 0]

    @property
    def unknown_name(self) -> str | None:
        """What stands in the legend for rows without a class; None where all have one."""
        unknown = len(self.known) - int(self.known.sum())
        return f"unknown: {unknown:,}" if unknown else None

    def legend_handles(self) -> list[Line2D]:
        """Return a marker and a name for each class, and for the rows without one."""
        looks = [(self.color(i), self.marker(i), name) for i, name in enumerate(self.names)]
        if self.unknown_name:
            looks.append((UNKNOWN_COLOR, _MARKERS[0], self.unknown_name))
        return [
            Line2D([], [], linestyle="", color=color, marker=marker, label=name)
            for color, marker, name in looks
        ]


@dataclass(frozen=True, eq=False)
class ContinuousColors:
    """A number for each code, float32 (n,), that codes are coloured by, and its name.

    NaN where nobody knows it, but not everywhere.
    """

    name: str
    values: Floats

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which codes have a number, (n,)."""
        return ~np.isnan(self.values)

    @property
    def limits(self) -> tuple[float, float]:
        """The values of the first and the last colour: outliers, 1 % at each end, do not count."""
        low, high = (float(edge) for edge in np.quantile(self.values[self.known], [0.01, 0.99]))
        return low, high if high > low else low + 1e-6 * max(abs(low), 1)

    def colors(self) -> Rgb:
        """Return the colour of each code, (n, 3) in 0..1."""
        low, high = self.limits
        colormap = matplotlib.colormaps[_COLORMAP].with_extremes(bad=UNKNOWN_COLOR)
        colors = colormap(np.clip((self.values - low) / (high - low), 0, 1))
        return np.asarray(colors[:, :3], np.float64)

    def scale(self) -> ScalarMappable:
        """Return the colour scale, for a colour bar."""
        return ScalarMappable(matplotlib.colors.Normalize(*self.limits), _COLORMAP)


def colormap_bytes() -> npt.NDArray[np.uint8]:
    """Return the colours of numbers from low to high, uint8 (256, 3)."""
    colors = matplotlib.colormaps[_COLORMAP](np.linspace(0, 1, 256), bytes=True)
    return np.ascontiguousarray(colors[:, :3])


Coloring = Classes | ContinuousColors
