from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from aecli.config import Config, choose_recipe, with_settings
from aecli.model import network
from aecli.model.autoencoder import Autoencoder, LayerModule, autoencoder, to_unit_range
from aecli.model.convolution import Patches
from aecli.model.parameters import initial_parameters, parameter_shapes

SHAPE = (3, 4, 1)
MEAN = np.full(SHAPE, 0.3, np.float32)


def _model(config: Config) -> Any:
    return autoencoder(config, SHAPE, jax.device_put(initial_parameters(config, MEAN)))


@pytest.mark.parametrize("encoder", ["dense", "conv"])
@pytest.mark.parametrize("hidden", [(), (7,), tuple(range(3, 15))])
def test_parameters_have_the_names_and_shapes_of_flax(
    hidden: tuple[int, ...], encoder: str
) -> None:
    settings = {"hidden": hidden, "latent": 3, "encoder": encoder}
    config = with_settings(choose_recipe("plain"), settings)
    model = nnx.eval_shape(lambda: Autoencoder(network(config, SHAPE)))
    flax_shapes = nnx.to_pure_dict(nnx.state(model))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), flax_shapes) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), parameter_shapes(config, SHAPE)
    )


@pytest.mark.parametrize("recipe", ["classic", "plain"])
def test_the_forward_pass_equals_numpy(recipe: str) -> None:
    config = with_settings(choose_recipe(recipe), {"hidden": (5, 4), "activation": "sigmoid"})
    model = _model(config)
    images = np.random.default_rng(1).random((7, *SHAPE), np.float32)

    def sigmoid(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return 1 / (1 + np.exp(-values))

    parameters = initial_parameters(config, MEAN)
    values = images.reshape(7, 12).astype(np.float64)
    for i in range(3):
        layer = parameters["encoder"]["layers"][i]
        values = values @ layer["kernel"] + layer["bias"]
        values = sigmoid(values) if i < 2 else values
    codes = values
    for i in range(3):
        layer = parameters["decoder"]["layers"][i]
        values = sigmoid(values @ layer["kernel"] + layer["bias"])
    assert_allclose(model.encoder(jnp.asarray(images)), codes, rtol=2e-5, atol=1e-5)
    decoded = model.decoder(jnp.asarray(codes, jnp.float32))
    assert decoded.shape == (7, *SHAPE)
    assert_allclose(decoded.reshape(7, 12), values, rtol=2e-5, atol=1e-5)


def test_normalized_layers_have_mean_0_and_variance_1() -> None:
    config = with_settings(choose_recipe("plain"), {"hidden": (9, 6), "normalize": True})
    model = _model(config)
    images = np.random.default_rng(1).random((7, *SHAPE), np.float32)
    layers = initial_parameters(config, MEAN)["encoder"]["layers"]
    values = images.reshape(7, 12).astype(np.float64)
    for i in range(2):
        values = values @ layers[i]["kernel"] + layers[i]["bias"]
        values = values / (1 + np.exp(-values))
        values -= values.mean(axis=1, keepdims=True)
        values /= np.sqrt(values.var(axis=1, keepdims=True) + 1e-5)
    values = values @ layers[2]["kernel"] + layers[2]["bias"]
    assert_allclose(model.encoder(jnp.asarray(images)), values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(28, 28, 1), (5, 9, 3), (8, 8, 2), (1, 1, 1)])
def test_the_features_of_patches_are_a_convolution(shape: tuple[int, int, int]) -> None:
    layer = network(choose_recipe("map"), shape).encoder[0]
    assert isinstance(layer, Patches)
    generator = np.random.default_rng(1)
    kernel = generator.standard_normal((8, 8, shape[2], 16), np.float32)
    bias = generator.standard_normal(16, np.float32)
    images = generator.random((6, *shape), np.float32)
    expected = jax.lax.conv_general_dilated(
        jnp.asarray(images),
        jnp.asarray(kernel),
        window_strides=(4, 4),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    parameters = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    features = layer.apply(jnp.asarray(images), parameters)
    assert features.shape == (6, *layer.output)
    assert_allclose(features, np.maximum(np.asarray(expected) + bias, 0), rtol=1e-4, atol=1e-5)


def test_a_conv_encoder_sees_the_features_in_place_of_the_pixels() -> None:
    config = with_settings(choose_recipe("plain"), {"hidden": (), "encoder": "conv"})
    model = _model(config)
    images = jnp.asarray(np.random.default_rng(1).random((7, *SHAPE), np.float32))
    patches: LayerModule = model.encoder.patches
    features = np.asarray(patches(images)).reshape(7, 16).astype(np.float64)
    layer = initial_parameters(config, MEAN)["encoder"]["layers"][0]
    codes = features @ layer["kernel"] + layer["bias"]
    assert_allclose(model.encoder(images), codes, rtol=1e-4, atol=1e-5)


def test_a_linear_output_is_the_logits() -> None:
    model = _model(with_settings(choose_recipe("plain"), {"output": "linear"}))
    codes = jnp.ones((2, 2))
    np.testing.assert_array_equal(model.decoder(codes), model.decoder.logits(codes))


def test_no_hidden_layer_is_one_product() -> None:
    model = _model(with_settings(choose_recipe("plain"), {"hidden": (), "latent": 3}))
    assert len(model.encoder.layers) == 1
    assert model.encoder(jnp.ones((2, *SHAPE))).shape == (2, 3)


def test_pixels_fill_the_unit_range() -> None:
    assert_allclose(to_unit_range(jnp.uint8([0, 51, 255])), [0.0, 0.2, 1.0], rtol=1e-6)


def test_the_squared_error_is_that_of_the_decoded_images() -> None:
    config = with_settings(choose_recipe("plain"), {"output": "linear", "hidden": (), "latent": 3})
    parameters = initial_parameters(config, MEAN)
    parameters["decoder"]["layers"][0]["kernel"] *= 50
    model = autoencoder(config, SHAPE, jax.device_put(parameters))
    pixels = np.random.default_rng(1).integers(0, 256, (9, *SHAPE), np.uint8)
    unit = jnp.asarray(pixels / np.float32(255))
    codes = model.encoder(unit)
    outputs = np.asarray(model.decoder(codes))
    assert outputs.max() > 1.5
    decoded = np.clip(outputs, 0, 1)
    assert_allclose(model.decode(codes), decoded)
    expected = np.square(decoded - unit).mean(axis=(1, 2, 3))
    assert_allclose(model.squared_errors(codes, unit), expected, rtol=1e-5)
