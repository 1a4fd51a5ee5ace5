import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from aecli.config import Loss, Output
from aecli.objective import far_codes, pixel_loss

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
    assert float(far_codes(jnp.float32([[3, 4], [0, 1]]))) == (5**4 + 1) / 2
