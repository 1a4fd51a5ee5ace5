"""How much of a map is chance: maps of several seeds, laid over each other."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecli.config import Range
from aecli.errors import InputError
from aecli.neighbors import nearest_rows, share_in_common
from aecli.run.checkpoint import Checkpoint
from aecli.score.metrics import all_equal, comparable

# How many nearest codes are compared between the maps.
NEIGHBORS = 15
# More seeds tell no more, and each is a training.
_SEEDS = Range("at least 2 seeds", 2, 100)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Stability:
    """How alike the maps of several seeds are.

    `moved`: float32 (n,), how far each code lies from its mean place over the seeds once their maps
    are laid over each other: a root mean square over the seeds, in units of the map's radius, which
    is the root mean square distance of all codes from their centre. `disparity`: the share of the
    squared distances that no rotation, reflection and scaling removes, 0..1, the mean over the
    seeds after the first. `kept`: the share of the `NEIGHBORS` nearest codes of each code in the
    first map that another seed's map has too, 0..1, the mean over the others; NaN where all
    codes of a map are the same.
    """

    seeds: tuple[int, ...]
    moved: Floats
    disparity: float
    kept: float

    @property
    def moved_median(self) -> float:
        """How far the median code moves."""
        return float(np.quantile(self.moved, 0.5))

    @property
    def moved_90_percent(self) -> float:
        """How far 90 % of the codes move at most."""
        return float(np.quantile(self.moved, 0.9))


def check_seeds(checkpoint: Checkpoint, count: int) -> None:
    """Raise `InputError` for too few or too many seeds, or a run whose data were streamed."""
    _SEEDS.check("--stability", count)
    if checkpoint.layout is not None:
        raise InputError("--stability trains in memory, and this run's data were streamed")


def compare_maps(maps: list[Floats], seeds: tuple[int, ...]) -> Stability:
    """Lay the maps of seeds, codes float32 (n, d) of the same images, over the first and compare.

    Source: Schönemann, *A generalized solution of the orthogonal Procrustes problem* (1966).
    """
    from scipy.linalg import orthogonal_procrustes

    first, *others = (_normalized(codes) for codes in maps)
    aligned, disparities = [first], []
    for codes in others:
        rotation, scale = orthogonal_procrustes(codes, first)
        scale /= len(first)
        aligned.append(scale * codes @ rotation)
        disparities.append(1 - scale**2)
    places = np.stack(aligned)
    distances = np.square(places - places.mean(axis=0)).sum(axis=2)
    return Stability(
        seeds,
        np.sqrt(distances.mean(axis=0)).astype(np.float32),
        float(np.mean(disparities)),
        _kept(maps),
    )


def _kept(maps: list[Floats]) -> float:
    """Return the share of the nearest codes of the first map that the others have too."""
    if any(map(all_equal, maps)):
        return math.nan
    neighbors = min(NEIGHBORS, len(maps[0]) - 1)
    first, *others = (nearest_rows(comparable(codes)[0], neighbors) for codes in maps)
    return float(np.mean([share_in_common(first, other).mean() for other in others]))


def _normalized(codes: Floats) -> npt.NDArray[np.float64]:
    """Return codes around their centre, at a root mean square distance of 1 from it."""
    centred: npt.NDArray[np.float64] = codes - codes.mean(axis=0, dtype=np.float64)
    size = float(np.sqrt(np.square(centred).sum(axis=1).mean()))
    return np.divide(centred, size if size > 0 else 1)
