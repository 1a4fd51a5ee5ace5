"""The epochs of many processes, here of one that is the only one: they are those of one process."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from aecli.config import Config, choose_recipe, with_settings
from aecli.data import Dataset
from aecli.run.folder import RunFolder
from aecli.run.states import PartialEpoch, ShuffleLayout
from aecli.train import sharded
from aecli.train.epochs import EpochInMemory, EpochResult, EpochStreamed
from aecli.train.prepare import prepare_together
from aecli.train.sharded import EpochSharded
from aecli.train.step import TrainState, TrainStep
from tests.distributed.store import alone
from tests.helpers import tiny_dataset


def _labelled() -> Dataset:
    dataset = tiny_dataset()
    return replace(dataset, labels=np.arange(len(dataset.images)) % 3)


def _map() -> Config:
    """Return settings with neighbours and labels."""
    settings = {"encoder": "dense", "hidden": (8,), "epochs": 2, "batch_size": 16, "neighbors": 5}
    return with_settings(choose_recipe("map"), settings | {"label_weight": 0.1})


@pytest.mark.parametrize(
    "layout",
    [None, ShuffleLayout(block_rows=16, buffer_blocks=3)],
    ids=["in memory", "streamed"],
)
def test_an_epoch_in_shares_is_that_of_one_process(
    layout: ShuffleLayout | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _map()
    # Five steps at a time, of twelve.
    monkeypatch.setattr(sharded, "_CHUNK_BYTES", 5 * 16 * 16)
    dataset = _labelled()
    step = TrainStep(config, dataset.image_shape, dataset.count("train"))
    prepared = prepare_together(alone(), dataset, config, RunFolder(tmp_path))
    graph = prepared.graph

    def first() -> TrainState:
        return step.devices.replicate(step.initial_state(dataset.mean_image("train")))

    one = (
        EpochInMemory(step, dataset, first(), graph)
        if layout is None
        else EpochStreamed(step, dataset, first(), layout, graph)
    )
    shares = EpochSharded(step, dataset, first(), layout, graph, alone())
    expected, losses = one(first(), 1, None, lambda: False)
    got, our_losses = shares(first(), 1, None, lambda: False)
    assert isinstance(losses, EpochResult)
    assert isinstance(our_losses, EpochResult)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(jax.tree.leaves(our_losses), jax.tree.leaves(losses), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    if layout is not None:
        (_, ours_stopped), (_, theirs_stopped) = (
            run(first(), 1, None, iter([False, False, True]).__next__) for run in (shares, one)
        )
        assert isinstance(ours_stopped, PartialEpoch)
        assert isinstance(theirs_stopped, PartialEpoch)
        assert ours_stopped.buffers == theirs_stopped.buffers == 2
        assert ours_stopped.finite_steps == theirs_stopped.finite_steps > 0
        assert ours_stopped.losses == pytest.approx(theirs_stopped.losses, rel=1e-6)
