"""Many codes as one bitmap: counted in cells, as if their dots were drawn one by one."""

from typing import Any

from aecli.plot import library  # noqa: F401

# isort: split
import numpy as np
import numpy.typing as npt

from aecli.plot.colors import Classes, Coloring

Floats = npt.NDArray[np.floating[Any]]
Rgba = npt.NDArray[np.float32]


def count_in_cells(
    cells: Floats,
    shape: tuple[int, int],
    dot: int,
    opacity: float,
    coloring: Coloring | None,
    color: tuple[float, float, float],
) -> Rgba:
    """Draw a dot for each code, as opaque as the codes that lie on top of each other.

    A cell has the colour of one of its classes, drawn as often as there are codes of it: no mixture
    is taken for another class. Numbers are averaged. Codes without class or number are beneath.

    Args:
        cells: places of the codes, float (n, 2), column and row; those outside are left out.
        shape: rows and columns of the bitmap.
        dot: the diameter of a dot, in cells.
        opacity: of a single code, 0..1.
        coloring: of the n codes.
        color: red, green and blue of codes without a `coloring`.

    Returns:
        Red, green, blue and opacity, float32 (rows, columns, 4) in 0..1; the first row is the
        lowest.

    """
    rows, columns = shape
    column, row = np.floor(cells).astype(np.int32).T
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    flat = row * columns + column
    if not inside.all():
        flat = flat[inside]
    count = np.bincount(flat, minlength=rows * columns).reshape(shape).astype(np.float32)
    bitmap = np.empty((rows, columns, 4), np.float32)
    bitmap[..., :3] = color
    if isinstance(coloring, Classes):
        _fill_classes(bitmap, flat, coloring, inside, dot)
    elif coloring is not None:
        chosen = coloring.known & inside
        known = (row * columns + column)[chosen]
        total = np.bincount(known, coloring.values[chosen], minlength=rows * columns)
        counted = np.bincount(known, minlength=rows * columns)
        sums, counts = (_spread(a.reshape(shape), dot) for a in (total, counted))
        with np.errstate(invalid="ignore"):
            bitmap[..., :3] = coloring.colors_of(np.where(counts > 0, sums / counts, np.nan))
    bitmap[..., 3] = 1 - (1 - opacity) ** _spread(count, dot)
    return bitmap


def _fill_classes(
    bitmap: Rgba,
    flat: npt.NDArray[np.int32],
    classes: Classes,
    inside: npt.NDArray[np.bool_],
    dot: int,
) -> None:
    """Give each cell the colour of one of its codes, chosen at random, but the same each time."""
    rows, columns = bitmap.shape[:2]
    index = classes.index if inside.all() else classes.index[inside]
    order = np.random.default_rng(0).permutation(len(flat))
    # The last one that is written counts: those without a class are first.
    flat, index = flat[order], index[order]
    owner = np.full(rows * columns, -1, np.int32)
    known = index >= 0
    if not known.all():
        flat, index = flat[known], index[known]
    owner[flat] = index
    owner = owner.reshape(rows, columns)
    spread = owner.copy()
    for down, across in _offsets(dot):
        moved = _moved(owner, down, across, -1)
        np.copyto(spread, moved, where=spread < 0)
    bitmap[..., :3] = classes.palette()[spread]


def _spread(counts: npt.NDArray[Any], dot: int) -> npt.NDArray[Any]:
    """Return in each cell the sum over those whose dots cover it."""
    total = np.zeros_like(counts)
    for down, across in _offsets(dot):
        total += _moved(counts, down, across, 0)
    return total


def _offsets(dot: int) -> list[tuple[int, int]]:
    """Return the cells of a round dot, from its own."""
    start = -((dot - 1) // 2)
    places = range(start, start + dot)
    middle = start + (dot - 1) / 2
    return [
        (down, across)
        for down in places
        for across in places
        if dot < 3 or (down - middle) ** 2 + (across - middle) ** 2 <= dot**2 / 4
    ]


def _moved(values: npt.NDArray[Any], down: int, across: int, empty: int) -> npt.NDArray[Any]:
    """Return an array moved by some cells; what comes in is `empty`."""
    moved = np.full_like(values, empty)
    rows, columns = values.shape
    moved[max(0, down) : rows + min(0, down), max(0, across) : columns + min(0, across)] = values[
        max(0, -down) : rows + min(0, -down), max(0, -across) : columns + min(0, -across)
    ]
    return moved
