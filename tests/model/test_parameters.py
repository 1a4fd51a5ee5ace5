import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from aecli.config import choose_recipe, with_settings
from aecli.model.parameters import initial_parameters, parameter_shapes

SHAPE = (3, 4, 1)
MEAN = np.full(SHAPE, 0.3, np.float32)


def test_the_classic_network_has_the_tutorials_sizes() -> None:
    shapes = parameter_shapes(choose_recipe("classic"), (28, 28, 1))
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


def test_the_plain_network_has_no_more_parameters_than_the_classic() -> None:
    shapes = parameter_shapes(choose_recipe("plain"), (28, 28, 1))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) <= 219_598


def test_a_conv_encoder_has_a_kernel_of_its_patches() -> None:
    config = with_settings(choose_recipe("map"), {"hidden": (32,)})
    shapes = parameter_shapes(config, (30, 64, 3))["encoder"]
    assert shapes["patches"]["kernel"].shape == (8, 8, 3, 16)
    assert shapes["patches"]["bias"].shape == (16,)
    assert shapes["layers"][0]["kernel"].shape == (8 * 16 * 16, 32)
    patches = initial_parameters(config, np.zeros((30, 64, 3), np.float32))["encoder"]["patches"]
    assert_allclose(patches["kernel"].std(), np.sqrt(2 / (192 + 16)), rtol=0.05)


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
    config = choose_recipe("plain")
    first, same, other = (
        initial_parameters(with_settings(config, {"seed": seed}), MEAN)["decoder"]["layers"][0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first["kernel"], same["kernel"])
    assert not np.array_equal(first["kernel"], other["kernel"])


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_the_first_reconstruction_is_the_mean_image(output: str) -> None:
    config = with_settings(choose_recipe("plain"), {"output": output})
    mean = np.linspace(0, 1, 12, dtype=np.float32).reshape(SHAPE)
    layers = initial_parameters(config, mean)["decoder"]["layers"]
    bias = jnp.asarray(layers[len(config.hidden)]["bias"])
    image = jax.nn.sigmoid(bias) if output == "sigmoid" else bias
    assert_allclose(image, mean.reshape(12), atol=1.1e-3)
