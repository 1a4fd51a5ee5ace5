from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aecli.config import Config, choose_recipe, with_settings
from aecli.errors import InputError
from aecli.model.autoencoder import autoencoder
from aecli.model.parameters import initial_parameters
from aecli.model.vae import Gaussians, noise, prior_codes
from aecli.noise import image_keys

SHAPE = (3, 4, 1)
MEAN = np.full(SHAPE, 0.3, np.float32)


def _config(**settings: Any) -> Config:
    return with_settings(choose_recipe("plain"), {"kind": "vae", "latent": 3, **settings})


def test_divergences_are_the_mean_of_the_difference_of_log_densities() -> None:
    generator = np.random.default_rng(0)
    means, log_variances = (generator.normal(size=(4, 3)) for _ in range(2))
    drawn = generator.normal(size=(200_000, 4, 3))
    codes = means + np.exp(log_variances / 2) * drawn
    expected = ((codes**2 - drawn**2 - log_variances) / 2).mean(axis=0)
    gaussians = Gaussians(jnp.float32(means), jnp.float32(log_variances))
    assert_allclose(gaussians.divergences(), expected, atol=0.02)
    assert_allclose(gaussians.sample(jnp.float32(drawn[0])), codes[0], rtol=1e-5, atol=1e-6)
    assert_array_equal(Gaussians(jnp.zeros((2, 3)), jnp.zeros((2, 3))).divergences(), 0)


@pytest.mark.parametrize("init", ["normal", "glorot"])
@pytest.mark.parametrize("hidden", [(), (5, 4)])
def test_a_vae_starts_where_the_plain_model_does_with_the_variance_of_the_prior(
    init: str, hidden: tuple[int, ...]
) -> None:
    config = _config(hidden=hidden, init=init, encoder="conv")
    parameters = initial_parameters(config, MEAN)
    plain = initial_parameters(with_settings(config, {"kind": "plain"}), MEAN)
    spread = parameters["encoder"].pop("spread")
    jax.tree.map(assert_array_equal, parameters, plain)
    parameters["encoder"]["spread"] = spread
    model = autoencoder(config, SHAPE, jax.device_put(parameters))
    images = jnp.asarray(np.random.default_rng(1).random((7, *SHAPE), np.float32))
    gaussians = model.encoder.gaussians(images)
    assert_array_equal(gaussians.means, model.encoder(images))
    assert_array_equal(gaussians.log_variances, np.zeros((7, 3)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_noise_is_a_function_of_the_image_alone(dtype: Any) -> None:
    images = np.random.default_rng(2).integers(0, 200, (40, 5, 4, 3)).astype(dtype)
    found = np.asarray(noise(image_keys(jnp.asarray(images), 0), 0, 6))
    assert_array_equal(noise(image_keys(jnp.asarray(images[7:9]), 0), 0, 6), found[7:9])
    assert len(np.unique(found)) == found.size
    # A pixel more bright, another place of the same pixels, or another sample: other noise.
    others = np.stack([images[0], images[0][::-1]])
    others[0, 0, 0, 0] += 1
    assert not np.isin(noise(image_keys(jnp.asarray(others), 0), 0, 6), found).any()
    assert not np.isin(noise(image_keys(jnp.asarray(images), 0), 1, 6), found).any()


def test_codes_of_the_prior_follow_the_seed() -> None:
    codes = prior_codes(_config(), 20_000)
    assert codes.dtype == np.float32
    assert_allclose(codes.mean(axis=0), 0, atol=0.03)
    assert_allclose(np.cov(codes.T), np.eye(3), atol=0.03)
    assert_array_equal(prior_codes(_config(), 20_000, 0), codes)
    assert not np.isin(prior_codes(_config(), 5, 1), codes).any()


@pytest.mark.parametrize(
    ("kind", "count", "seed", "words"),
    [
        ("plain", 3, 0, "--sample needs a run whose codes are Gaussians: aecli train --kind vae"),
        ("vae", 0, 0, "--sample must be at least 1, got 0"),
        ("vae", 10**9, 0, "--sample must be at most 10,000,000"),
        ("vae", 3, -1, "--seed must be in 0..4294967295, got -1"),
    ],
)
def test_codes_that_cannot_be_drawn_are_refused(
    kind: str, count: int, seed: int, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        prior_codes(_config(kind=kind), count, seed)
