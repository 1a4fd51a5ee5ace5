"""Row selections: slices, or ascending row numbers."""

import numpy as np
import numpy.typing as npt

Rows = slice | npt.NDArray[np.int64]


def count_of(rows: Rows) -> int:
    """Return the number of rows selected; a slice must have a start and a stop."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def rows_between(rows: Rows, start: int, stop: int) -> Rows:
    """Return `rows[start:stop]`, also for a slice with a start and a stop."""
    if isinstance(rows, slice):
        return slice(rows.start + start, min(rows.start + stop, rows.stop))
    return rows[start:stop]


def rows_at(rows: Rows, positions: npt.NDArray[np.int64]) -> Rows:
    """Return `rows[positions]`, also for a slice with a start."""
    return positions + rows.start if isinstance(rows, slice) else rows[positions]


def spread_evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` of the positions below `count`, ascending and evenly spread."""
    taken = min(count, most)
    return np.arange(taken) * count // taken
