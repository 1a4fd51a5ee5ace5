import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from aecli.config import Config, choose_recipe, with_settings
from aecli.model import Autoencoder, abstract_autoencoder, initial_parameters, to_unit_range

SHAPE = (3, 4, 1)
MEAN = np.full(SHAPE, 0.3, np.float32)


def _model(config: Config) -> Autoencoder:
    structure, _ = abstract_autoencoder(config, SHAPE)
    model: Autoencoder = nnx.merge(structure, jax.device_put(initial_parameters(config, MEAN)))
    return model


def test_the_classic_network_has_the_tutorials_sizes() -> None:
    _, shapes = abstract_autoencoder(choose_recipe("classic"), (28, 28, 1))
    kernels = [
        shapes[part]["layers"][i]["kernel"].shape
        for part in ("encoder", "decoder")
        for i in range(4)
    ]
    assert kernels == [
        (784, 128), (128, 64), (64, 10), (10, 2),
        (2, 10), (10, 64), (64, 128), (128, 784),
    ]  # fmt: skip
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 219_598


def test_the_default_network_has_no_more_parameters_than_the_classic() -> None:
    _, shapes = abstract_autoencoder(choose_recipe("modern"), (28, 28, 1))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) <= 219_598


@pytest.mark.parametrize("recipe", ["classic", "modern"])
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


def test_a_linear_output_is_the_logits() -> None:
    model = _model(with_settings(choose_recipe("modern"), {"output": "linear"}))
    codes = jnp.ones((2, 2))
    np.testing.assert_array_equal(model.decoder(codes), model.decoder.logits(codes))


def test_no_hidden_layer_is_one_product() -> None:
    model = _model(with_settings(choose_recipe("modern"), {"hidden": (), "latent": 3}))
    assert len(model.encoder.layers) == 1
    assert model.encoder(jnp.ones((2, *SHAPE))).shape == (2, 3)


@pytest.mark.parametrize(
    ("init", "deviation", "bias_deviation"),
    [
        ("normal", 1.0, 1.0),
        ("glorot", np.sqrt(2 / (784 + 128)), 0.0),
        ("he", np.sqrt(2 / 784), 0.0),
        ("lecun", np.sqrt(1 / 784), 0.0),
    ],
)
def test_initial_weights_have_the_spread_of_their_source(
    init: str, deviation: float, bias_deviation: float
) -> None:
    config = with_settings(choose_recipe("classic"), {"init": init})
    layer = initial_parameters(config, np.zeros((28, 28, 1), np.float32))["encoder"]["layers"][0]
    assert layer["kernel"].dtype == layer["bias"].dtype == np.float32
    assert_allclose(layer["kernel"].std(), deviation, rtol=0.02)
    assert_allclose(layer["kernel"].mean(), 0, atol=deviation / 100)
    assert_allclose(layer["bias"].std(), bias_deviation, rtol=0.2)


def test_initial_parameters_follow_the_seed() -> None:
    config = choose_recipe("modern")
    first, same, other = (
        initial_parameters(with_settings(config, {"seed": seed}), MEAN)["decoder"]["layers"][0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first["kernel"], same["kernel"])
    assert not np.array_equal(first["kernel"], other["kernel"])


def test_pixels_fill_the_unit_range() -> None:
    assert_allclose(to_unit_range(jnp.uint8([0, 51, 255])), [0.0, 0.2, 1.0], rtol=1e-6)


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_the_first_reconstruction_is_the_mean_image(output: str) -> None:
    config = with_settings(choose_recipe("modern"), {"output": output})
    mean = np.linspace(0, 1, 12, dtype=np.float32).reshape(SHAPE)
    layers = initial_parameters(config, mean)["decoder"]["layers"]
    bias = jnp.asarray(layers[len(config.hidden)]["bias"])
    image = jax.nn.sigmoid(bias) if output == "sigmoid" else bias
    assert_allclose(image, mean.reshape(12), atol=1.1e-3)
