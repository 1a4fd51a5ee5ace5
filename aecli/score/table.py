"""A row for each code of a split: whose it is, and what is known of it."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.labels import UNKNOWN, Labels
from aecli.printable import significant
from aecli.run.points import PerPointMetric

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PointTable:
    """What is known of each code of a split.

    `rows`: how many there are. `files`: the names of the images, None where they have none.
    `labels`: int64 (n,), None without labels, and `predicted` those that the nearest codes predict,
    None where they predict none. `class_names`: what both index. `points`: numbers by their name,
    float32 (n,). `duplicate_of`: the row of the first equal or nearly equal image, -1 for none;
    None where none were looked for.
    """

    rows: int
    files: Sequence[str] | None
    labels: Labels | None
    predicted: Labels | None
    class_names: Sequence[str] | None
    points: Mapping[PerPointMetric, Floats]
    duplicate_of: Labels | None = None

    @property
    def columns(self) -> list[str]:
        """The names of the columns; those of what is rarely there come last."""
        more: list[str] = [name for name in self.points if name not in ("trust", "error")]
        more += ["duplicate_of"] if self.duplicate_of is not None else []
        return ["row", "file", "label", "predicted", "trust", "error", *more]

    def to_csv(self) -> bytes:
        """Return the table as CSV in UTF-8, with a head; a cell is empty where nothing is known."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for row in range(self.rows):
            cells = self.row(row)
            writer.writerow("" if cells[name] is None else cells[name] for name in self.columns)
        # Names of files are bytes, and not always text.
        return text.getvalue().encode("utf-8", "surrogateescape")

    def row(self, row: int) -> dict[str, Any]:
        """Return the cells of a row by column, in JSON's types; None where nothing is known."""
        duplicate = UNKNOWN if self.duplicate_of is None else int(self.duplicate_of[row])
        numbers: dict[str, float] = {
            name: float(str(values[row])) for name, values in self.points.items()
        }
        known: dict[str, Any] = {
            "row": row,
            "file": self.files[row] if self.files else None,
            "label": self._class(self.labels, row),
            "predicted": self._class(self.predicted, row),
            **numbers,
            "duplicate_of": None if duplicate == UNKNOWN else duplicate,
        }
        return {name: known.get(name) for name in self.columns}

    def worst(self, count: int) -> list[int]:
        """Return the rows of the worst codes: the largest errors first, without them least trust.

        Of as bad ones those come first whose label is not the one that is predicted.
        """
        nothing = np.zeros(self.rows, np.float32)
        error, trust = self.points.get("error", nothing), self.points.get("trust", nothing)
        right = np.zeros(self.rows, bool)
        if self.labels is not None and self.predicted is not None:
            right = (self.labels == self.predicted) | (self.labels == UNKNOWN)
        keys = (right, trust, -error) if "error" in self.points else (right, trust)
        found: list[int] = np.lexsort(keys)[:count].tolist()
        return found

    def worst_as_text(self, count: int) -> list[list[str]]:
        """Return the cells of the worst codes for people."""
        return [[_text(cell) for cell in self.row(row).values()] for row in self.worst(count)]

    def _class(self, labels: Labels | None, row: int) -> str | int | None:
        if labels is None or labels[row] == UNKNOWN:
            return None
        label = int(labels[row])
        return self.class_names[label] if self.class_names else label


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return significant(cell) if isinstance(cell, float) else str(cell)
