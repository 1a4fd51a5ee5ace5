"""A row for each code of a split: whose it is, and what is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.csv_text import csv_bytes
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
    None where none were looked for. `codes`: float32 (n, d), None where they are not to be shown.
    """

    rows: int
    files: Sequence[str] | None
    labels: Labels | None
    predicted: Labels | None
    class_names: Sequence[str] | None
    points: Mapping[PerPointMetric, Floats] | Mapping[str, Floats]
    duplicate_of: Labels | None = None
    codes: Floats | None = None

    @property
    def columns(self) -> list[str]:
        """The names of the columns; those of what is rarely there come last."""
        more = [name for name in self.points if name not in ("trust", "error")]
        more += ["duplicate_of"] if self.duplicate_of is not None else []
        return ["row", "file", "label", "predicted", "trust", "error", *more, *self._code_columns]

    @property
    def known_columns(self) -> list[str]:
        """Those of the columns in which something is known."""
        unknown = {
            name
            for name, values in (
                ("file", self.files),
                ("label", self.labels),
                ("predicted", self.predicted),
                ("trust", self.points.get("trust")),
                ("error", self.points.get("error")),
            )
            if values is None
        }
        return [name for name in self.columns if name not in unknown]

    @property
    def _code_columns(self) -> list[str]:
        dimensions = 0 if self.codes is None else self.codes.shape[1]
        return [f"code_{number}" for number in range(1, dimensions + 1)]

    def to_csv(self, columns: Sequence[str] | None = None) -> bytes:
        """Return the table as CSV; a cell is empty where nothing is known.

        `columns`: those to write, all unless given.
        """
        columns = self.columns if columns is None else columns
        rows = (self.row(row) for row in range(self.rows))
        return csv_bytes(columns, ([cells[name] for name in columns] for cells in rows))

    def row(self, row: int) -> dict[str, Any]:
        """Return the cells of a row by column, in JSON's types; None where nothing is known."""
        duplicate = UNKNOWN if self.duplicate_of is None else int(self.duplicate_of[row])
        numbers = {name: _number(values[row]) for name, values in self.points.items()}
        if self.codes is not None:
            numbers |= zip(self._code_columns, map(_number, self.codes[row]), strict=True)
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


def _number(value: np.float32) -> float | None:
    """Return a float32 with its own digits, not those of the float64 beside it; None for NaN."""
    return None if np.isnan(value) else float(str(value))


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return significant(cell) if isinstance(cell, float) else str(cell)
