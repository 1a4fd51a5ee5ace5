from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from aecli.config import Config, with_settings
from aecli.data import Dataset
from aecli.encode import encode, load_model
from aecli.errors import InputError
from aecli.neighbors import find_neighbors
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.score.stability import compare_maps, measure_stability
from aecli.train.loop import train

POINTS = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)


def test_a_map_that_is_turned_mirrored_and_scaled_is_the_same() -> None:
    turn = np.array([[0.6, 0.8], [0.8, -0.6]], np.float32)
    stable = compare_maps([POINTS, 7 * POINTS @ turn + 3], (0, 1))
    assert_allclose(stable.moved, 0, atol=1e-5)
    assert_allclose(stable.disparity, 0, atol=1e-6)
    assert stable.kept > 0.999


def test_maps_that_have_nothing_to_do_with_each_other_differ() -> None:
    other = np.random.default_rng(1).normal(size=(200, 2)).astype(np.float32)
    stable = compare_maps([POINTS, other], (0, 1))
    assert stable.disparity > 0.8
    assert stable.kept < 0.2
    assert np.median(stable.moved) > 0.3


def test_a_point_that_moves_is_found() -> None:
    other = POINTS.copy()
    other[17] += 5
    stable = compare_maps([POINTS, other], (0, 1))
    assert int(stable.moved.argmax()) == 17


def test_the_first_of_the_seeds_is_trained_as_the_run_was(
    digits_run: Path, digits: Dataset
) -> None:
    checkpoint = load(RunFolder(digits_run).last)
    epochs: list[int] = []
    stable = measure_stability(checkpoint, digits, "test", 2, None, report=epochs.append)
    assert stable.seeds == (0, 1)
    assert sum(epochs) == checkpoint.epoch
    assert stable.moved.shape == (digits.count("test"),)
    assert 0 < stable.disparity < 1
    # Products of several seeds at a time round differently.
    own = encode(load_model(checkpoint), digits.split("test").images)
    again = compare_maps([own, own], (0, 0))
    assert again.kept == 1


def test_seeds_of_a_map_with_neighbours_are_trained(
    digits: Dataset, small_config: Config, tmp_path: Path
) -> None:
    settings = {"encoder": "conv", "neighbor_weight": 1.0, "neighbor_final": 0.1, "epochs": 2}
    config = with_settings(small_config, settings)
    folder = RunFolder(tmp_path)
    train(digits, config, folder)
    found = find_neighbors(digits, config, folder)
    assert found is not None
    assert found.written
    stable = measure_stability(load(folder.last), digits, "test", 2, found.graph)
    assert 0 < stable.disparity < 1
    assert np.isfinite(stable.moved).all()


def test_one_seed_is_refused(digits_run: Path, digits: Dataset) -> None:
    with pytest.raises(InputError, match="--stability must be at least 2 seeds, got 1"):
        measure_stability(load(RunFolder(digits_run).last), digits, "test", 1, None)
