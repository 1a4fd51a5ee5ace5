"""A term of the loss that nobody knows goes through everything behind the step."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aecli.cli.console import Reporter
from aecli.config import Config, with_settings
from aecli.losses import Forward, Term, loss_terms
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.run.states import PartialEpoch
from aecli.train.loop import Stopped, train
from tests.helpers import tiny_dataset

NAME = "mean code"
# A term whose gradient is 0: it only shows the random keys of the steps.
CHANCE = "chance"


def _with_another_term(config: Config, steps_per_epoch: int) -> list[Term]:
    def mean_code(forward: Forward) -> jax.Array:
        distance: jax.Array = jnp.square(forward.codes.mean(axis=0) - 3).sum()
        return distance

    def weight(step: jax.Array, forward: Forward) -> jax.Array:
        return jnp.where(step < 1000, jnp.float32(0.1), 0)

    def chance(forward: Forward) -> jax.Array:
        return jax.random.uniform(forward.key)

    terms = loss_terms(config, steps_per_epoch)
    return [*terms, Term(NAME, mean_code, weight), Term(CHANCE, chance)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def config(small_config: Config, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Config:
    # Programs that were compiled without the term are in another folder.
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr("aecli.train.step.loss_terms", _with_another_term)
    return with_settings(small_config, {"batch_size": 16, "epochs": 3, "schedule": "constant"})


@pytest.mark.parametrize("memory", [None, 4_000])
def test_another_term_is_trained_reported_and_saved(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], memory: int | None
) -> None:
    straight, resumed = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "resumed")
    with Reporter().epochs(3, 0) as report:
        train(tiny_dataset(), config, straight, report=report, memory=memory)
    assert f"  {NAME} " in capsys.readouterr().err
    history = load(straight.last).history
    assert list(history[0].losses) == ["reconstruction", "latent norm", NAME, CHANCE]
    assert len({line.losses[CHANCE] for line in history}) == len(history)
    # Far codes move towards 3.
    assert history[-1].losses[NAME] < history[0].losses[NAME]
    assert f'"{NAME}"' in straight.metrics.read_text()

    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    assert train(tiny_dataset(), config, resumed, stop=stop, memory=memory) == Stopped(True)
    checkpoint = load(resumed.last)
    if memory is not None:
        assert isinstance(checkpoint.partial, PartialEpoch)
        assert NAME in checkpoint.partial.losses
    train(tiny_dataset(), config, resumed, resume_from=checkpoint)
    first, second = load(straight.last), load(resumed.last)
    assert [line.losses for line in first.history] == [line.losses for line in second.history]
    for name in first.tensors:
        np.testing.assert_array_equal(first.tensors[name], second.tensors[name])


def test_random_keys_follow_the_seed_and_the_step_wherever_the_images_lie(
    config: Config, tmp_path: Path
) -> None:
    def chances(name: str, memory: int | None = None, **settings: object) -> list[float]:
        folder = RunFolder(tmp_path / name)
        train(tiny_dataset(), with_settings(config, settings), folder, memory=memory)
        return [line.losses[CHANCE] for line in load(folder.last).history]

    first = chances("first")
    np.testing.assert_allclose(chances("streamed", memory=4_000), first, rtol=1e-5)
    assert not set(chances("another", seed=7)) & set(first)
