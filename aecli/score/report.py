"""The numbers of all maps, in JSON's types and as rows of text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.config import SplitName
from aecli.printable import plural, significant
from aecli.run.points import PerPointMetric
from aecli.score.baselines import Embedding
from aecli.score.duplicates import DuplicateGroup, Duplicates
from aecli.score.likelihood import Likelihood
from aecli.score.scores import NEIGHBORS as COMPARED
from aecli.score.scores import VOTERS, Scores
from aecli.score.stability import NEIGHBORS, Stability
from aecli.score.table import PointTable

# What the table shows where nothing says why there is no number.
_UNKNOWN = "-"
# Groups of duplicates that are shown to people, and rows of each.
_GROUPS_SHOWN = 20
_ROWS_SHOWN = 5
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
            parts.append(f"{scores.voters or VOTERS}-NN {significant(scores.knn_accuracy)}")
        trust = scores.trustworthiness[min(scores.trustworthiness)]
        if trust is not None:
            parts.append(f"trust {significant(trust)}")
        if scores.mse is not None:
            parts.append(f"mse {significant(scores.mse)}")
        return f"{self.embedding.name}\n{', '.join(parts)}"


@dataclass(frozen=True, eq=False)
class Report:
    """What was found out about a map of a split, and about the same images on other maps.

    `maps` has the map in question first. Neighbourhoods, silhouette and the distances of classes
    are those of `sample` images of the `rows`. `points` has numbers of each code, float32 (n,), by
    their name; `stability` is None where it was not measured. `labelled`: how many of the rows have
    a label; the numbers of classes are of these alone. `known` has what is known of each code, and
    `worst` says how many of the worst are asked for; `duplicates` are the equal and nearly equal
    images: None where they were not asked for. `label_weight`: that of the training of the map in
    question, 0 where it used no labels; None where that is not known. `likelihood`: of the images
    for a variational model; None where the map is of another.
    """

    data: str
    split: SplitName
    rows: int
    sample: int
    maps: Sequence[ScoredMap]
    stability: Stability | None = None
    points: Mapping[PerPointMetric, npt.NDArray[np.float32]] = field(default_factory=dict)
    labelled: int = 0
    known: PointTable | None = None
    worst: int = 0
    duplicates: Duplicates | None = None
    label_weight: float | None = None
    likelihood: Likelihood | None = None

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
            **self._asked_for(),
        }

    def _asked_for(self) -> dict[str, Any]:
        """Return what not every report has in JSON's types: likelihood, worst codes, duplicates."""
        found: dict[str, Any] = {}
        if self.likelihood is not None:
            found["likelihood"] = self.likelihood.to_json()
        if self.known is not None and self.worst:
            found["worst"] = [self.known.row(row) for row in self.known.worst(self.worst)]
        if self.known is not None and self.duplicates is not None:
            found["duplicates"] = {
                "nearly": self.duplicates.limit,
                "groups": [
                    {
                        "difference": group.difference,
                        "images": [self._image(row) for row in group.rows],
                    }
                    for group in self.duplicates.groups
                ],
            }
        return found

    def _image(self, row: int) -> dict[str, Any]:
        cells = self.known.row(row) if self.known is not None else {}
        return {name: cells.get(name) for name in ("row", "file", "label")}

    @property
    def worst_table(self) -> list[list[str]]:
        """The worst codes as rows of text, with a head; none where they were not asked for."""
        if self.known is None or not self.worst:
            return []
        return [self.known.columns, *self.known.worst_as_text(self.worst)]

    @property
    def duplicates_table(self) -> list[list[str]]:
        """The largest groups of duplicates as rows of text, with a head; none where there are none.

        `differ by` is the largest root mean square difference of pixels.
        """
        if self.duplicates is None or not self.duplicates.groups:
            return []
        return [
            ["images", "differ by", "rows", "files", "labels"],
            *(
                [
                    str(len(group.rows)),
                    significant(group.difference),
                    *self._first_of(group),
                ]
                for group in self.duplicates.groups[:_GROUPS_SHOWN]
            ),
        ]

    def _first_of(self, group: DuplicateGroup) -> list[str]:
        """Return the first rows of a group, their files and all their labels, as text."""
        images = [self._image(row) for row in group.rows]
        shown, more = images[:_ROWS_SHOWN], ", ..." if len(images) > _ROWS_SHOWN else ""
        labels = {str(image["label"]): None for image in images if image["label"] is not None}
        files = ", ".join(str(image["file"]) for image in shown if image["file"] is not None)
        return [
            ", ".join(str(image["row"]) for image in shown) + more,
            files + more if files else _UNKNOWN,
            ", ".join([*labels][:_ROWS_SHOWN]) + (", ..." if len(labels) > _ROWS_SHOWN else "")
            or _UNKNOWN,
        ]

    @property
    def duplicates_note(self) -> str | None:
        """A line about duplicates; None where they were not looked for."""
        if self.duplicates is None:
            return None
        more = len(self.duplicates.groups) - _GROUPS_SHOWN
        hidden = f"; {plural(more, 'more group')} with --json" if more > 0 else ""
        return self.duplicates.note + hidden

    @property
    def header(self) -> list[str]:
        """The head of the table: which images were scored, and the name of each method."""
        return [f"{self.data} {self.split}", *(one.embedding.name for one in self.maps)]

    @property
    def table(self) -> list[list[str]]:
        """The rows of the table: the name of a number, and its value for each method."""
        columns = [_rows_of(one.scores, self.voters) for one in self.maps]
        rows = [
            [cells[0][0], *(value for _, value in cells)] for cells in zip(*columns, strict=True)
        ]
        others = [_UNKNOWN] * (len(self.maps) - 1)
        likelihood = [] if self.likelihood is None else self.likelihood.rows
        return rows + [[name, value, *others] for name, value in likelihood]

    @property
    def voters(self) -> int:
        """How many codes vote on a label, on the first map that has votes."""
        return next((one.scores.voters for one in self.maps if one.scores.voters), VOTERS)

    @property
    def few_note(self) -> str | None:
        """A line that says where fewer neighbours are compared; None where there are enough."""
        counts = tuple(self.maps[0].scores.trustworthiness)
        parts = []
        if counts != COMPARED:
            least = 2 * COMPARED[-1] + 1
            parts.append(
                f"{' and '.join(map(str, counts))} neighbours are compared, as there are "
                f"{plural(self.rows, 'image')}: {' and '.join(map(str, COMPARED))} take {least}"
            )
        if self.voters != VOTERS:
            parts.append(f"{plural(self.voters, 'code')} with a label can vote, not {VOTERS}")
        return "; ".join(parts) or None

    @property
    def sample_note(self) -> str | None:
        """A line that says what the sample is; None where it is all images."""
        if self.sample == self.rows:
            return None
        return (
            f"neighbourhoods, silhouette and class distances are of {self.sample:,} of the "
            f"{plural(self.rows, 'image')}, spread evenly; --sample takes more"
        )

    @property
    def labels_note(self) -> str | None:
        """A line that says which images have labels; None where all have one."""
        if self.labelled == self.rows:
            return None
        if self.labelled == 0:
            return (
                f"no image has a label: there are no {_OF_CLASSES}; name the DATASET and its "
                "--labels to have them"
            )
        those = "image that has" if self.labelled == 1 else "images that have"
        return f"{_OF_CLASSES} are of the {self.labelled:,} {those} a label"

    @property
    def training_labels_note(self) -> str | None:
        """A line that says that the training used labels; None where it did not."""
        if not self.label_weight:
            return None
        return (
            f"{self.maps[0].embedding.name}: it saw labels in training (--label-weight "
            f"{self.label_weight:g}), so {_OF_CLASSES} say how well it learned them, and are no "
            "discovery; the others saw none"
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
            f"{significant(stability.moved_median)} of the map's radius, 90 % by less than "
            f"{significant(stability.moved_90_percent)}"
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


def _rows_of(scores: Scores, voters: int) -> list[tuple[str, str]]:
    """Return the numbers of one map by name, as text; where there is none, why."""

    def text(name: str, value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return scores.why.get(name, _UNKNOWN)
        return significant(value)

    accuracy = text("knn_accuracy", scores.knn_accuracy)
    if scores.voters not in (None, voters):
        accuracy += f" ({scores.voters}-NN)"
    rows = [
        ("reconstruction mse", text("mse", scores.mse)),
        ("psnr, dB", text("psnr", scores.psnr)),
        (f"{voters}-NN accuracy", accuracy),
    ]
    for name, shares in (
        ("trustworthiness", scores.trustworthiness),
        ("continuity", scores.continuity),
    ):
        rows += [
            (f"{name}, {plural(count, 'neighbour')}", text(name, share))
            for count, share in shares.items()
        ]
    return [
        *rows,
        (
            f"of {plural(max(scores.trustworthiness), 'neighbour')} kept",
            text("recall", scores.recall),
        ),
        ("silhouette of the classes", text("silhouette", scores.silhouette)),
        (
            "class distances, correlation",
            text("centroid_correlation", scores.centroid_correlation),
        ),
        ("seconds to fit", text("fit_seconds", scores.fit_seconds)),
        ("seconds to place", text("place_seconds", scores.place_seconds)),
    ]
