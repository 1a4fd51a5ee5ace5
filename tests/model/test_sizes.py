"""What is too large is refused before anything of it is made."""

import math
from typing import Any

import jax
import numpy as np
import pytest

from aecli.config import choose_recipe, with_settings
from aecli.errors import InputError
from aecli.model import network
from aecli.model.parameters import parameter_shapes
from aecli.model.sizes import (
    parameter_count,
    refuse_model_beyond_memory,
    refuse_training_beyond_memory,
)

SHAPE = (28, 28, 1)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many bytes seem to be free, on any machine."""
    monkeypatch.setattr("aecli.model.sizes.default_memory", lambda: 4 * 10**9)
    return 8 * 10**9


def _training(recipe: str = "plain", batch_size: int = 256, group: int = 1, **options: Any) -> None:
    names = ("hidden", "latent", "label_weight")
    settings = {name: options.pop(name) for name in names if name in options}
    config = with_settings(choose_recipe(recipe), settings)
    options = {"on_host": True, **options}
    refuse_training_beyond_memory(config, SHAPE, batch_size, group, **options)


@pytest.mark.parametrize("recipe", ["map", "plain", "classic"])
def test_parameters_are_counted_as_they_are_made(recipe: str) -> None:
    config = choose_recipe(recipe)
    leaves = jax.tree.leaves(parameter_shapes(config, SHAPE))
    assert parameter_count(network(config, SHAPE)) == sum(math.prod(one.shape) for one in leaves)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"recipe": "map", "group": 3},
        {"hidden": (3_000, 3_000)},
        {"latent": 100_000},
        {"batch_size": 60_000},
        {"seeds": 10},
    ],
)
@pytest.mark.usefixtures("free")
def test_what_fits_is_not_refused(settings: dict[str, Any]) -> None:
    _training(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"hidden": (1_000_000, 1_000_000)},
            r"would take 96,\d+\.\d GB, but 8\.0 GB are free",
        ),
        (
            {"latent": 1_000_000},
            "257,193,520 parameters on images of 28x28x1 in .*: lower --hidden or --latent",
        ),
        ({"batch_size": 2_000_000}, "in batches of 2,000,000, .*: lower --batch-size"),
        # The neighbour loss compares all pairs of a batch.
        ({"recipe": "map", "batch_size": 20_000, "group": 3}, "lower --batch-size"),
        # And so does the label loss, without neighbours too.
        ({"label_weight": 1.0, "batch_size": 20_000}, "lower --batch-size"),
        ({"pixels": 8 * 10**9}, "lower --memory, which streams the images"),
        ({"hidden": (3_000, 3_000), "seeds": 100}, "100 trainings of this model.*--stability"),
    ],
)
@pytest.mark.usefixtures("free")
def test_what_does_not_fit_is_refused_with_what_to_lower(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        _training(**settings)
    assert len(str(refused.value)) < 300


@pytest.mark.usefixtures("free")
def test_an_accelerator_has_memory_of_its_own_for_the_batch() -> None:
    _training(batch_size=2_000_000, on_host=False)


@pytest.mark.usefixtures("free")
def test_a_model_that_is_loaded_needs_room_for_a_copy() -> None:
    refuse_model_beyond_memory(choose_recipe("map"), SHAPE)
    config = with_settings(choose_recipe("plain"), {"latent": 1_000_000, "hidden": (4_000,)})
    with pytest.raises(InputError, match=r"would take \d+\.\d GB, but 8\.0 GB are free"):
        refuse_model_beyond_memory(config, SHAPE)


def test_the_estimate_of_a_step_is_near_what_its_program_takes() -> None:
    """XLA says what it puts aside for a program; nothing of it is run."""
    from aecli.model.sizes import _BYTES, _batch_bytes
    from aecli.train.epochs import EpochFunction
    from aecli.train.step import TrainState, TrainStep

    settings = {"hidden": (500, 500), "batch_size": 4_000}
    step = TrainStep(with_settings(choose_recipe("plain"), settings), SHAPE, 8_000)
    parameters = parameter_shapes(step.config, SHAPE)
    optimizer = jax.eval_shape(step.optimizer.init, parameters)
    images = jax.ShapeDtypeStruct((8_000, *SHAPE), np.uint8)
    number = jax.ShapeDtypeStruct((), np.uint32)
    program = jax.jit(EpochFunction(step), donate_argnums=(0,)).lower(
        TrainState(parameters, optimizer), images, None, images, number, number
    )
    analysis = program.compile().memory_analysis()
    if analysis is None:
        pytest.skip("this XLA does not say what a program takes")
    layers = network(step.config, SHAPE)
    batch = _batch_bytes(layers, step.batch_size, step.group, comparisons=0)
    estimate = _BYTES * parameter_count(layers) + batch
    assert 0.6 < estimate / analysis.temp_size_in_bytes < 1.6
