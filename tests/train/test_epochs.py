import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from aecli.config import Config, with_settings
from aecli.errors import InputError
from aecli.losses import POSITIVES
from aecli.train.epochs import EpochFunction, Neighborhood, TrainState


def test_a_batch_must_split_over_the_devices(small_config: Config) -> None:
    class TwoDevices:
        size = 2

    config = with_settings(small_config, {"batch_size": 63})
    with pytest.raises(InputError, match="--batch-size 63 cannot be split evenly over 2 devices"):
        EpochFunction(config, (4, 4, 1), 200, TwoDevices())  # type: ignore[arg-type]


def _batches(config: Config, epoch: int) -> list[list[int]]:
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    function = EpochFunction(config, (4, 4, 1), 200, mesh)
    rows: list[list[int]] = function.batches(None, jnp.uint32(epoch), jnp.uint32(config.seed))[
        :, 0
    ].tolist()
    return rows


def test_every_epoch_and_every_seed_has_an_order_of_its_own(small_config: Config) -> None:
    config = with_settings(small_config, {"batch_size": 64})
    first = _batches(config, 1)
    rows = [row for batch in first for row in batch]
    assert [len(batch) for batch in first] == [64, 64, 64]
    assert len(set(rows)) == 192
    assert set(rows) <= set(range(200))
    assert first == _batches(config, 1)
    assert first != _batches(config, 2)
    assert first != _batches(with_settings(config, {"seed": 1}), 1)


def test_each_image_comes_with_neighbours_of_its_own(small_config: Config) -> None:
    config = with_settings(small_config, {"batch_size": 64, "neighbor_weight": 1.0})
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    function = EpochFunction(config, (4, 4, 1), 200, mesh)
    neighbors = jnp.asarray((np.arange(200)[:, None] + np.arange(1, 4)) % 200, jnp.int32)
    batches = np.asarray(
        function.batches(Neighborhood(neighbors, jnp.float32(1)), jnp.uint32(1), jnp.uint32(0))
    )
    assert batches.shape == (3, 1 + POSITIVES, 64)
    away = (batches[:, 1:] - batches[:, :1]) % 200
    assert set(away.reshape(-1).tolist()) == {1, 2, 3}
    # The images themselves are those of a training without neighbours.
    assert batches[:, 0].tolist() == _batches(config, 1)


def test_file_order_is_the_same_in_every_epoch(small_config: Config) -> None:
    config = with_settings(small_config, {"batch_size": 64, "shuffle": False})
    expected = [list(range(i, i + 64)) for i in (0, 64, 128)]
    assert _batches(config, 1) == _batches(config, 2) == expected


def test_the_initial_state_is_that_of_optax(small_config: Config) -> None:
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    function = EpochFunction(small_config, (4, 4, 1), 200, mesh)
    state = function.initial_state(np.zeros((4, 4, 1)))
    expected = function.optimizer.init(state.parameters)
    jax.tree.map(np.testing.assert_array_equal, state.optimizer, expected)


def test_the_weight_of_neighbours_follows_the_steps_done(small_config: Config) -> None:
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (9, 4, 4, 1), np.uint8))

    def neighbor_pull(steps_done: int, final: float) -> float:
        """Return how far a step with neighbours goes from one without, at the same rate."""
        settings = {"neighbor_final": final, "schedule": "constant", "epochs": 2, "batch_size": 3}
        config = with_settings(small_config, settings | {"neighbor_weight": 1.0})
        function = EpochFunction(config, (4, 4, 1), 9, mesh)
        state = function.initial_state(np.full((4, 4, 1), 0.5))
        counts = [part._replace(count=jnp.int32(steps_done)) for part in state.optimizer]
        state = TrainState(state.parameters, tuple(counts))
        moved = [
            function.step(state, images, variance, jnp.arange(9).reshape(3, 3)[:rows])[0].parameters
            for variance, rows in ((jnp.float32(1), 3), (None, 1))
        ]
        kernels = [parameters["encoder"]["layers"][0]["kernel"] for parameters in moved]
        return float(jnp.abs(kernels[0] - kernels[1]).max())

    # Two epochs of three steps: the last one is the sixth.
    assert neighbor_pull(0, final=0.0) == neighbor_pull(0, final=1.0) > 0
    assert neighbor_pull(6, final=1.0) > 0
    assert neighbor_pull(6, final=0.0) == 0
