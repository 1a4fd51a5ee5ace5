import jax
import numpy as np
import optax
import pytest

from aecli.config import Config, with_settings
from aecli.schedules import beta_schedule, learning_rate_schedule, neighbor_weight_schedule


@pytest.mark.parametrize(
    ("schedule", "reference"),
    [
        ("constant", optax.constant_schedule(0.1)),
        ("cosine", optax.cosine_decay_schedule(0.1, 100)),
        ("one-cycle", optax.cosine_onecycle_schedule(100, 0.1)),
    ],
)
def test_schedules_equal_optax(
    small_config: Config, schedule: str, reference: optax.Schedule
) -> None:
    config = with_settings(small_config, {"schedule": schedule, "epochs": 10, "learning_rate": 0.1})
    ours = learning_rate_schedule(config, 10)
    steps = range(100)
    # optax's own one-cycle mixes dtypes.
    with jax.numpy_dtype_promotion("standard"):
        expected = [reference(step) for step in steps]
    np.testing.assert_allclose([ours(step) for step in steps], expected, rtol=1e-4, atol=1e-8)


def test_the_weight_of_neighbours_stays_and_then_falls_to_its_last_share(
    small_config: Config,
) -> None:
    settings = {"neighbor_weight": 2.0, "neighbor_final": 0.1, "epochs": 10}
    schedule = neighbor_weight_schedule(with_settings(small_config, settings), 10)
    weights = [float(schedule(step)) for step in (0, 30, 65, 100)]
    np.testing.assert_allclose(weights, [2, 2, (2 + 0.2) / 2, 0.2], rtol=1e-5)
    settings["neighbor_final"] = 1.0
    schedule = neighbor_weight_schedule(with_settings(small_config, settings), 10)
    assert {float(schedule(step)) for step in range(101)} == {2.0}


def test_beta_rises_to_itself_over_its_share_of_the_steps(small_config: Config) -> None:
    settings = {"beta": 4.0, "beta_warmup": 0.5, "epochs": 10}
    schedule = beta_schedule(with_settings(small_config, settings), 10)
    weights = [float(schedule(step)) for step in (0, 24, 49, 50, 99)]
    np.testing.assert_allclose(weights, [4 / 50, 2, 4, 4, 4], rtol=1e-5)
    schedule = beta_schedule(with_settings(small_config, {"beta": 4.0, "beta_warmup": 0.0}), 10)
    assert float(schedule(0)) == 4
