"""Equal and nearly equal images of a split, by their pixels."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecli.config import SplitName
from aecli.cores import usable_cores
from aecli.data import Bar, Dataset, no_bar
from aecli.data.rows import rows_at
from aecli.pca import fit_pca, rows_to_fit
from aecli.pixels import unit_rows
from aecli.printable import plural, significant
from aecli.score.metrics import equal_rows

# Images are nearly equal where the mean square of their difference is less than this share of that
# of two images drawn at random: a tenth of it in pixels.
_NEARLY = 0.01
# Candidates are found by their distance in so many principal components of so many images, which is
# never larger than that in pixels; of each image, so many of the nearest.
_COMPONENTS = 12
_FITTED = 10_000
_CANDIDATES = 8
_ROWS_AT_A_TIME = 2_048
_DIGEST_BYTES = 16

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DuplicateGroup:
    """Rows of a split whose images are equal or nearly so, ascending.

    `difference` is the largest root mean square difference, in 0..1, of those pairs that connect
    them; 0 where all are equal.
    """

    rows: tuple[int, ...]
    difference: float


@dataclass(frozen=True, eq=False)
class Duplicates:
    """The groups of equal and nearly equal images, the largest first.

    `limit`: the root mean square difference of pixels, in 0..1, below which two are nearly equal.
    """

    groups: tuple[DuplicateGroup, ...]
    limit: float

    @property
    def note(self) -> str:
        """How many there are, and what nearly means, in a line."""
        nearly = (
            f"nearly means pixels that differ by less than {significant(self.limit)} (root mean "
            "square), a tenth of what two images drawn at random differ by"
        )
        if self.limit == 0 and self.groups:
            return f"all {plural(len(self.groups[0].rows), 'image')} are equal"
        if not self.groups:
            return f"no image is equal to another, or nearly; {nearly}"
        equal = [group for group in self.groups if group.difference == 0]
        others = [group for group in self.groups if group.difference > 0]
        return f"equal: {_counted(equal)}; nearly equal: {_counted(others)}; {nearly}"

    def first_of(self, rows: int) -> Rows:
        """Return for each of so many rows the first of its group, -1 for none and for the first."""
        first = np.full(rows, -1)
        for group in self.groups:
            first[list(group.rows[1:])] = group.rows[0]
        return first


def _counted(groups: list[DuplicateGroup]) -> str:
    if not groups:
        return "none"
    images = sum(len(group.rows) for group in groups)
    return f"{plural(images, 'image')} in {plural(len(groups), 'group')}"


def find_duplicates(dataset: Dataset, split: SplitName, bar: Bar = no_bar) -> Duplicates:
    """Return the equal and nearly equal images of a split.

    Two are nearly equal where the mean square of the difference of their pixels is less than a
    hundredth of that of two images drawn at random, which is twice the variance of the pixels. A
    chain of such pairs makes one group. Of each image its 8 nearest by principal components are
    compared pixel by pixel.

    Raises:
        InputError: memory is too small for the images.

    """
    same = _equal_images(dataset, split)
    _, firsts = np.unique(same, return_index=True)
    sample = unit_rows(dataset.sample(split, min(_FITTED, rows_to_fit(dataset))).images)
    components = fit_pca(sample, _COMPONENTS)
    limit = _NEARLY * 2 * components.variance
    pairs, squares = np.empty((0, 2), np.int64), np.empty(0)
    if limit > 0 and len(firsts) > 1:
        features = np.concatenate(
            [
                components.project(unit_rows(batch))
                for batch in dataset.batches(split, _ROWS_AT_A_TIME)
            ]
        )[firsts]
        radius = math.sqrt(limit * math.prod(dataset.image_shape))
        candidates = _near_pairs(features, radius, bar)
        squares = _mean_squares(dataset, split, firsts[candidates])
        pairs, squares = candidates[squares < limit], squares[squares < limit]
    return Duplicates(_groups(same, len(firsts), pairs, squares), math.sqrt(limit))


def _equal_images(dataset: Dataset, split: SplitName) -> Rows:
    """Return the number of each image's group of equal ones, int64 (n,)."""
    digests = [
        np.frombuffer(hashlib.blake2b(image, digest_size=_DIGEST_BYTES).digest(), np.uint8)
        for batch in dataset.batches(split, _ROWS_AT_A_TIME)
        for image in np.ascontiguousarray(batch)
    ]
    return equal_rows(np.stack(digests))


def _near_pairs(features: Floats, radius: float, bar: Bar) -> Rows:
    """Return the pairs of rows that are nearer than `radius`, int64 (m, 2), the nearest of each."""
    from scipy.spatial import KDTree

    # Few lie within the radius, so that most of the tree is never looked at.
    tree, pairs = KDTree(features), [np.empty((0, 2), np.int64)]
    with bar("finding near copies", len(features)) as advance:
        for start in range(0, len(features), _ROWS_AT_A_TIME):
            block = features[start : start + _ROWS_AT_A_TIME]
            _, found = tree.query(
                block, _CANDIDATES + 1, distance_upper_bound=radius, workers=usable_cores()
            )
            own = np.broadcast_to(np.arange(start, start + len(block))[:, np.newaxis], found.shape)
            # Where there are fewer, the number of rows stands in.
            near = (found < len(features)) & (found != own)
            pairs.append(np.sort(np.stack([own[near], found[near]], axis=1), axis=1))
            advance(len(block))
    return np.unique(np.concatenate(pairs), axis=0)


def _mean_squares(dataset: Dataset, split: SplitName, pairs: Rows) -> npt.NDArray[np.float64]:
    """Return the mean squared difference of the pixels of each pair (m, 2) of rows of a split."""
    means = np.empty(len(pairs))
    rows = dataset.rows(split)
    for start in range(0, len(pairs), _ROWS_AT_A_TIME):
        part = pairs[start : start + _ROWS_AT_A_TIME]
        first, second = (unit_rows(dataset.images[rows_at(rows, one)]) for one in part.T)
        means[start : start + len(part)] = np.square(first - second).mean(axis=1)
    return means


def _groups(
    same: Rows, lots: int, pairs: Rows, squares: npt.NDArray[np.float64]
) -> tuple[DuplicateGroup, ...]:
    """Return the groups that lots of equal images, (n,), and pairs of lots, (m, 2), make."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (lots, lots))
    count, of_lot = connected_components(links, directed=False)
    largest = np.zeros(count)
    np.maximum.at(largest, of_lot[pairs[:, 0]], squares)
    of_row = of_lot[same]
    order = np.argsort(of_row, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(of_row, minlength=count))[:-1])
    groups = [
        DuplicateGroup(tuple(rows.tolist()), math.sqrt(square))
        for rows, square in zip(members, largest.tolist(), strict=True)
        if len(rows) > 1
    ]
    return tuple(sorted(groups, key=lambda group: (-len(group.rows), group.rows)))
