"""How much of a map is chance: the same training with several seeds, laid over each other."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import numpy.typing as npt

from aecli.compile_cache import compiled
from aecli.config import SplitName
from aecli.data import Dataset
from aecli.device import out_of_memory_advice
from aecli.encode import TrainedModel, encode
from aecli.errors import AecliError, InputError
from aecli.neighbors import NeighborGraph, nearest_rows, share_in_common
from aecli.run.checkpoint import Checkpoint
from aecli.train.epochs import EpochFunction, Neighborhood
from aecli.train.step import TrainStep

# Nearest codes whose sameness is compared.
_NEIGHBORS = 15

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Stability:
    """How alike the maps of several seeds are.

    `moved`: float32 (n,), how far each code lies from its mean place over the seeds, once their
    maps are laid over each other, in units of the root mean square distance of all codes from
    their centre. `disparity`: the share of the squared distances that no turning, mirroring and
    scaling removes, 0..1, mean over the seeds after the first. `kept`: the share of the nearest
    codes of each code that another seed's map has too, 0..1.
    """

    seeds: tuple[int, ...]
    moved: Floats
    disparity: float
    kept: float


def check_seeds(checkpoint: Checkpoint, count: int) -> None:
    """Raise `InputError` for fewer than two seeds, or a run whose data were streamed."""
    if count < 2:
        raise InputError(f"--stability must be at least 2 seeds, got {count}")
    if checkpoint.layout is not None:
        raise InputError("--stability trains in memory, and this run's data were streamed")


@out_of_memory_advice("try fewer seeds")
def measure_stability(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    count: int,
    graph: NeighborGraph | None,
    *,
    report: Callable[[int], None] = lambda epochs: None,
) -> Stability:
    """Train with the settings of a run and `count` seeds, its own first, all in one program.

    Each training is the whole of it, and its last parameters are compared. `graph` is the run's,
    None without a neighbour loss. `report` is called after each epoch.

    Raises:
        InputError: fewer than two seeds, or data that were streamed.
        AecliError: a training diverged, or memory is short.

    """
    config = checkpoint.config
    check_seeds(checkpoint, count)
    seeds = tuple((config.seed + i) % 2**32 for i in range(count))
    step = TrainStep(config, dataset.image_shape, dataset.count("train"))
    place = partial(jax.device_put, device=step.devices.replicated)
    mean_image = dataset.mean_image("train")
    states = jax.tree.map(
        lambda *leaves: np.stack(leaves),
        *(step.initial_state(mean_image, seed) for seed in seeds),
    )
    arguments = [
        place(dataset.split("train").images),
        place(Neighborhood.of(graph)),
        place(dataset.split("validation").images),
    ]
    states = place(states)
    seed_array = np.array(seeds, np.uint32)
    program = compiled(
        jax.vmap(EpochFunction(step), in_axes=(0, None, None, None, None, 0)),
        {"program": "epoch of several seeds", **step.key},
        states,
        *arguments,
        np.uint32(1),
        seed_array,
        donate=(0,),
    )
    for epoch in range(1, config.epochs + 1):
        states, result = program(states, *arguments, np.uint32(epoch), seed_array)
        if not all(np.isfinite(losses).all() for losses in result.losses.values()):
            raise AecliError(f"the loss is not finite in epoch {epoch}: a training diverged")
        report(1)
    images = dataset.split(split).images
    maps = []
    for i in range(count):
        parameters = jax.tree.map(lambda leaf, i=i: leaf[i], states.parameters)
        maps.append(encode(TrainedModel(config, dataset.image_shape, parameters), images))
    return compare_maps(maps, seeds)


def compare_maps(maps: list[Floats], seeds: tuple[int, ...]) -> Stability:
    """Lay maps, codes float32 (n, d) of the same images, over the first and compare them."""
    from scipy.linalg import orthogonal_procrustes

    first, *others = (_normalized(codes) for codes in maps)
    aligned, disparities = [first], []
    for codes in others:
        turn, scale = orthogonal_procrustes(codes, first)
        scale /= len(first)
        aligned.append(scale * codes @ turn)
        disparities.append(1 - scale**2)
    places = np.stack(aligned)
    distances = np.square(places - places.mean(axis=0)).sum(axis=2)
    near = [nearest_rows(codes, min(_NEIGHBORS, len(first) - 1)) for codes in maps]
    kept = [share_in_common(near[0], other).mean() for other in near[1:]]
    return Stability(
        seeds,
        np.sqrt(distances.mean(axis=0)).astype(np.float32),
        float(np.mean(disparities)),
        float(np.mean(kept)),
    )


def _normalized(codes: Floats) -> npt.NDArray[np.float64]:
    """Return codes around their centre, at a root mean square distance of 1 from it."""
    centred: npt.NDArray[np.float64] = codes - codes.mean(axis=0, dtype=np.float64)
    size = float(np.sqrt(np.square(centred).sum(axis=1).mean()))
    return np.divide(centred, size if size > 0 else 1)
