import jax.numpy as jnp
import numpy as np
import pytest

from aecli.config import Config, with_settings
from aecli.features import TrainingFeatures
from aecli.smoothing import fit_smoother
from aecli.train.evaluation import Evaluation, evaluate
from aecli.train.step import TrainStep
from tests.helpers import tiny_dataset


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_losses_are_the_means_over_the_pixels_of_each_image(
    small_config: Config, loss: str
) -> None:
    dataset = tiny_dataset()
    step = TrainStep(with_settings(small_config, {"loss": loss}), (4, 4, 1), 200)
    parameters = step.initial_state(dataset.mean_image("train")).parameters
    pixels = dataset.split("test").images
    unit = pixels / np.float32(255)
    model = step.model(parameters)
    decoded = np.asarray(model.decoder(model.encoder(jnp.asarray(unit))), np.float64)
    squared = np.square(decoded - unit)
    entropy = -unit * np.log(decoded) - (1 - unit) * np.log(1 - decoded)
    expected = {"mse": squared, "bce": entropy}[loss].mean(axis=(1, 2, 3))
    values = evaluate(step, parameters, jnp.asarray(pixels))
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    evaluation = Evaluation(step)
    assert evaluation.mean(parameters, dataset, "test") == pytest.approx(expected.mean(), rel=1e-5)
    codes, errors = evaluation.decoded(parameters, dataset, "test")
    assert errors.mean() == pytest.approx(squared.mean(), rel=1e-5)
    np.testing.assert_allclose(errors, squared.mean(axis=(1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(codes, model.encoder(jnp.asarray(unit)), rtol=1e-4, atol=1e-5)


def test_codes_of_smoothed_images_are_those_of_what_the_encoder_sees(small_config: Config) -> None:
    dataset = tiny_dataset()
    config = with_settings(small_config, {"smoothing": 0.2})
    smoother = fit_smoother(dataset, config, TrainingFeatures(dataset))
    assert smoother is not None
    step = TrainStep(config, (4, 4, 1), 200)
    parameters = step.initial_state(dataset.mean_image("train")).parameters
    pixels = jnp.asarray(dataset.split("test").images)
    unit = pixels.astype(jnp.float32) / np.float32(255)
    model = step.model(parameters)
    expected = model.encoder(smoother.images(pixels, dataset.image_shape))
    squared = np.square(np.asarray(model.decoder(expected) - unit)).mean(axis=(1, 2, 3))
    codes, errors = Evaluation(step, smoother).decoded(parameters, dataset, "test")
    np.testing.assert_allclose(codes, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(errors, squared, rtol=1e-4)
    assert np.abs(codes - np.asarray(model.encoder(unit))).max() > 1e-2
