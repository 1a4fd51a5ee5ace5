"""Noise: what it does to images, and what a training makes of it."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
import pytest

from aecli.config import Config, with_settings
from aecli.errors import InputError
from aecli.noise import Noise, parse_noise
from aecli.pixels import Images, unit_range
from aecli.train.evaluation import evaluate
from aecli.train.step import TrainStep
from tests.helpers import tiny_dataset

GREY = np.full((50, 20, 20, 3), 0.5, np.float32)


@cache
def _program(text: str, clip: bool) -> Callable[[int], jax.Array]:
    noise = parse_noise(text)
    assert noise is not None
    grey = jax.numpy.asarray(GREY)
    return jax.jit(lambda seed: noise.spoil(grey, jax.random.key(seed), clip=clip))


def _spoilt(text: str, *, seed: int = 0, clip: bool = True) -> npt.NDArray[np.float32]:
    return np.asarray(_program(text, clip)(seed))


def test_gaussian_noise_has_its_mean_its_deviation_and_its_shape() -> None:
    added = _spoilt("gaussian:0.2", clip=False) - GREY
    # Of 60,000 numbers: five deviations of each estimate.
    assert abs(added.mean()) < 5 * 0.2 / 245
    assert added.std() == pytest.approx(0.2, abs=5 * 0.2 / 346)
    assert np.mean(np.abs(added) < 0.2) == pytest.approx(0.6827, abs=0.01)
    assert np.mean(np.abs(added) < 0.4) == pytest.approx(0.9545, abs=0.005)
    # No image, row or channel has the noise of another.
    assert len(np.unique(added[:, 0, 0, 0])) == len(added)
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.04


def test_gaussian_noise_stays_in_the_range_of_pixels_and_not_of_vectors() -> None:
    clipped, free = (_spoilt("gaussian:1", clip=clip) for clip in (True, False))
    np.testing.assert_array_equal(clipped, np.clip(free, 0, 1))
    assert free.min() < -1
    assert free.max() > 2


def test_masks_put_out_all_channels_of_a_share_of_the_pixels() -> None:
    spoilt = _spoilt("mask:0.25")
    assert set(np.unique(spoilt)) == {np.float32(0), np.float32(0.5)}
    np.testing.assert_array_equal(spoilt.min(axis=3), spoilt.max(axis=3))
    # Of 20,000 pixels.
    assert np.mean(spoilt[..., 0] == 0) == pytest.approx(0.25, abs=5 * 0.0031)


def test_salt_makes_as_many_pixels_white_as_black() -> None:
    spoilt = _spoilt("salt:0.1")
    black, white = (np.mean(spoilt[..., 0] == value) for value in (0, 1))
    assert black == pytest.approx(0.05, abs=5 * 0.0016)
    assert white == pytest.approx(0.05, abs=5 * 0.0016)
    assert np.mean(spoilt == 0.5) == pytest.approx(1 - black - white)


def test_noise_follows_from_its_key() -> None:
    np.testing.assert_array_equal(_spoilt("salt:0.1"), _spoilt("salt:0.1"))
    assert (_spoilt("salt:0.1") != _spoilt("salt:0.1", seed=1)).any()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_the_noise_of_an_image_follows_from_its_pixels_wherever_it_is(kind: type) -> None:
    drawn = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 1))
    pixels: npt.NDArray[Any] = drawn.astype(kind)
    black = jax.numpy.zeros((6, 4, 4, 1))
    noise = Noise("gaussian", 0.3)
    added = jax.jit(lambda pixels, seed: noise.spoil_each(pixels, black, seed, clip=False))
    together, backwards = np.asarray(added(pixels, 0)), np.asarray(added(pixels[::-1], 0))
    np.testing.assert_array_equal(together, backwards[::-1])
    assert len(np.unique(together[:, 0, 0, 0])) == 6
    for other in (added(pixels[:, ::-1], 0), added(pixels, 1)):
        assert (together != np.asarray(other)).all()


@pytest.mark.parametrize(
    "text",
    ["", "gaussian", "gaussian:", "gaussian:0", "gaussian:-1", "gaussian:11", "mask:1.5", "salt:x",
     "poisson:1", "mask:0.1:2", "gaussian:1e-3", "mask:.", "gaussian:nan"],
)  # fmt: skip
def test_what_means_no_noise_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(InputError, match=r"--noise .*: expected none, gaussian:DEVIATION") as error:
        with_settings(Config(), {"noise": text})
    assert len(str(error.value)) <= 300


def test_words_for_noise() -> None:
    assert parse_noise("none") is None
    assert parse_noise("mask:1") == Noise("mask", 1.0)
    assert parse_noise("gaussian:.5") == Noise("gaussian", 0.5)


def test_the_encoder_sees_noise_and_the_loss_the_clean_image(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With white in place of every pixel the loss is that of white images, decoded, to clean."""
    dataset = tiny_dataset()
    config = with_settings(small_config, {"noise": "gaussian:0.3"})
    step = TrainStep(config, dataset.image_shape, dataset.count("train"))
    images = dataset.split("train").images[:64]
    parameters = step.initial_state(dataset.mean_image("train")).parameters
    monkeypatch.setattr(Noise, "spoil", lambda self, images, key, clip: jax.numpy.ones_like(images))

    @jax.jit
    def computed(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        _, losses = step.loss(parameters, images[None], None, jax.numpy.int32(0), jax.random.key(0))
        model = step.model(parameters)
        white = jax.numpy.ones(images.shape, jax.numpy.float32)
        return losses["reconstruction"], model.decode(model.encoder(white))

    loss, decoded = computed(images)
    expected = np.square(np.asarray(decoded) - unit_range(images)).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_validation_images_have_noise_of_their_own_in_blocks_of_any_size(
    small_config: Config,
) -> None:
    dataset = tiny_dataset()
    images = dataset.split("validation").images

    def losses(noise: str, images: Images) -> npt.NDArray[np.float32]:
        step = TrainStep(with_settings(small_config, {"noise": noise}), dataset.image_shape, 200)
        parameters = step.initial_state(dataset.mean_image("train")).parameters
        return np.asarray(jax.jit(lambda images: evaluate(step, parameters, images))(images))

    noisy = losses("gaussian:0.3", images)
    assert (noisy != losses("none", images)).all()
    np.testing.assert_array_equal(losses("gaussian:0.3", images[7:9]), noisy[7:9])
