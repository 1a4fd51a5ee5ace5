import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from aecli.config import Loss, Output
from aecli.losses import latent_norm_penalty, neighbor_loss, pixel_loss

LOGITS = np.array([[-12.0, -1.5, 0.0, 0.7, 9.0]])
IMAGES = np.array([[0.0, 0.25, 0.5, 1.0, 1.0]])
PROBABILITIES = 1 / (1 + np.exp(-LOGITS))
EXPECTED = {
    ("mse", "sigmoid"): (PROBABILITIES - IMAGES) ** 2,
    ("mse", "linear"): (LOGITS - IMAGES) ** 2,
    ("bce", "sigmoid"): -IMAGES * np.log(PROBABILITIES) - (1 - IMAGES) * np.log(1 - PROBABILITIES),
}


@pytest.mark.parametrize(("loss", "output"), EXPECTED)
def test_losses_equal_numpy(loss: Loss, output: Output) -> None:
    logits, images = jnp.float32(LOGITS), jnp.float32(IMAGES)
    result = pixel_loss(logits, images, loss, output)
    assert_allclose(result, EXPECTED[loss, output], rtol=1e-5, atol=1e-11)


def test_cross_entropy_stays_finite_where_the_sigmoid_saturates() -> None:
    logits, images = jnp.float32([[200.0, -200.0]]), jnp.float32([[0.0, 1.0]])
    assert_allclose(pixel_loss(logits, images, "bce", "sigmoid"), [[200.0, 200.0]])


def test_far_codes_count_by_the_fourth_power_of_their_length() -> None:
    assert float(latent_norm_penalty(jnp.float32([[3, 4], [0, 1]]))) == (5**4 + 1) / 2


def test_the_neighbour_loss_equals_choosing_positives_by_hand() -> None:
    generator = np.random.default_rng(0)
    codes = generator.normal(size=(6, 3))
    positives = codes + generator.normal(size=(2, 6, 3))
    expected = []
    for others in positives:
        similarity = 1 / (1 + np.square(codes[:, None] - others[None]).sum(axis=2))
        right = np.diagonal(similarity)
        expected += [-np.log(right / similarity.sum(axis=axis)).mean() for axis in (0, 1)]
    result = neighbor_loss(jnp.float32(codes), jnp.float32(positives))
    assert_allclose(result, np.mean(expected), rtol=1e-5)


def test_the_neighbour_loss_is_least_where_positives_meet_far_from_others() -> None:
    codes = 100 * jnp.arange(8, dtype=jnp.float32)[:, None]
    together = neighbor_loss(codes, codes[None])
    assert together < 0.01
    assert_allclose(neighbor_loss(0 * codes, 0 * codes[None]), np.log(8), rtol=1e-5)
    assert neighbor_loss(codes, codes[None, ::-1]) > 5
