"""The epochs of many processes, here of one that is the only one: they are those of one process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aecli.config import Config, choose_recipe, with_settings
from aecli.data import Dataset
from aecli.processes.group import Processes
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.train import sharded
from aecli.train.loop import train
from tests.distributed.store import Store
from tests.helpers import tiny_dataset


class _Watch:
    saved: str | None = None


def _alone() -> Processes:
    watch: Any = _Watch()
    return Processes(Store(), watch, ["here"], 0)


def _labelled() -> Dataset:
    dataset = tiny_dataset()
    return replace(dataset, labels=np.arange(len(dataset.images)) % 3)


def _map(smoothing: float) -> Config:
    """Return settings with neighbours, labels, and an encoder of smoothed images or of images."""
    settings = {"encoder": "dense", "hidden": (8,), "epochs": 2, "batch_size": 16, "neighbors": 5}
    smoothed = {"landmarks": 20, "smoothing": smoothing, "label_weight": 0.1}
    return with_settings(choose_recipe("map"), settings | smoothed)


@pytest.mark.parametrize(
    ("config", "memory"),
    [(_map(0.3), None), (_map(0), 8_000)],
    ids=["smoothed, in memory", "streamed"],
)
def test_an_epoch_in_shares_is_that_of_one_process(
    config: Config, memory: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Five steps at a time, of twelve.
    monkeypatch.setattr(sharded, "_CHUNK_BYTES", 5 * 16 * 16)
    one, shares = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "shares")
    train(_labelled(), config, one, memory=memory)
    train(_labelled(), config, shares, memory=memory, processes=_alone())
    expected, got = load(one.last), load(shares.last)
    assert (got.layout is None) == (memory is None)
    assert got.layout == expected.layout
    for name, tensor in expected.tensors.items():
        np.testing.assert_allclose(got.tensors[name], tensor, rtol=1e-5, atol=1e-6, err_msg=name)
    for epoch, of_one in zip(got.history, expected.history, strict=True):
        assert epoch.losses == pytest.approx(of_one.losses, rel=1e-6)
        assert epoch.validation_loss == pytest.approx(of_one.validation_loss, rel=1e-6)
        assert epoch.learning_rate == of_one.learning_rate
