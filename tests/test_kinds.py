"""What must hold for every kind of autoencoder."""

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from aecli.encode import decode, encode, load_model
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.train import sharded
from aecli.train.epochs import EpochResult
from aecli.train.loop import train
from aecli.train.prepare import prepare_together
from aecli.train.sharded import EpochSharded
from aecli.train.step import TrainStep
from tests.distributed.store import alone
from tests.kinds import KINDS, color_images, config_of

pytestmark = pytest.mark.parametrize("kind", KINDS)

# Of shuffle buffers of one batch. In memory the images take three times as much.
_MEMORY = 30_000

Runs = Callable[[str], RunFolder]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return a function that trains a kind, streamed, once."""

    @cache
    def run(kind: str) -> RunFolder:
        folder = RunFolder(tmp_path_factory.mktemp("kinds") / kind)
        train(color_images(), config_of(kind), folder, memory=_MEMORY)
        return folder

    return run


def test_a_training_that_stopped_within_an_epoch_goes_on_bit_for_bit(
    kind: str, runs: Runs, tmp_path: Path
) -> None:
    asked, stopped = itertools.count(), RunFolder(tmp_path)
    dataset, config = color_images(), config_of(kind)
    train(dataset, config, stopped, memory=_MEMORY, stop=lambda: next(asked) == 5)
    checkpoint = load(stopped.last)
    assert checkpoint.epoch == 0
    assert checkpoint.partial is not None
    train(dataset, config, stopped, resume_from=checkpoint)
    for ours, theirs in ((stopped.last, runs(kind).last), (stopped.best, runs(kind).best)):
        first, second = load(ours), load(theirs)
        assert [line.losses for line in first.history] == [line.losses for line in second.history]
        assert first.best == second.best
        assert first.tensors.keys() == second.tensors.keys()
        for name, tensor in first.tensors.items():
            assert_array_equal(tensor, second.tensors[name])


def test_processes_train_as_one_does(
    kind: str, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, config = color_images(), config_of(kind)
    monkeypatch.setattr(sharded, "_CHUNK_BYTES", 1)
    step = TrainStep(config, dataset.image_shape, dataset.count("train"))
    graph = prepare_together(alone(), dataset, config, RunFolder(tmp_path)).graph
    state = step.devices.replicate(step.initial_state(dataset.mean_image("train")))
    expected = load(runs(kind).last)
    epoch = EpochSharded(step, dataset, state, expected.layout, graph, alone())
    _, result = epoch(state, 1, None, lambda: False)
    assert isinstance(result, EpochResult)
    assert result.losses == pytest.approx(expected.history[0].losses, rel=1e-5)


def test_codes_and_images_do_not_depend_on_their_company(
    kind: str, runs: Runs, request: pytest.FixtureRequest
) -> None:
    best = load(runs(kind).best)
    # Only now: what was trained is compared with other trainings.
    request.getfixturevalue("optimized_once")
    model, images = load_model(best), color_images().images[:]
    codes = encode(model, images)
    order = np.random.default_rng(0).permutation(len(images))[:151]
    assert_array_equal(encode(model, images[order], batch_size=7), codes[order])
    assert_array_equal(decode(model, codes[order], batch_size=5), decode(model, codes)[order])
