import math
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from aecli.config import Config, with_settings
from aecli.errors import AecliError
from aecli.features import TrainingFeatures
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.run.states import Best, EpochMetrics, PartialEpoch, ShuffleLayout
from aecli.train.prepare import Prepared
from aecli.train.saving import Progress, Saver, restore
from aecli.train.step import TrainStep
from tests.helpers import tiny_dataset

# As of streamed data.
LAYOUT = ShuffleLayout(40, 1)


def _metrics(epoch: int, validation_loss: float) -> EpochMetrics:
    return EpochMetrics(epoch, {"reconstruction": 0.5}, validation_loss, 1e-3, 100.0, 2.0)


@pytest.fixture
def progress(small_config: Config) -> Progress:
    step = TrainStep(small_config, (4, 4, 1), 200)
    return Progress(step.initial_state(np.full((4, 4, 1), 0.5)))


def _saver(folder: Path, config: Config, resumed_at: int | None = None) -> Saver:
    dataset = tiny_dataset()
    prepared = Prepared(TrainingFeatures(dataset))
    return Saver(
        RunFolder(folder),
        config,
        dataset.describe(),
        LAYOUT,
        prepared,
        broken={},
        resumed_at=resumed_at,
    )


def test_the_best_parameters_are_those_of_the_lowest_validation_loss(progress: Progress) -> None:
    for epoch, loss in enumerate((0.5, 0.3, 0.4), start=1):
        parameters = jax.tree.map(lambda leaf, e=epoch: leaf * 0 + e, progress.state.parameters)
        progress.state = progress.state._replace(parameters=parameters)
        progress.add(_metrics(epoch, loss))
    assert (progress.epoch, progress.best) == (3, Best(2, 0.3))
    assert {float(leaf.flat[0]) for leaf in jax.tree.leaves(progress.best_parameters)} == {2.0}
    assert [metrics.epoch for metrics in progress.history] == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "epochs_ended"),
    [({"epochs": 3}, [3, 4]), ({"epochs": 9, "patience": 2}, [4]), ({"epochs": 9}, [])],
)
def test_a_training_ends_at_its_epochs_or_its_patience(
    progress: Progress, small_config: Config, settings: dict[str, Any], epochs_ended: list[int]
) -> None:
    config = with_settings(small_config, settings)
    ended = []
    for epoch, loss in enumerate((0.5, 0.3, 0.4, 0.4), start=1):
        progress.add(_metrics(epoch, loss))
        ended += [epoch] if progress.ended(config) else []
    assert ended == epochs_ended


def test_progress_comes_back_from_its_checkpoint(
    progress: Progress, small_config: Config, tmp_path: Path
) -> None:
    progress.add(_metrics(1, 0.5))
    progress.partial = PartialEpoch(2, {"reconstruction": 1.5}, 6)
    saver = _saver(tmp_path, small_config)
    assert not saver.has_saved
    assert saver.is_due()
    saver.save(progress)
    assert saver.has_saved
    assert saver.is_saved(1)
    assert not saver.is_saved(2)
    assert not saver.is_due()
    like = TrainStep(small_config, (4, 4, 1), 200).initial_state(np.zeros((4, 4, 1)))
    back = restore(like, load(RunFolder(tmp_path).last))
    assert (back.epoch, back.partial, back.best) == (1, progress.partial, Best(1, 0.5))
    assert (back.history, back.buffers_done) == (progress.history, 2)
    jax.tree.map(np.testing.assert_array_equal, back.state, progress.state)
    jax.tree.map(np.testing.assert_array_equal, back.best_parameters, progress.best_parameters)


def test_within_the_first_epoch_there_is_no_best_checkpoint(
    progress: Progress, small_config: Config, tmp_path: Path
) -> None:
    progress.partial = PartialEpoch(1, {"reconstruction": 1.5}, 3)
    _saver(tmp_path, small_config).save(progress)
    folder = RunFolder(tmp_path)
    assert not folder.best.exists()
    assert load(folder.last).best == Best(0, math.inf)


def test_files_of_another_run_go_but_those_of_a_resumed_one_stay(
    progress: Progress, small_config: Config, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    progress.partial = PartialEpoch(1, {"reconstruction": 1.5}, 3)
    every = [folder.summary, folder.best, folder.neighbors]
    for resumed_at, left in ((0, {folder.best}), (None, set())):
        for path in every:
            path.write_bytes(b"older")
        _saver(tmp_path, small_config, resumed_at).save(progress)
        assert {path for path in every if path.exists()} == left


@pytest.mark.parametrize("what", ["moved", "removed", "replaced"])
def test_a_folder_that_is_gone_is_not_made_again(
    progress: Progress, small_config: Config, tmp_path: Path, what: str
) -> None:
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    saver = _saver(folder, small_config)
    progress.add(_metrics(1, 0.5))
    saver.save(progress)
    before = (folder / "last.safetensors").read_bytes()
    folder.rename(elsewhere)
    if what == "removed":
        shutil.rmtree(elsewhere)
    if what == "replaced":
        folder.mkdir()
    progress.add(_metrics(2, 0.4))
    with pytest.raises(AecliError, match="run was moved or removed while it was trained"):
        saver.save(progress)
    with pytest.raises(AecliError, match="run was moved or removed while it was trained"):
        saver.write_summary(progress.best)
    assert not folder.exists() or not list(folder.iterdir())
    if what != "removed":
        assert (elsewhere / "last.safetensors").read_bytes() == before
