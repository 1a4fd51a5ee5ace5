from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from aecli.config import Config, choose_recipe, with_settings
from aecli.model import network
from aecli.model.rounding import rounded_product
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.train.loop import train
from tests.helpers import tiny_dataset

GENERATOR = np.random.default_rng(2)
VALUES, KERNEL, GRADIENT = (
    GENERATOR.normal(size=shape).astype(np.float32) for shape in ((5, 300), (300, 4), (5, 4))
)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Return float64 of the 8 bits that bfloat16 keeps."""
    return np.asarray(jnp.asarray(values).astype(jnp.bfloat16).astype(jnp.float32), np.float64)


def test_operands_are_rounded_and_sums_are_not() -> None:
    product, pull = jax.vjp(rounded_product, VALUES, KERNEL)
    to_values, to_kernel = pull(GRADIENT)
    rounded = _rounded(VALUES), _rounded(KERNEL), _rounded(GRADIENT)
    for found, expected in (
        (product, rounded[0] @ rounded[1]),
        (to_values, rounded[2] @ rounded[1].T),
        (to_kernel, rounded[0].T @ rounded[2]),
    ):
        assert found.dtype == np.float32
        assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    # A sum of 300 numbers of 8 bits each would be off by ten times as much.
    assert abs(product - VALUES @ KERNEL).max() > 1e-3


@pytest.mark.parametrize("encoder", ["dense", "conv"])
def test_all_layers_round_what_they_multiply(encoder: str) -> None:
    config = with_settings(choose_recipe("map"), {"encoder": encoder, "hidden": (8,)})
    for layer in network(config, (8, 8, 1)).rounded().layers:
        values = GENERATOR.normal(size=(3, *layer.input)).astype(np.float32)
        kernel = GENERATOR.normal(size=layer.kernel).astype(np.float32)
        product = layer.product(jnp.asarray(values), jnp.asarray(kernel))
        assert product.shape == (3, *layer.output)
        exact = layer.product(jnp.asarray(_rounded(values), jnp.float32), jnp.asarray(
            _rounded(kernel), jnp.float32))  # fmt: skip
        assert_allclose(product, exact, rtol=1e-4, atol=1e-4)


def test_training_rounds_and_codes_do_not(small_config: Config, tmp_path: Path) -> None:
    runs = {name: RunFolder(tmp_path / name) for name in ("float32", "bf16")}
    for name, run in runs.items():
        train(tiny_dataset(), with_settings(small_config, {"precision": name}), run)
    exact, coarse = (load(run.last) for run in runs.values())
    losses = [[line.losses["reconstruction"] for line in one.history] for one in (exact, coarse)]
    assert losses[0] != losses[1]
    assert_allclose(losses[0], losses[1], rtol=0.02)
    # The validation loss is of the parameters as they are used: of float32 products.
    assert coarse.tensors["parameters.encoder.layers.0.kernel"].dtype == np.float32
