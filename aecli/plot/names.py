"""Names of classes in pictures: shortened, wrapped, and placed where they belong."""

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.printable import printable

LONGEST_NAME = 40
_WRAPPED_AT = 16

# Places are found on a grid of this many cells along the longer side of a map.
_GRID = 130
# The ground of a class: where it is at least this dense, as a share of its peak.
_GROUND = 0.08
# Where another class is at least this many times as dense, the ground is that one's.
_DOMINANT = 2.0
# A name whose middle is in a place at least this dense, as a share of the peak, has no leader.
_DENSE = 0.4
# What a cell with codes under a name costs, in cells of distance from its class.
_COVERED = 0.25
# And each leader, or part of a name, that a leader crosses.
_CROSSED = 2.5
# The best place of each block of so many cells a side is looked at.
_BLOCK = 5
# So often all pairs of names with leaders are looked at.
_ROUNDS = 3
# Cells between two names, and around the end of a leader.
_GAP = 1

Floats = npt.NDArray[np.floating[Any]]
Counts = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def one_name(name: str) -> str:
    """Return a name as one printable line."""
    return printable(name).strip()


def shortened(name: str, most: int = LONGEST_NAME) -> str:
    """Return a name as one printable line of at most `most` letters: a long one loses its middle.

    `most` is at least 3.
    """
    line = one_name(name)
    if len(line) <= most:
        return line
    head = most * 3 // 5
    start, end = line[:head], line[len(line) - (most - 1 - head) :]
    # Words stay whole where that costs few letters.
    whole, _, part = start.rpartition(" ")
    start = whole if len(part) < head // 3 and line[head] != " " and whole else start
    part, _, whole = end.partition(" ")
    end = whole if len(part) < len(end) // 3 and whole else end
    return f"{start.rstrip()}…{end.lstrip()}"


def shortened_apart(names: Sequence[str], most: int = LONGEST_NAME) -> list[str]:
    """Return names of at most `most` letters, as `shortened` has them, that stay different.

    Names that differ only in the part that would be left out keep that, and their beginning.
    """
    lines = [one_name(name) for name in names]
    short = [shortened(line, most) for line in lines]
    for text in {one for one in short if short.count(one) > 1}:
        alike = [i for i, one in enumerate(short) if one == text and len(lines[i]) > most]
        letters = zip(*(lines[i] for i in alike), strict=False)
        start = next((at for at, column in enumerate(letters) if len(set(column)) > 1), most)
        # From the word that differs, or shortly before.
        start = max(start - 6, lines[alike[0]].rfind(" ", 0, start) + 1)
        for i in alike:
            head = lines[i][: most // 4].rstrip()
            room = most - len(head) - 1
            tail = lines[i][max(0, min(start, len(lines[i]) - room)) :]
            short[i] = f"{head}…{shortened(tail, room)}"
    return short


def wrapped(name: str, width: int = _WRAPPED_AT) -> str:
    """Return a name in lines of at most `width` letters, about as long as each other."""
    lines = textwrap.wrap(name, width)
    if len(lines) < 2:
        return name
    narrower = [textwrap.wrap(name, narrow) for narrow in range(width // 2, width)]
    return "\n".join(next((one for one in narrower if len(one) == len(lines)), lines))


@dataclass(frozen=True)
class Place:
    """Where a name stands: its middle, and where its leader ends; None without a leader."""

    x: float
    y: float
    leader: tuple[float, float] | None = None

    def edge(self, width: float, height: float) -> tuple[float, float]:
        """Return where the leader meets the box of a name of this size."""
        x, y = self.leader or (self.x, self.y)
        across, upwards = abs(x - self.x) * 2 / width, abs(y - self.y) * 2 / height
        share = 1 / max(across, upwards, 1)
        return self.x + share * (x - self.x), self.y + share * (y - self.y)


@dataclass(frozen=True)
class _Box:
    """A box of cells: from (top, left), of a size; and the end of its leader (row, column)."""

    top: int
    left: int
    rows: int
    columns: int
    end: tuple[int, int] | None = None

    @property
    def middle(self) -> tuple[float, float]:
        return self.top + self.rows / 2, self.left + self.columns / 2

    @property
    def length(self) -> float:
        """How long the leader is, from the middle."""
        end = self.end or self.middle
        return math.hypot(self.middle[0] - end[0], self.middle[1] - end[1])

    @property
    def area(self) -> tuple[slice, slice]:
        return (
            slice(self.top, self.top + self.rows),
            slice(self.left, self.left + self.columns),
        )


def place_names(
    points: Floats, index: npt.NDArray[np.intp], sizes: Floats, width: float, height: float
) -> list[Place | None]:
    """Return where the names of k classes stand on a map, None where there is no room.

    A name stands where its class is densest, never over another name nor on ground that is another
    class's. Where there is no room there, it stands nearby with a leader to that place.

    Args:
        points: where the codes are, float (n, 2), in the units of the map: its lower left corner is
            (0, 0), its upper right one (`width`, `height`). Those outside do not count.
        index: the class of each code, (n,) in 0..k-1, or -1.
        sizes: width and height of each name, float (k, 2).
        width: of the map.
        height: of the map.

    """
    if not len(sizes):
        return []
    cell = max(width, height) / _GRID
    shape = max(1, int(height / cell)), max(1, int(width / cell))
    density = _density(points / cell, index, len(sizes), shape)
    boxes = _Placing(density, np.ceil(sizes[:, ::-1] / cell).astype(int) + _GAP).boxes()
    return [None if box is None else _place(box, cell) for box in boxes]


def _place(box: _Box, cell: float) -> Place:
    row, column = box.middle
    if box.end is None:
        return Place(column * cell, row * cell)
    end = (box.end[1] + 0.5) * cell, (box.end[0] + 0.5) * cell
    return Place(column * cell, row * cell, end)


def _density(
    cells: Floats, index: npt.NDArray[np.intp], classes: int, shape: tuple[int, int]
) -> Counts:
    """Return how dense each class is in each cell, float32 (k, rows, columns)."""
    rows, columns = shape
    inside = (index >= 0) & (cells >= 0).all(axis=1) & (cells < (columns, rows)).all(axis=1)
    column, row = cells[inside].astype(np.intp).T
    flat = (index[inside] * rows + row) * columns + column
    counts = np.bincount(flat, minlength=classes * rows * columns).astype(np.float32)
    return _blurred(_blurred(counts.reshape(classes, rows, columns)))


def _blurred(density: Counts) -> Counts:
    """Return the sums over three by three cells."""
    for axis in (1, 2):
        padded = np.pad(density, [(0, 0)] + [(int(axis == a),) * 2 for a in (1, 2)])
        length = density.shape[axis]
        density = sum(np.take(padded, range(i, i + length), axis) for i in range(3))  # type: ignore[assignment]
    return density


class _Placing:
    """The names that have a place so far, on the ground of k classes."""

    def __init__(self, density: Counts, sizes: npt.NDArray[np.int_]) -> None:
        self._density = density
        self._sizes = sizes
        peaks = density.max(axis=(1, 2), keepdims=True)
        ground = np.where(density >= _GROUND * peaks, density, 0)
        self._covered: Mask = ground.max(axis=0) > 0
        self._first = ground.argmax(axis=0)
        ordered = np.partition(ground, -2, axis=0)[-2:] if len(ground) > 1 else None
        self._top = ground.max(axis=0)
        self._second = np.zeros_like(self._top) if ordered is None else ordered[0]
        self._taken: Mask = np.zeros(density.shape[1:], np.bool_)
        self._ends = [self._end(i) for i in range(len(density))]
        self._boxes: list[_Box | None] = [None] * len(density)

    def boxes(self) -> list[_Box | None]:
        """Return the box of each name: first those that stand on their class, then the others."""
        present = [i for i, one in enumerate(self._density) if one.any()]
        present.sort(key=lambda i: -float(self._density[i].max()))
        for find in (self._on_ground, self._beside):
            for i in present:
                if self._boxes[i] is None:
                    self._boxes[i] = box = find(i)
                    if box is not None:
                        self._taken[box.area] = True
        self._untangle()
        return self._boxes

    def _untangle(self) -> None:
        """Swap names with leaders while that makes these shorter, so that few cross."""
        leaders = {i: box for i, box in enumerate(self._boxes) if box is not None and box.end}
        for _ in range(_ROUNDS):
            swapped = False
            for i, j in itertools.combinations(leaders, 2):
                moved = self._swapped((i, leaders[i]), (j, leaders[j]))
                if moved is not None:
                    leaders[i], leaders[j] = moved
                    swapped = True
            if not swapped:
                break
        for i, box in leaders.items():
            self._boxes[i] = box

    def _swapped(self, one: tuple[int, _Box], other: tuple[int, _Box]) -> tuple[_Box, _Box] | None:
        """Swap two names; None where their leaders do not get shorter, or there is no room."""
        (i, first), (j, second) = one, other
        new_first, new_second = self._centred(i, second.middle), self._centred(j, first.middle)
        if new_first.length + new_second.length > first.length + second.length - 1:
            return None
        self._taken[first.area] = self._taken[second.area] = False
        fits = self._fits(i, new_first)
        if fits:
            self._taken[new_first.area] = True
            fits = self._fits(j, new_second)
            self._taken[new_first.area] = False
        chosen = (new_first, new_second) if fits else (first, second)
        for box in chosen:
            self._taken[box.area] = True
        return chosen if fits else None

    def _centred(self, i: int, middle: tuple[float, float]) -> _Box:
        """Return the box of a name around a place, with its leader."""
        rows, columns = (int(length) for length in self._sizes[i])
        top, left = round(middle[0] - rows / 2), round(middle[1] - columns / 2)
        return _Box(top, left, rows, columns, self._ends[i])

    def _fits(self, i: int, box: _Box) -> bool:
        """Return whether a name has room in a box."""
        rows, columns = self._taken.shape
        inside = 0 <= box.top <= rows - box.rows and 0 <= box.left <= columns - box.columns
        return inside and not self._blocked(i)[box.area].any()

    def _foreign(self, i: int) -> Mask:
        """Return the cells whose ground is that of another class, (rows, columns)."""
        others = np.where(self._first == i, self._second, self._top)
        return np.asarray(others > _DOMINANT * self._density[i])

    def _end(self, i: int) -> tuple[int, int]:
        """Return the densest cell of a class, on its own ground where it has some."""
        own = np.where(self._foreign(i), 0, self._density[i])
        chosen = own if own.any() else self._density[i]
        row, column = np.unravel_index(_blurred(chosen[None])[0].argmax(), chosen.shape)
        return int(row), int(column)

    def _blocked(self, i: int) -> Mask:
        """Return the cells that the name of a class must not cover, (rows, columns)."""
        blocked = self._foreign(i) | self._taken
        own = self._ends[i]
        for row, column in self._ends:
            if (row, column) != own:
                top, left = max(0, row - _GAP), max(0, column - _GAP)
                blocked[top : row + _GAP + 1, left : column + _GAP + 1] = True
        return blocked

    def _free(self, i: int) -> Mask:
        """Return at which corners the name of a class has room, (rows, columns)."""
        return np.asarray(_box_sums(self._blocked(i), *self._sizes[i]) == 0)

    def _on_ground(self, i: int) -> _Box | None:
        rows, columns = self._sizes[i]
        free = self._free(i)
        if not free.any():
            return None
        density = _blurred(self._density[i][None])[0]
        middle = density[rows // 2 :, columns // 2 :][: free.shape[0], : free.shape[1]]
        best = np.where(free, middle, -1)
        top, left = np.unravel_index(best.argmax(), best.shape)
        if best[top, left] < _DENSE * density.max():
            return None
        return _Box(int(top), int(left), int(rows), int(columns))

    def _beside(self, i: int) -> _Box | None:
        """Return the nearest box with room for a name, whose leader crosses nothing if possible."""
        rows, columns = (int(length) for length in self._sizes[i])
        free = self._free(i)
        if not free.any():
            return None
        tops, lefts = np.nonzero(free)
        end = self._ends[i]
        vertical = np.maximum(np.maximum(tops - end[0], end[0] - tops - rows), 0)
        across = np.maximum(np.maximum(lefts - end[1], end[1] - lefts - columns), 0)
        covered = _box_sums(self._covered, rows, columns)[free]
        cost = np.hypot(vertical, across) + _COVERED * covered
        cheapest = _best_of_each_block(cost, tops, lefts)
        best, least = None, math.inf
        for c in cheapest[cost[cheapest].argsort(kind="stable")]:
            if cost[c] >= least:
                break
            box = _Box(int(tops[c]), int(lefts[c]), rows, columns, end)
            total = cost[c] + _CROSSED * self._crossed(box)
            if total < least:
                best, least = box, total
        return best

    def _crossed(self, box: _Box) -> int:
        """Return how many other leaders, and cells of names, the leader of a box crosses."""
        end = box.end or (0, 0)
        steps = np.linspace(0, 1, 40)[:, None]
        line = (np.array(box.middle) * steps + np.array(end) * (1 - steps)).astype(int)
        others = [one for one in self._boxes if one is not None and one.end is not None]
        leaders = sum(_cross(box.middle, end, o.middle, o.end or (0, 0)) for o in others)
        return int(self._taken[line[:, 0], line[:, 1]].sum()) + leaders


def _best_of_each_block(
    cost: Floats, tops: npt.NDArray[np.intp], lefts: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """Return the cheapest corner of each block of cells, the cheapest of the blocks first."""
    order = np.argsort(cost, kind="stable")
    block = (tops[order] // _BLOCK) * _GRID + lefts[order] // _BLOCK
    _, first = np.unique(block, return_index=True)
    return np.asarray(order[np.sort(first)])


def _box_sums(mask: Mask, rows: int, columns: int) -> npt.NDArray[np.int64]:
    """Return how many cells are set in each box of a size, by its corner."""
    if rows > mask.shape[0] or columns > mask.shape[1]:
        return np.zeros((0, 0), np.int64)
    sums = np.pad(mask.cumsum(axis=0).cumsum(axis=1), [(1, 0), (1, 0)])
    by_rows = sums[rows:] - sums[:-rows]
    return np.asarray(by_rows[:, columns:] - by_rows[:, :-columns])


def _cross(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]
) -> bool:
    """Return whether the lines from a to b and from c to d cross."""

    def side(p: tuple[float, float], q: tuple[float, float], r: tuple[float, float]) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
