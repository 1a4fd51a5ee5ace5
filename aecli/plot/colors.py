"""Colours of codes: by class, or by a number for each code."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import matplotlib.colors
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D

# Petroff, *Accessible color sequences for data visualization* (2021): ten colours chosen to be
# told apart with colour-vision deficiencies too. Beyond ten, classes also differ by marker.
PALETTE: Sequence[Any] = matplotlib.color_sequences["petroff10"]
UNLABELLED = "#3f90da"
_MARKERS = "o^sDvP*X<>"
_COLORMAP = "viridis"

Floats = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.float64]


class Classes:
    """The classes among labels, int64 (n,), with their names, colours and markers."""

    def __init__(self, labels: npt.NDArray[np.int64], names: Sequence[str] | None) -> None:
        self.values, self.index = np.unique(labels, return_inverse=True)
        known = names or ()
        self.names = [known[v] if 0 <= v < len(known) else str(v) for v in self.values]

    def __len__(self) -> int:
        return len(self.values)

    def color(self, index: int) -> Any:
        """Return the colour of a class."""
        return PALETTE[index % len(PALETTE)]

    def colors(self) -> Rgb:
        """Return the colour of each label, (n, 3) in 0..1."""
        palette = [matplotlib.colors.to_rgb(self.color(i)) for i in range(len(self))]
        return np.array(palette)[self.index]

    def marker(self, index: int) -> str:
        """Return the marker of a class: one marker for each ten classes."""
        return _MARKERS[index // len(PALETTE) % len(_MARKERS)]

    def by_marker(self) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Return each marker in use, and which labels it marks, (n,)."""
        places = self.index // len(PALETTE) % len(_MARKERS)
        return [(_MARKERS[place], places == place) for place in np.unique(places)]

    def legend_handles(self) -> list[Line2D]:
        """Return a marker and a name for each class."""
        return [
            Line2D([], [], linestyle="", color=self.color(i), marker=self.marker(i), label=name)
            for i, name in enumerate(self.names)
        ]


@dataclass(frozen=True, eq=False)
class ContinuousColors:
    """A number for each code, float32 (n,), that codes are coloured by, and its name."""

    name: str
    values: Floats

    @property
    def limits(self) -> tuple[float, float]:
        """The values of the first and the last colour: outliers, 1 % at each end, do not count."""
        low, high = (float(edge) for edge in np.quantile(self.values, [0.01, 0.99]))
        return low, high if high > low else low + 1e-6 * max(abs(low), 1)

    def colors(self) -> Rgb:
        """Return the colour of each code, (n, 3) in 0..1."""
        low, high = self.limits
        colors = matplotlib.colormaps[_COLORMAP](np.clip((self.values - low) / (high - low), 0, 1))
        return np.asarray(colors[:, :3], np.float64)

    def scale(self) -> ScalarMappable:
        """Return the colour scale, for a colour bar."""
        return ScalarMappable(matplotlib.colors.Normalize(*self.limits), _COLORMAP)


Coloring = Classes | ContinuousColors
