"""The part of the plane that a map shows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Codes are far out where they lie beyond the others by this many times the range of the middle
# 98 %; they are left out of the limits where these shrink by at least a half.
_FAR = 1.5
_TRIMMED = 0.01
_FEWEST = 20
_MOST_ROWS = 100_000  # That the quantiles are taken of; of more, of every second, third and so on.
_GAIN = 2.0
_MARGIN = 0.05

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Limits:
    """The least and largest numbers that a map shows, float64 (d,), and which codes lie beyond.

    `far`: bool (n,).
    """

    low: Floats
    high: Floats
    far: npt.NDArray[np.bool_]

    def clipped(self, values: Floats) -> Floats:
        """Return codes (n, d) moved to the nearest place that is shown."""
        return np.clip(values, self.low, self.high)

    def filling(self, width: float, height: float) -> "Limits":
        """Return the limits (2,) widened until both axes of a map of this size have one scale."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        lengths = np.array([width, height])
        half = (half / lengths).max() * lengths
        return Limits(middle - half, middle + half, self.far)


def find_limits(values: Floats, *, everything: bool = False) -> Limits:
    """Return the limits of a map of codes, float64 (n, d), with a margin.

    A few codes far out, at most 1 % at each end, would make the map of the others a speck: they are
    beyond the limits, unless `everything` is to be shown.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    far = np.zeros(len(values), np.bool_)
    if not everything and len(values) >= _FEWEST:
        near_low, near_high = _near(values[:: -(-len(values) // _MOST_ROWS)])
        if (low < near_low).any() or (high > near_high).any():
            outside = np.any((values < near_low) | (values > near_high), axis=1)
            inner = values[~outside]
            inner_low, inner_high = inner.min(axis=0), inner.max(axis=0)
            shrunk = inner_high - inner_low
            if shrunk.any() and ((high - low) > _GAIN * shrunk).any():
                low, high, far = inner_low, inner_high, outside
    half = (high - low) / 2 * (1 + 2 * _MARGIN)
    # Equal codes need a width too, and one that floats can tell from nothing.
    least = max(1e-6 * float(np.abs([low, high]).max()), float(half.max()) * 1e-6) or 0.05
    half = np.maximum(half, least)
    middle = low / 2 + high / 2
    return Limits(middle - half, middle + half, far)


def _near(values: Floats) -> tuple[Floats, Floats]:
    """Return between which numbers codes are not far out, (d,) each."""
    # At least one at each end, or a single code among a few would set the range itself.
    trimmed = max(1, math.ceil(_TRIMMED * len(values)))
    ordered = np.partition(values, [trimmed, len(values) - 1 - trimmed], axis=0)
    low, high = ordered[trimmed], ordered[len(values) - 1 - trimmed]
    reach = _FAR * (high - low)
    return low - reach, high + reach
