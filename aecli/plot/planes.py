"""What to decode: places on the plane of the codes, along a line, and along each number."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecli.errors import InputError

# Codes outside these quantiles, few and far, do not decide what is shown; and the margin around.
_OUTER, _MARGIN = 0.005, 0.05
# With fewer for each place, what lies next to a code is covered too.
_CODES_A_CELL = 4
# Between these quantiles each number of a code goes its way.
_TRAVERSED = (0.02, 0.98)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Plane:
    """Places in rows and columns over the region where codes (n, 2) lie.

    `codes`: float32 (rows, columns, 2), the first row at the top. `covered`: bool (rows, columns),
    where codes lie, or where there are few of them, next to it. `extent`: left, right, bottom, top.
    """

    codes: Floats
    covered: npt.NDArray[np.bool_]
    extent: tuple[float, float, float, float]


def plan_plane(codes: Floats, most: int, aspect: float = 1.0) -> Plane:
    """Return `most` places along the longer side over codes (n, 2).

    `aspect`: the height of an image for its width; places are that much farther apart upwards.
    """
    low, high = (np.quantile(codes, q, axis=0).astype(np.float64) for q in (_OUTER, 1 - _OUTER))
    span = np.maximum(high - low, 1e-6 * np.maximum(1, np.abs(low)))
    low, span = low - _MARGIN * span, (1 + 2 * _MARGIN) * span
    cell = max(span[0], span[1] / aspect) / most
    columns = max(1, math.ceil(span[0] / cell))
    rows = max(1, math.ceil(span[1] / (cell * aspect)))
    # Whole cells, around the same middle.
    middle = low + span / 2
    left, bottom = middle - np.array([columns, rows * aspect]) * cell / 2
    x = left + (np.arange(columns) + 0.5) * cell
    y = bottom + (np.arange(rows) + 0.5) * cell * aspect
    places = np.stack(np.meshgrid(x, y[::-1]), axis=-1).astype(np.float32)
    across = np.floor((codes[:, 0] - left) / cell).astype(int)
    down = rows - 1 - np.floor((codes[:, 1] - bottom) / (cell * aspect)).astype(int)
    inside = (across >= 0) & (across < columns) & (down >= 0) & (down < rows)
    counts = np.zeros((rows + 2, columns + 2), int)
    np.add.at(counts, (down[inside] + 1, across[inside] + 1), 1)
    covered = counts[1:-1, 1:-1]
    if len(codes) < _CODES_A_CELL * covered.size:
        # Few codes leave holes between them.
        parts = [counts[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
        covered = np.sum(parts, axis=0)
    extent = (left, left + columns * cell, bottom, bottom + rows * cell * aspect)
    return Plane(places, covered > 0, extent)


def line_of_codes(start: Floats, end: Floats, count: int) -> Floats:
    """Return codes (count, d) evenly spread along the straight line from one code to another."""
    share = np.linspace(0, 1, count, dtype=np.float32)[:, np.newaxis]
    line: Floats = start[np.newaxis] * (1 - share) + end[np.newaxis] * share
    return line


def traversals(codes: Floats, start: Floats, count: int) -> Floats:
    """Return codes (d, count, d): from the code `start` (d,), each number in turn goes its way.

    A number goes from its 2 % to its 98 % quantile among codes (n, d).
    """
    dimensions = codes.shape[1]
    ends = np.quantile(codes, _TRAVERSED, axis=0)
    moved = np.tile(start.astype(np.float32), (dimensions, count, 1))
    for i in range(dimensions):
        low, high = ends[:, i].tolist()
        moved[i, :, i] = np.linspace(low, high, count)
    return moved


def one_for_each_cell(codes: Floats, most: int) -> npt.NDArray[np.intp]:
    """Return rows of codes (n, 2), one for each cell that holds some: the nearest to its middle.

    They ascend, as files are read. There are `most` cells along the longer side.
    """
    values = codes.astype(np.float64)
    low, high = (np.quantile(values, q, axis=0) for q in (_OUTER, 1 - _OUTER))
    side = float((high - low).max()) / most or 1.0
    cells = np.floor((values - low) / side)
    distance = np.square(values - low - (cells + 0.5) * side).sum(axis=1)
    beyond = (values < low - side) | (values > high + side)
    inside: npt.NDArray[np.bool_] = np.logical_not(np.any(beyond, axis=1))
    order = np.lexsort((distance, cells[:, 1], cells[:, 0]))
    order = order[inside[order]]
    first = np.ones(len(order), bool)
    first[1:] = (cells[order[1:]] != cells[order[:-1]]).any(axis=1)
    rows: npt.NDArray[np.intp] = np.sort(order[first])
    return rows


def code_of(text: str, codes: Floats, names: tuple[str, ...] | None, flag: str) -> Floats:
    """Return the code (d,) that a user names: a row, the name of a file, or its numbers.

    Raises:
        InputError: there is no such row or name, or other than d numbers.

    """
    count, dimensions = codes.shape
    if text.isascii() and text.isdigit() and dimensions > 1:
        row = int(text[:12])
        if row >= count:
            raise InputError(f"{flag} {text}: there are {count:,} codes, rows 0 to {count - 1}")
        return _row(codes, row)
    if names is not None:
        found = [row for row, name in enumerate(names) if text in (name, name.rpartition("/")[2])]
        if len(found) > 1:
            raise InputError(
                f"{flag} {text}: {len(found)} images are called so, first row {found[0]}"
            )
        if found:
            return _row(codes, found[0])
    try:
        numbers = np.array([float(part) for part in text.split(",")], np.float32)
    except ValueError as error:
        known = "a row, a file name" if names else "a row"
        raise InputError(
            f"{flag} {text!r}: expected {known}, or a code of {dimensions} numbers such as "
            f"{','.join('0' * dimensions)}"
        ) from error
    if len(numbers) != dimensions or not np.isfinite(numbers).all():
        raise InputError(f"{flag} {text!r}: expected a code of {dimensions} finite numbers")
    return numbers


def _row(codes: Floats, row: int) -> Floats:
    code: Floats = codes[row]
    return code
