from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose

from aecli.config import Config, with_settings
from aecli.data import Dataset
from aecli.encode import encode, load_model
from aecli.errors import AecliError, InputError
from aecli.features import TrainingFeatures
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import RunFolder
from aecli.score.seeds import maps_of_seeds, measure_stability
from aecli.score.stability import compare_maps
from aecli.train.loop import train
from aecli.train.prepare import Prepared, prepare

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A run of seed 5, what it needs, and the maps of it and of a run of seed 6 by itself."""

    checkpoint: Checkpoint
    prepared: Prepared
    maps: list[Floats]


def _nothing(data: Dataset) -> Prepared:
    return Prepared(TrainingFeatures(data))


def _trained(data: Dataset, config: Config, folder: Path) -> Trained:
    folders = [RunFolder(folder / f"seed-{seed}") for seed in (5, 6)]
    for run, seed in zip(folders, (5, 6), strict=True):
        train(data, with_settings(config, {"seed": seed}), run)
    # What images are placed among is in the best one alone.
    placed = config.placing == "neighbors"
    checkpoints = [load(run.best if placed else run.last) for run in folders]
    prepared = prepare(data, config, folders[0])
    images = data.split("test").images
    maps = [encode(load_model(checkpoint), images) for checkpoint in checkpoints]
    return Trained(checkpoints[0], prepared, maps)


# Products of several seeds at a time round differently, so that maps are only nearly equal.
def test_the_map_of_each_seed_is_that_of_a_run_with_it(
    digits: Dataset, small_config: Config, tmp_path: Path
) -> None:
    runs = _trained(digits, small_config, tmp_path)
    epochs: list[int] = []
    maps = maps_of_seeds(runs.checkpoint, digits, "test", (5, 6), runs.prepared, epochs.append)
    assert sum(epochs) == runs.checkpoint.epoch
    for i in (0, 1):
        same = compare_maps([runs.maps[i], maps[i]], (0, 0))
        assert same.kept > 0.97
        assert same.disparity < 0.001
        other = compare_maps([runs.maps[i], maps[1 - i]], (0, 0))
        assert other.kept < 0.6
        assert other.disparity > 0.1


def test_stability_is_that_of_runs_with_the_seeds_from_the_own_one(
    digits: Dataset, small_config: Config, tmp_path: Path
) -> None:
    """All that decides a map takes part, at a weight that moves it."""
    settings: dict[str, Any] = {
        "label_weight": 0.3,
        "neighbor_weight": 1.0,
        "neighbor_final": 0.1,
        "placing": "neighbors",
        "epochs": 2,
    }
    runs = _trained(digits, with_settings(small_config, settings), tmp_path)
    stable = measure_stability(runs.checkpoint, digits, "test", 2, runs.prepared)
    expected = compare_maps(runs.maps, (5, 6))
    assert stable.seeds == (5, 6)
    assert_allclose(stable.disparity, expected.disparity, atol=0.01)
    assert_allclose(stable.kept, expected.kept, atol=0.02)
    assert_allclose(stable.moved, expected.moved, atol=0.05)


def test_one_seed_is_refused(digits_run: Path, digits: Dataset) -> None:
    with pytest.raises(InputError, match="--stability must be at least 2 seeds, got 1"):
        measure_stability(load(RunFolder(digits_run).last), digits, "test", 1, _nothing(digits))


def test_a_training_that_diverges_is_named(
    digits: Dataset, small_config: Config, digits_run: Path
) -> None:
    config = with_settings(small_config, {"learning_rate": 1e30, "output": "linear"})
    checkpoint = replace(load(RunFolder(digits_run).last), config=config)
    with pytest.raises(AecliError, match="the loss is not finite in epoch 1: a training diverged"):
        measure_stability(checkpoint, digits, "test", 2, _nothing(digits))
