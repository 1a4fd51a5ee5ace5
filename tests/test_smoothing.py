from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aecli.config import Config, with_settings
from aecli.data import Dataset
from aecli.encode import encode, image_errors, load_model
from aecli.errors import InputError
from aecli.features import TrainingFeatures
from aecli.model.smoothing import Smoother, smoother_of
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.smoothing import coordinates, fit_smoother
from aecli.train.loop import Stopped, train
from tests.helpers import tiny_dataset

Rows = npt.NDArray[np.float64]


@pytest.fixture(scope="session")
def config(small_config: Config) -> Config:
    settings = {"smoothing": 0.2, "neighbor_weight": 1.0, "neighbors": 5, "epochs": 3}
    return with_settings(small_config, settings)


def _fit(dataset: Dataset, config: Config) -> Smoother:
    smoother = fit_smoother(dataset, config, TrainingFeatures(dataset))
    assert smoother is not None
    return smoother


def _pixels(images: npt.NDArray[np.uint8]) -> Rows:
    return images.reshape(len(images), -1).astype(np.float64) / 255


def _expected(smoother: Smoother, pixels: Rows) -> Rows:
    """Return what an encoder sees, in numpy, one image at a time."""
    mean, components, memory = (
        np.asarray(part, np.float64)
        for part in (smoother.mean, smoother.components, smoother.memory)
    )
    seen = []
    for row in pixels:
        own = components @ (row - mean)
        squared = np.square(own - memory).sum(axis=1)
        weights = np.exp(smoother.log_counts - (squared - squared.min()) / smoother.bandwidth)
        weights[squared < 1e-6] = 0
        seen.append(weights @ memory / weights.sum() @ components)
    return np.array(seen)


@pytest.mark.parametrize("landmarks", [4_096, 60])
def test_an_image_is_seen_as_the_mean_of_those_near_it(
    digits: Dataset, config: Config, landmarks: int
) -> None:
    smoother = _fit(digits, with_settings(config, {"landmarks": landmarks}))
    assert len(smoother.memory) == min(landmarks, digits.count("train"))
    for split in ("train", "test"):
        images = digits.split(split).images[:300]
        expected = _expected(smoother, _pixels(images))
        seen = np.asarray(smoother.images(jax.numpy.asarray(images), (8, 8, 1)))
        assert_allclose(seen.reshape(expected.shape), expected, atol=2e-4)


def test_a_training_image_does_not_see_itself(digits: Dataset, config: Config) -> None:
    # So near that an image that counted would see hardly anything but itself.
    smoother = _fit(digits, with_settings(config, {"smoothing": 0.01}))
    images = digits.split("train").images
    own = np.asarray(smoother.memory)
    seen = coordinates(smoother, digits, "train")
    nearest = np.square(own[:, None] - own[None, :200]).sum(axis=2)
    np.fill_diagonal(nearest, np.inf)
    found = own[nearest.argmin(axis=0)]
    assert np.median(np.abs(seen[:200] - found)) < 1e-4
    assert np.square(seen - own).sum(axis=1).min() > 0.01
    # Nor does it see its twins.
    twice = replace(
        digits,
        images=np.concatenate([images, images]),
        labels=None,
        splits={"train": slice(0, 2 * len(images))},
    )
    memory = np.concatenate([own, own])
    counts = np.zeros(len(memory), np.float32)
    doubled = Smoother.of(smoother.mean, smoother.components, memory, counts, smoother.bandwidth)
    assert_allclose(coordinates(doubled, twice, "train")[: len(own)], seen, atol=1e-4)


def test_landmarks_are_means_that_stand_for_all_images(digits: Dataset, config: Config) -> None:
    smoother = _fit(digits, with_settings(config, {"landmarks": 60}))
    counts = np.exp(smoother.log_counts)
    values = TrainingFeatures(digits).values
    assert counts.sum() == pytest.approx(len(values), rel=1e-5)
    assert_allclose(counts @ smoother.memory / counts.sum(), values.mean(axis=0), atol=1e-4)
    nearest = np.square(values[:, None] - smoother.memory[None]).sum(axis=2).min(axis=1)
    assert nearest.mean() < 0.5 * np.square(values).sum(axis=1).mean()
    again = _fit(digits, with_settings(config, {"landmarks": 60, "seed": 7}))
    assert_array_equal(again.memory, smoother.memory)


def test_the_bandwidth_is_in_distances_to_the_15th_neighbour(
    digits: Dataset, config: Config
) -> None:
    values = TrainingFeatures(digits).values
    squared = np.square(values[:300, None] - values[None]).sum(axis=2)
    expected = float(np.median(np.sort(squared, axis=1)[:, 15]))
    assert _fit(digits, config).bandwidth == pytest.approx(0.2 * expected, rel=0.1)


def test_equal_images_are_seen_as_their_mean(config: Config) -> None:
    dataset = tiny_dataset()
    same = replace(dataset, images=np.full((300, 4, 4, 1), 77, np.uint8))
    smoother = _fit(same, config)
    seen = np.asarray(smoother.images(jax.numpy.asarray(same.images[:3]), (4, 4, 1)))
    assert_allclose(seen, 0, atol=1e-6)


def test_one_image_is_too_few(config: Config) -> None:
    dataset = tiny_dataset()
    one = replace(dataset, splits={**dataset.splits, "train": slice(0, 1)})
    with pytest.raises(InputError, match=r"--smoothing 0\.2 needs other training images"):
        fit_smoother(one, config, TrainingFeatures(one))


@pytest.mark.parametrize("memory", [None, 8_000])
def test_a_training_resumes_to_the_same_bits_and_encodes_what_it_has_seen(
    config: Config, tmp_path: Path, memory: int | None
) -> None:
    dataset = tiny_dataset()
    config = with_settings(config, {"batch_size": 4})
    straight, resumed = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "resumed")
    train(dataset, config, straight, memory=memory)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    assert train(dataset, config, resumed, stop=stop, memory=memory) == Stopped(True)
    train(dataset, config, resumed, resume_from=load(resumed.last))
    first, second = load(straight.last), load(resumed.last)
    assert (first.layout is None) == (memory is None)
    for name in first.tensors:
        assert_array_equal(first.tensors[name], second.tensors[name])
    best = load(straight.best)
    assert smoother_of(best.tensors) is not None
    errors = image_errors(best, dataset, "validation")
    assert errors.mean() == pytest.approx(best.best.validation_loss, rel=1e-3)
    without = {name: t for name, t in best.tensors.items() if not name.startswith("smoother.")}
    plain = with_settings(config, {"smoothing": 0})
    images = dataset.split("test").images
    codes = [
        encode(load_model(one), images)
        for one in (best, replace(best, tensors=without, config=plain))
    ]
    assert np.abs(codes[0] - codes[1]).max() > 0.1
    assert replace(best, tensors=without).model_hash != best.model_hash
