"""The training of a run with several seeds at once, and the maps that come of it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import numpy.typing as npt

from aecli.compile_cache import compiled
from aecli.config import SplitName
from aecli.data import Dataset
from aecli.device import out_of_memory_advice
from aecli.encode import TrainedModel, encode, encoder_inputs
from aecli.errors import AecliError
from aecli.model.parameters import Parameters
from aecli.references import fit_references
from aecli.run.checkpoint import Checkpoint
from aecli.score.stability import Stability, check_seeds, compare_maps
from aecli.train.epochs import EpochFunction, Neighborhood
from aecli.train.prepare import Prepared
from aecli.train.step import TrainStep
from aecli.train.stream import bytes_in_memory
from aecli.train.supervision import training_labels

Floats = npt.NDArray[np.float32]
Report = Callable[[int], None]


@out_of_memory_advice("try fewer seeds")
def measure_stability(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    count: int,
    prepared: Prepared,
    *,
    report: Report = lambda epochs: None,
) -> Stability:
    """Train with the settings of a run and `count` seeds, and compare their maps of a split.

    The seeds count up from the run's own. `prepared` is what the run's training needs.
    `report` is called after each epoch.

    Raises:
        InputError: there are too few or too many seeds, the run's data were streamed, or memory is
            too small for all trainings at once.
        AecliError: a training diverged, or memory is short.

    """
    check_seeds(checkpoint, count)
    seeds = tuple((checkpoint.config.seed + i) % 2**32 for i in range(count))
    return compare_maps(maps_of_seeds(checkpoint, dataset, split, seeds, prepared, report), seeds)


def maps_of_seeds(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    seeds: tuple[int, ...],
    prepared: Prepared,
    report: Report = lambda epochs: None,
) -> list[Floats]:
    """Return the codes of a split, float32 (n, d), that a run's training gives with each seed.

    Each training has all of the run's epochs; its last parameters encode.
    """
    config = checkpoint.config
    step = TrainStep(config, dataset.image_shape, dataset.count("train"))
    step.refuse_beyond_memory(pixels=bytes_in_memory(dataset.nbytes), seeds=len(seeds))
    rows, maps = dataset.rows(split), []
    for parameters in _train(step, dataset, seeds, prepared, report):
        model = TrainedModel(config, dataset.image_shape, parameters)
        if config.placing == "neighbors":
            references = jax.device_put(fit_references(dataset, model, prepared.features))
            by_features = dataset.source.features is not None
            model = replace(model, references=references, by_features=by_features)
        maps.append(encode(model, *encoder_inputs(model, dataset, rows)))
    return maps


def _train(
    step: TrainStep,
    dataset: Dataset,
    seeds: tuple[int, ...],
    prepared: Prepared,
    report: Report,
) -> list[Parameters]:
    """Train with all seeds in one program; return the last parameters of each."""
    place = partial(jax.device_put, device=step.devices.replicated)
    mean_image = dataset.mean_image("train")
    states = jax.tree.map(
        lambda *leaves: np.stack(leaves),
        *(step.initial_state(mean_image, seed) for seed in seeds),
    )
    arguments = [
        place(dataset.split("train").images),
        place(Neighborhood.of(prepared.graph)),
        place(dataset.split("validation").images),
    ]
    labels = place(training_labels(dataset, step.config))
    states = place(states)
    seed_array = np.array(seeds, np.uint32)
    program = compiled(
        jax.vmap(
            EpochFunction(step),
            in_axes=(0, None, None, None, None, 0, None),
        ),
        {"program": "epoch of several seeds", **step.key},
        states,
        *arguments,
        np.uint32(1),
        seed_array,
        labels,
        donate=(0,),
    )
    for epoch in range(1, step.config.epochs + 1):
        states, result = program(states, *arguments, np.uint32(epoch), seed_array, labels)
        if not all(np.isfinite(losses).all() for losses in result.losses.values()):
            raise AecliError(f"the loss is not finite in epoch {epoch}: a training diverged")
        report(1)
    return [jax.tree.map(lambda leaf, i=i: leaf[i], states.parameters) for i in range(len(seeds))]
