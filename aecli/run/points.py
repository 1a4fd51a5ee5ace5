"""The numbers that may be known of each code: which there are, and what makes them."""

from dataclasses import dataclass
from typing import Literal

PerPointMetric = Literal["trust", "error", "moved"]


@dataclass(frozen=True)
class PerPoint:
    """A number of each code: its `meaning` in words, what it `needs`, and what makes its file.

    `made_by` is a command and its options.
    """

    meaning: str
    needs: Literal["images", "decoder", "seeds"]
    made_by: tuple[str, ...] = ("aecli score", "--per-point")


PER_POINT: dict[PerPointMetric, PerPoint] = {
    "trust": PerPoint("share of the true neighbours kept", "images"),
    "error": PerPoint("squared error of the reconstruction, a pixel", "decoder"),
    "moved": PerPoint(
        "distance from the mean place over the seeds",
        "seeds",
        ("aecli score", "--per-point", "--stability", "3"),
    ),
}
