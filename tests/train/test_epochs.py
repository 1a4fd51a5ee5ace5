import jax.numpy as jnp
import numpy as np

from aecli.config import Config, with_settings
from aecli.losses import POSITIVES
from aecli.train.epochs import EpochFunction, Neighborhood
from aecli.train.step import TrainStep


def _batches(config: Config, epoch: int) -> list[list[int]]:
    function = EpochFunction(TrainStep(config, (4, 4, 1), 200))
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
    function = EpochFunction(TrainStep(config, (4, 4, 1), 200))
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
