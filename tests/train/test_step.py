import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aecli.config import Config, with_settings
from aecli.device import Devices
from aecli.errors import InputError
from aecli.losses import POSITIVES
from aecli.train.step import TrainState, TrainStep


class TwoDevices(Devices):
    count = 2


@pytest.mark.parametrize(
    ("batch_size", "rows", "words"),
    [
        (63, 200, "--batch-size 63 cannot be split evenly over 2 devices"),
        (64, 1, "1 training images are too few for 2 devices"),
    ],
)
def test_a_batch_must_split_over_the_devices(
    small_config: Config, batch_size: int, rows: int, words: str
) -> None:
    config = with_settings(small_config, {"batch_size": batch_size})
    with pytest.raises(InputError, match=words):
        TrainStep(config, (4, 4, 1), rows, TwoDevices())


def test_the_initial_state_is_that_of_optax(small_config: Config) -> None:
    step = TrainStep(small_config, (4, 4, 1), 200)
    state = step.initial_state(np.zeros((4, 4, 1)))
    expected = step.optimizer.init(state.parameters)
    jax.tree.map(np.testing.assert_array_equal, state.optimizer, expected)


def _images(rows: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (rows, 4, 4, 1), np.uint8))


def test_the_weight_of_neighbours_follows_the_steps_done(small_config: Config) -> None:
    images = _images(9)
    start = np.full((4, 4, 1), 0.5)

    def kernels(weight: float, final: float) -> list[jax.Array]:
        """Return a kernel after a step, at the same rate, as the first and as the seventh."""
        settings = {"neighbor_final": final, "schedule": "constant", "epochs": 2, "batch_size": 3}
        settings["hidden"] = (4,)
        config = with_settings(small_config, settings | {"neighbor_weight": weight})
        step = TrainStep(config, (4, 4, 1), 9)
        rows = jnp.arange(9).reshape(3, 3)[: step.group]
        variance = jnp.float32(1) if weight else None
        program = jax.jit(step)
        found = []
        for steps_done in (0, 6):
            state = step.initial_state(start)
            counts = [part._replace(count=jnp.int32(steps_done)) for part in state.optimizer]
            state = TrainState(state.parameters, tuple(counts))
            after, _ = program(state, images, variance, rows, jnp.uint32(0))
            found.append(after.parameters["encoder"]["layers"][0]["kernel"])
        return found

    without = kernels(0.0, 1.0)
    pulls = {
        final: [
            float(jnp.abs(one - other).max())
            for one, other in zip(kernels(1.0, final), without, strict=True)
        ]
        for final in (0.0, 1.0)
    }
    # Two epochs of three steps: the last one is the sixth.
    assert pulls[0.0][0] == pytest.approx(pulls[1.0][0], rel=1e-3)
    assert pulls[1.0][0] > 1e-4
    assert pulls[1.0][1] > 1e-4
    assert pulls[0.0][1] < 1e-6


def test_a_step_returns_every_term_by_name(small_config: Config) -> None:
    settings = {"neighbor_weight": 1.0, "code_penalty": 1e-3, "batch_size": 3}
    step = TrainStep(with_settings(small_config, settings), (4, 4, 1), 9)
    assert step.group == 1 + POSITIVES
    state = step.initial_state(np.full((4, 4, 1), 0.5))
    rows = jnp.arange(9).reshape(3, 3)
    _, losses = jax.jit(step)(state, _images(9), jnp.float32(0.1), rows, jnp.uint32(0))
    assert set(losses) == {"reconstruction", "latent norm", "neighbor"}
    for loss in losses.values():
        assert loss.shape == ()
        assert loss.dtype == jnp.float32
        assert loss > 0


def test_every_step_and_every_seed_has_a_random_key_of_its_own() -> None:
    def bits(seed: int, step: int) -> int:
        return int(jax.random.bits(TrainStep.random_key(jnp.uint32(seed), jnp.int32(step))))

    keys = {(seed, step): bits(seed, step) for seed in range(4) for step in range(50)}
    assert len(set(keys.values())) == len(keys)
    assert keys[2, 7] == bits(2, 7)
    # Nor is it that of the order of an epoch.
    order = jax.random.fold_in(jax.random.key(2), 7)
    assert int(jax.random.bits(order)) != keys[2, 7]


def test_more_steps_than_are_counted_are_refused(small_config: Config) -> None:
    config = with_settings(small_config, {"epochs": 100_000, "batch_size": 1})
    with pytest.raises(InputError, match="--epochs 100000 of 30,000 steps each are more than"):
        TrainStep(config, (4, 4, 1), 30_000)
