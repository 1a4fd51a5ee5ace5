from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aecli.config import Config, with_settings
from aecli.encode import TrainedModel, decode, encode
from aecli.features import TrainingFeatures
from aecli.references import fit_references
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


def test_decoded_images_are_placed_among_the_references(small_config: Config) -> None:
    dataset = tiny_dataset()
    step = TrainStep(small_config, (4, 4, 1), 200)
    parameters = jax.device_put(step.initial_state(dataset.mean_image("train")).parameters)
    model = TrainedModel(small_config, (4, 4, 1), parameters)
    references = fit_references(dataset, model, TrainingFeatures(dataset))
    images = dataset.split("test").images
    expected = encode(replace(model, references=jax.device_put(references)), images)
    unit = images / np.float32(255)
    squared = np.square(decode(model, expected) - unit).mean(axis=(1, 2, 3))
    codes, errors = Evaluation(step, references).decoded(parameters, dataset, "test")
    np.testing.assert_allclose(codes, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(errors, squared, rtol=1e-4)
    assert np.abs(codes - encode(model, images)).max() > 1e-2
