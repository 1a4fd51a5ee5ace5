"""Sparse codes: what stays of them, and what goes with them."""

from typing import Any

import jax
import numpy as np
import pytest

from aecli.config import choose_recipe, fit_to_data, with_settings
from aecli.errors import InputError
from aecli.model import network
from aecli.model.sparse import Largest, unused_numbers


def test_the_largest_numbers_by_size_stay_as_they_are() -> None:
    layer = Largest(("encoder",), (9,), (6,), (9, 6), "largest 2")
    values = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    kept = jax.jit(layer.activated)(values)
    gradient = jax.jit(jax.grad(lambda values: layer.activated(values).sum()))(values)
    order = np.argsort(-np.abs(values), axis=1)
    expected = np.zeros_like(values)
    for row, (first, second, *_) in enumerate(order):
        expected[row, [first, second]] = values[row, [first, second]]
    np.testing.assert_array_equal(kept, expected)
    # What stays learns, the rest does not.
    np.testing.assert_array_equal(gradient, expected != 0)


def test_never_more_numbers_stay_however_many_are_equal() -> None:
    layer = Largest(("encoder",), (9,), (4,), (9, 4), "largest 2")
    values = np.array([[1, -3, 1, 1], [2, 2, -2, 2], [0, 0, 0, 0], [4, 0, 0, 0]], np.float32)
    expected = [[0, -3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [4, 0, 0, 0]]
    np.testing.assert_array_equal(layer.activated(jax.numpy.asarray(values)), expected)


@pytest.mark.parametrize("encoder", ["dense", "conv"])
def test_the_last_layer_of_any_encoder_is_sparse(encoder: str) -> None:
    config = with_settings(choose_recipe("plain"), {"encoder": encoder, "latent": 8, "sparsity": 3})
    dense = with_settings(config, {"sparsity": None})
    layers, others = (network(one, (28, 28, 1)) for one in (config, dense))
    assert isinstance(layers.encoder[-1], Largest)
    assert layers.encoder[-1].ending == "largest 3"
    assert layers.encoder[:-1] == others.encoder[:-1]
    assert layers.decoder == others.decoder
    assert layers.encoder[-1].parameters == others.encoder[-1].parameters


def test_images_with_sparse_codes_are_placed_by_the_encoder_alone() -> None:
    config = with_settings(choose_recipe("map"), {"latent": 8, "sparsity": 3})
    assert fit_to_data(config, 1_000, (), vectors=False).placing == "encoder"
    with pytest.raises(InputError, match="--placing neighbors does not go with --sparsity"):
        fit_to_data(config, 1_000, ("placing",), vectors=False)


@pytest.mark.parametrize("sparsity", [8, 9])
def test_a_sparse_code_leaves_numbers_out(sparsity: int) -> None:
    with pytest.raises(InputError, match=f"--sparsity {sparsity} of 8 numbers leaves none out"):
        with_settings(choose_recipe("plain"), {"latent": 8, "sparsity": sparsity})


def test_numbers_that_are_never_used_are_counted() -> None:
    codes = np.array([[0, 1, 0, 0], [0, 0, -2, 0]], np.float32)
    assert unused_numbers(codes) == 2


@pytest.mark.parametrize(
    "settings", [{"latent": 8, "sparsity": 3}, {"noise": "gaussian:0.3"}], ids=lambda s: [*s][-1]
)
def test_a_vae_is_neither_sparse_nor_denoising(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="does not go with --kind vae"):
        with_settings(choose_recipe("plain"), {"kind": "vae", **settings})
