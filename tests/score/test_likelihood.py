from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose

from aecli.config import choose_recipe, with_settings
from aecli.errors import InputError
from aecli.model.parameters import initial_parameters
from aecli.pixels import unit_rows
from aecli.run.checkpoint import Checkpoint, flatten
from aecli.run.states import Best
from aecli.score.bound import Bound
from aecli.score.likelihood import check_samples, measure_likelihood
from tests.helpers import tiny_dataset

DATASET = tiny_dataset()
Floats = npt.NDArray[np.float64]


def _checkpoint(**settings: Any) -> Checkpoint:
    """Return a vae of 4x4 pixels and 1 number as it is before training, with uneven variances."""
    given = {"kind": "vae", "loss": "bce", "hidden": (), "latent": 1, "activation": "sigmoid"}
    config = with_settings(choose_recipe("plain"), given | settings)
    mean = DATASET.mean_image("train").astype(np.float32)
    parameters = flatten(initial_parameters(config, mean), "parameters")
    if config.kind == "vae":
        generator = np.random.default_rng(5)
        spread = parameters["parameters.encoder.spread.kernel"]
        spread += generator.normal(0, 0.1, spread.shape).astype(np.float32)
    return Checkpoint(config, DATASET.describe(), 1, Best(1, 0.1), parameters)


def _layer(checkpoint: Checkpoint, name: str, values: Floats) -> Floats:
    kernel, bias = (checkpoint.tensors[f"parameters.{name}.{part}"] for part in ("kernel", "bias"))
    product: Floats = values @ kernel.astype(np.float64) + bias
    return product


def test_many_samples_come_near_to_the_integral_over_all_codes() -> None:
    checkpoint = _checkpoint()
    images = unit_rows(DATASET.split("test").images[:]).astype(np.float64)
    codes = np.linspace(-8, 8, 2_001)[:, np.newaxis]
    logits = _layer(checkpoint, "decoder.layers.0", codes)
    entropy = np.logaddexp(0, logits).sum(axis=1)[None] - images @ logits.T
    prior = np.exp(-(codes[:, 0] ** 2) / 2) / np.sqrt(2 * np.pi)
    exact = -np.log((np.exp(-entropy) * prior).sum(axis=1) * (codes[1, 0] - codes[0, 0])).mean()

    means = _layer(checkpoint, "encoder.layers.0", images)
    log_variances = _layer(checkpoint, "encoder.spread", images)
    divergence = ((means**2 + np.exp(log_variances) - log_variances - 1) / 2).mean()

    found = measure_likelihood(checkpoint, DATASET, "test", 300)
    assert found.nats is not None
    assert found.bound.nats is not None
    assert_allclose(found.nats, exact, atol=0.02)
    assert_allclose(found.bound.divergence, divergence, rtol=1e-4)
    assert found.bound.nats > exact + 0.1
    few = measure_likelihood(checkpoint, DATASET, "test", 1)
    # One sample is the bound, with another draw.
    assert few.nats == pytest.approx(found.bound.nats, abs=0.5)
    assert dict(found.rows) == {
        "KL, nats an image": f"{divergence:.2f}",
        "bound, nats an image": f"{found.bound.nats:.2f}",
        "by 300 samples, nats": f"{found.nats:.2f}",
    }


@pytest.mark.parametrize(
    ("settings", "samples", "words"),
    [
        ({"kind": "plain"}, 5, "--samples needs a run whose codes are Gaussians"),
        ({"loss": "mse"}, 5, "--samples needs a run with --loss bce, .* has --loss mse"),
        ({}, 0, "--samples must be at least 1, got 0"),
        ({}, 10**6, "--samples must be at most 100,000"),
    ],
)
def test_likelihoods_that_do_not_exist_are_refused(
    settings: dict[str, Any], samples: int, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        check_samples(_checkpoint(**settings), samples)


def test_numbers_of_the_code_that_are_the_prior_are_counted_as_collapsed() -> None:
    bound = Bound(80.0, (3.0, 0.009, 0.011, 0.0), in_nats=True)
    assert bound.collapsed == 2
    assert bound.note.startswith("2 of the 4 numbers of the code are collapsed")
    assert bound.nats == pytest.approx(83.02)
    other = replace(bound, divergences=(3.0,), in_nats=False)
    assert other.note == "no number of the code is collapsed"
    assert other.nats is None
