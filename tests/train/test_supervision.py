"""Labels in training: where they come from, where they go, and what they do to a map."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aecli.config import Config, with_settings
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.labels import UNKNOWN
from aecli.losses import label_loss
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.run.states import PartialEpoch, ShuffleLayout
from aecli.score.scores import embed_run, make_scorer
from aecli.train.loop import Stopped, train
from aecli.train.stream import shuffle_buffers
from aecli.train.supervision import training_labels
from tests.helpers import tiny_dataset

# Of the 200 training images: classes of any number, half of them unknown.
LABELS = np.where(np.arange(300) % 2, np.arange(300) % 3 * 10**12 - 5, UNKNOWN)


@pytest.fixture(scope="module")
def config(small_config: Config) -> Config:
    settings = {"label_weight": 1.0, "batch_size": 16, "epochs": 3, "schedule": "constant"}
    return with_settings(small_config, settings)


def _labelled(labels: Any) -> Dataset:
    return replace(tiny_dataset(), labels=labels)


def test_classes_are_counted_from_0_and_unknown_ones_stay(config: Config) -> None:
    labels = training_labels(_labelled(LABELS), config)
    assert labels is not None
    assert labels.dtype == np.int32
    assert labels.shape == (200,)
    assert_array_equal(labels == UNKNOWN, LABELS[:200] == UNKNOWN)
    # 1, 3, 5, 7, ... leave 1, 0, 2, 1, ... when divided by 3.
    assert labels[1:8:2].tolist() == [1, 0, 2, 1]
    assert training_labels(_labelled(LABELS), with_settings(config, {"label_weight": 0.0})) is None


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "the training images of tiny have none: --labels takes"),
        (np.full(300, UNKNOWN), "have none"),
        # Those of other splits do not count.
        (np.where(np.arange(300) < 200, UNKNOWN, np.arange(300) % 2), "have none"),
        (np.where(np.arange(300) < 200, 7, 8), "have those of one class"),
        (np.arange(300), "have another one each"),
    ],
)
def test_without_two_classes_it_is_refused(labels: Any, words: str, config: Config) -> None:
    with pytest.raises(InputError, match="--label-weight needs labels of two classes") as refused:
        training_labels(_labelled(labels), config)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 300


def test_streamed_images_come_with_their_own_labels(config: Config) -> None:
    data = _labelled(LABELS)
    labels, images = training_labels(data, config), data.split("train").images
    assert labels is not None
    by_pixels = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    seen = 0
    layout = ShuffleLayout(block_rows=32, buffer_blocks=2)
    for buffer, batches, steps, own in shuffle_buffers(
        data, layout, 16, None, labels, seed=0, epoch=1, shuffle=True
    ):
        assert own is not None
        rows = batches[:steps].reshape(-1)
        assert own[rows].tolist() == [by_pixels[image.tobytes()] for image in buffer[rows]]
        seen += len(rows)
    assert seen == 192


@pytest.mark.parametrize(
    ("memory", "settings"), [(None, {}), (4_000, {"neighbor_weight": 1.0, "batch_size": 8})]
)
def test_a_run_resumes_exactly(
    config: Config, tmp_path: Path, memory: int | None, settings: dict[str, Any]
) -> None:
    data, config = _labelled(LABELS), with_settings(config, settings)
    straight, resumed = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "resumed")
    train(data, config, straight, memory=memory)
    assert "label" in load(straight.last).history[0].losses

    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    assert train(data, config, resumed, stop=stop, memory=memory) == Stopped(True)
    checkpoint = load(resumed.last)
    assert isinstance(checkpoint.partial, PartialEpoch) is (memory is not None)
    train(data, config, resumed, resume_from=checkpoint)
    first, second = load(straight.last), load(resumed.last)
    assert [line.losses for line in first.history] == [line.losses for line in second.history]
    for name in first.tensors:
        assert_array_equal(first.tensors[name], second.tensors[name])


def test_the_loss_of_a_step_is_that_of_its_images_and_their_labels(
    config: Config, tmp_path: Path
) -> None:
    """Where nothing is learned every epoch has the loss of the initial codes, batch by batch."""
    from aecli.encode import TrainedModel, encode
    from aecli.train.step import TrainStep

    data = _labelled(LABELS)
    # In file order, and so slow that no bit of the codes changes much.
    still = {"shuffle": False, "learning_rate": 1e-12, "epochs": 1, "code_penalty": 0.0}
    config = with_settings(config, still)
    train(data, config, RunFolder(tmp_path), memory=4_000)
    step = TrainStep(config, data.image_shape, 200)
    model = TrainedModel(config, data.image_shape, step.initial_state(data.mean_image("train"))[0])
    codes, labels = encode(model, data.split("train").images), training_labels(data, config)
    assert labels is not None
    batches = [slice(start, start + 16) for start in range(0, 192, 16)]
    losses = [label_loss(jnp.asarray(codes[at]), jnp.asarray(labels[at])) for at in batches]
    (line,) = load(RunFolder(tmp_path).last).history
    assert_allclose(line.losses["label"], np.mean(losses), rtol=1e-4)


def test_labels_part_the_classes_also_where_half_are_unknown(
    digits: Dataset, small_config: Config, tmp_path: Path
) -> None:
    assert digits.labels is not None
    half = np.where(np.arange(len(digits.labels)) % 2, digits.labels, UNKNOWN)
    scorer = make_scorer(digits, "test")

    def accuracy(weight: float) -> float:
        folder = RunFolder(tmp_path / str(weight))
        settings = {"label_weight": weight, "epochs": 8, "batch_size": 32}
        train(replace(digits, labels=half), with_settings(small_config, settings), folder)
        # The test labels are in no training, and all training labels vote.
        own, _ = embed_run(load(folder.best), digits, "test")
        found = scorer.score(own).knn_accuracy
        assert found is not None
        return found

    assert accuracy(1.0) > accuracy(0.0) + 0.05
