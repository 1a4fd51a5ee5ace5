import jax
import numpy as np
import optax
import pytest

from aecli.config import Config, with_settings
from aecli.schedule import learning_rate_schedule


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
