"""The numbers of all maps, in JSON's types and as rows of text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.config import SplitName
from aecli.run.points import PerPointMetric
from aecli.score.baselines import Embedding
from aecli.score.scores import VOTERS, Scores
from aecli.score.stability import NEIGHBORS, Stability

# What the table shows where there is no number, and where a method has no decoder.
_UNKNOWN = "-"
_NO_DECODER = "cannot"
_OF_CLASSES = f"{VOTERS}-NN accuracy, silhouette and class distances"


@dataclass(frozen=True, eq=False)
class ScoredMap:
    """A map and its scores."""

    embedding: Embedding
    scores: Scores

    @property
    def title(self) -> str:
        """The name of the method, and below it the scores that matter most."""
        scores = self.scores
        parts = []
        if scores.knn_accuracy is not None:
            parts.append(f"{VOTERS}-NN {scores.knn_accuracy:.3f}")
        trust = scores.trustworthiness[min(scores.trustworthiness)]
        if trust is not None:
            parts.append(f"trust {trust:.3f}")
        if scores.mse is not None:
            parts.append(f"mse {scores.mse:.4f}")
        return f"{self.embedding.name}\n{', '.join(parts)}"


@dataclass(frozen=True, eq=False)
class Report:
    """What was found out about a map of a split, and about the same images on other maps.

    `maps` has the map in question first. Neighbourhoods, silhouette and the distances of classes
    are those of `sample` images of the `rows`. `points` has numbers of each code, float32 (n,), by
    their name; `stability` is None where it was not measured. `labelled`: how many of the rows have
    a label; the numbers of classes are of these alone. `label_weight`: that of the training of the
    map in question, 0 where it used no labels; None where that is not known.
    """

    data: str
    split: SplitName
    rows: int
    sample: int
    maps: Sequence[ScoredMap]
    stability: Stability | None = None
    points: Mapping[PerPointMetric, npt.NDArray[np.float32]] = field(default_factory=dict)
    labelled: int = 0
    label_weight: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers in JSON's types; those of `points` go to files of their own."""
        return {
            "data": self.data,
            "split": self.split,
            "rows": self.rows,
            "sample": self.sample,
            "labelled": self.labelled,
            "label_weight": self.label_weight,
            "maps": {one.embedding.name: _scores_to_json(one.scores) for one in self.maps},
            "stability": None if self.stability is None else _stability_to_json(self.stability),
        }

    @property
    def header(self) -> list[str]:
        """The head of the table: which images were scored, and the name of each method."""
        return [f"{self.data} {self.split}", *(one.embedding.name for one in self.maps)]

    @property
    def table(self) -> list[list[str]]:
        """The rows of the table: the name of a number, and its value for each method."""
        columns = [_rows_of(one.scores) for one in self.maps]
        return [
            [cells[0][0], *(value for _, value in cells)] for cells in zip(*columns, strict=True)
        ]

    @property
    def sample_note(self) -> str | None:
        """A line that says what the sample is; None where it is all images."""
        if self.sample == self.rows:
            return None
        return (
            f"neighbourhoods, silhouette and class distances are of {self.sample:,} of the "
            f"{self.rows:,} images, spread evenly; --sample takes more"
        )

    @property
    def labels_note(self) -> str | None:
        """A line that says which images have labels; None where all have one."""
        if self.labelled == self.rows:
            return None
        if self.labelled == 0:
            return (
                f"no image has a label: there are no {_OF_CLASSES}; --labels takes them from a file"
            )
        return f"{_OF_CLASSES} are of the {self.labelled:,} images that have a label"

    @property
    def training_labels_note(self) -> str | None:
        """A line that says that the training used labels; None where it did not."""
        if not self.label_weight:
            return None
        return (
            f"{self.maps[0].embedding.name} used labels in training (--label-weight "
            f"{self.label_weight:g}): {_OF_CLASSES} say how well it learned them, and are no "
            "discovery; the others saw no labels"
        )

    @property
    def stability_note(self) -> str | None:
        """A line about stability; None where it was not measured."""
        stability = self.stability
        if stability is None:
            return None
        if math.isnan(stability.kept):
            return f"over {len(stability.seeds)} seeds: all codes of a seed are the same"
        return (
            f"over {len(stability.seeds)} seeds: {stability.kept:.0%} of the {NEIGHBORS} nearest "
            "codes are the same; laid over each other, the median code moves by "
            f"{stability.moved_median:.2f} of the map's radius, 90 % by less than "
            f"{stability.moved_90_percent:.2f}"
        )


def _scores_to_json(scores: Scores) -> dict[str, Any]:
    """Return the fields of scores; JSON's names are text."""
    return {
        name: {str(count): share for count, share in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in asdict(scores).items()
    }


def _stability_to_json(stability: Stability) -> dict[str, Any]:
    return {
        "seeds": list(stability.seeds),
        "disparity": stability.disparity,
        "neighbors_kept": None if math.isnan(stability.kept) else stability.kept,
        "moved_median": stability.moved_median,
        "moved_90_percent": stability.moved_90_percent,
    }


def _rows_of(scores: Scores) -> list[tuple[str, str]]:
    """Return the numbers of one map by name, as text."""
    rows = [
        ("reconstruction mse", _text(scores.mse, ".4f", _NO_DECODER)),
        ("psnr, dB", _text(scores.psnr, ".2f", _NO_DECODER)),
        (f"{VOTERS}-NN accuracy", _text(scores.knn_accuracy)),
    ]
    for name, shares in (
        ("trustworthiness", scores.trustworthiness),
        ("continuity", scores.continuity),
    ):
        rows += [(f"{name}, {count} neighbours", _text(shares[count])) for count in shares]
    return [
        *rows,
        (f"of {max(scores.trustworthiness)} neighbours kept", _text(scores.recall)),
        ("silhouette of the classes", _text(scores.silhouette)),
        ("class distances, correlation", _text(scores.centroid_correlation)),
        ("seconds to fit", _text(scores.fit_seconds, ".3g")),
        ("seconds to place", _text(scores.place_seconds, ".3g")),
    ]


def _text(value: float | None, pattern: str = ".3f", none: str = _UNKNOWN) -> str:
    return none if value is None or not math.isfinite(value) else format(value, pattern)
