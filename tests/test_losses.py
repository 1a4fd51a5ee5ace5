import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aecli.config import Config, Loss, Output, choose_recipe, with_settings
from aecli.labels import UNKNOWN
from aecli.losses import (
    Forward,
    image_losses,
    label_loss,
    latent_norm_penalty,
    loss_terms,
    neighbor_loss,
    pixel_loss,
    validation_loss,
    weighted_sum,
)
from aecli.model.vae import Gaussians

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


def test_the_slope_of_cross_entropy_is_the_probability_less_the_pixel() -> None:
    slope = jax.grad(lambda logits: pixel_loss(logits, jnp.float32(IMAGES), "bce", "sigmoid").sum())
    assert_allclose(slope(jnp.float32(LOGITS)), PROBABILITIES - IMAGES, rtol=1e-4, atol=1e-7)


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


def _label_loss_by_hand(codes: np.ndarray, labels: np.ndarray) -> float:
    """Return equation 2 of Khosla et al., anchor by anchor, with the similarity of the map."""
    losses = []
    for i, own in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i and labels[j] != UNKNOWN]
        positives = [j for j in others if labels[j] == own]
        if own == UNKNOWN or not positives:
            continue
        similarity = {j: 1 / (1 + np.square(codes[i] - codes[j]).sum()) for j in others}
        total = sum(similarity.values())
        losses.append(-np.mean([np.log(similarity[j] / total) for j in positives]))
    return float(np.mean(losses))


# Three classes, two images without a label, and one that is alone in its class.
CLASSES = np.array([0, 1, UNKNOWN, 0, 2, 1, 0, UNKNOWN])


def test_the_label_loss_equals_finding_the_own_class_by_hand() -> None:
    codes = np.random.default_rng(1).normal(size=(8, 3))
    result = label_loss(jnp.float32(codes), jnp.int32(CLASSES))
    assert_allclose(result, _label_loss_by_hand(codes, CLASSES), rtol=1e-5)


def test_codes_without_a_label_are_neither_pulled_nor_pushed() -> None:
    codes = jnp.float32(np.random.default_rng(2).normal(size=(8, 3)))
    slope = np.asarray(jax.grad(label_loss)(codes, jnp.int32(CLASSES)))
    assert_array_equal(slope[CLASSES == UNKNOWN], 0)
    # Alone in its class an image is pulled nowhere, but it is in the way of others.
    assert (np.abs(slope[CLASSES != UNKNOWN]).max(axis=1) > 1e-3).all()


@pytest.mark.parametrize("labels", [[UNKNOWN] * 4, [0, 1, 2, 3], [UNKNOWN, UNKNOWN, 5, 6]])
def test_a_batch_without_two_codes_of_a_class_pulls_nothing(labels: list[int]) -> None:
    codes = jnp.float32(np.random.default_rng(3).normal(size=(4, 2)))
    value, slope = jax.value_and_grad(label_loss)(codes, jnp.int32(labels))
    assert value == 0
    assert_array_equal(slope, np.zeros((4, 2)))


def test_the_label_loss_is_least_where_classes_lie_apart() -> None:
    labels = jnp.int32([0, 0, 1, 1])
    apart, mixed = (
        jnp.float32([[place] for place in row]) for row in ([0, 0, 99, 99], [0, 99] * 2)
    )
    assert label_loss(apart, labels) < 0.01
    assert label_loss(mixed, labels) > 5
    assert_allclose(label_loss(0 * apart, labels), np.log(3), rtol=1e-5)


# Of three images of 2x2 pixels, and codes of 2 numbers.
_GENERATOR = np.random.default_rng(4)
_PIXELS, _LOGITS = _GENERATOR.random((3, 2, 2, 1)), _GENERATOR.normal(size=(3, 2, 2, 1))
_MEANS, _LOG_VARIANCES = _GENERATOR.normal(size=(2, 3, 2))
_DIVERGENCE = ((_MEANS**2 + np.exp(_LOG_VARIANCES) - _LOG_VARIANCES - 1) / 2).sum(axis=1).mean()
_ERROR = np.square(1 / (1 + np.exp(-_LOGITS)) - _PIXELS).mean()


def _vae(**settings: object) -> Config:
    given = {"kind": "vae", "code_penalty": 0.0, "beta_warmup": 0.0, **settings}
    return with_settings(choose_recipe("plain"), given)


def _forward(logits: jax.Array, means: jax.Array) -> Forward:
    gaussians = Gaussians(means, jnp.float32(_LOG_VARIANCES))
    key = jax.random.key(0)
    return Forward(jnp.float32(_PIXELS), means, logits, None, None, key, None, gaussians)


def test_the_loss_of_a_vae_is_its_negative_bound_by_pixel_and_its_terms_in_nats() -> None:
    forward = _forward(jnp.float32(_LOGITS), jnp.float32(_MEANS))
    entropy = np.log1p(np.exp(_LOGITS)) - _LOGITS * _PIXELS
    nats = entropy.sum(axis=(1, 2, 3)).mean()
    for beta in (1.0, 4.0):
        config = _vae(loss="bce", beta=beta)
        total, values = weighted_sum(loss_terms(config, 10), jnp.int32(0), forward)
        assert_allclose([values["reconstruction"], values["kl"]], [nats, _DIVERGENCE], rtol=1e-5)
        assert_allclose(total, (nats + beta * _DIVERGENCE) / 4, rtol=1e-5)
        losses = image_losses(forward.logits, forward.images, forward.gaussians, config)
        assert losses.shape == (3, 3)
        assert_allclose(validation_loss(losses, 4, config), nats + beta * _DIVERGENCE, rtol=1e-5)


def test_squared_errors_of_a_vae_have_the_variance_that_is_likeliest() -> None:
    """The gradient is that of the bound with the best variance, times twice that variance."""
    config = _vae()
    terms = loss_terms(config, 10)

    def loss(logits: jax.Array, means: jax.Array) -> jax.Array:
        return weighted_sum(terms, jnp.int32(0), _forward(logits, means))[0]

    def bound_by_pixel(logits: jax.Array, means: jax.Array) -> jax.Array:
        error = jnp.square(jax.nn.sigmoid(logits) - jnp.float32(_PIXELS)).mean()
        divergence = _forward(logits, means).gaussians
        assert divergence is not None
        return jnp.log(error) / 2 + divergence.divergences().sum(axis=1).mean() / 4

    arguments = jnp.float32(_LOGITS), jnp.float32(_MEANS)
    ours, expected = (jax.grad(one, argnums=(0, 1))(*arguments) for one in (loss, bound_by_pixel))
    for one, other in zip(ours, expected, strict=True):
        assert_allclose(one, other * np.float32(2 * _ERROR), rtol=1e-4, atol=1e-7)
    forward = _forward(*arguments)
    losses = image_losses(forward.logits, forward.images, forward.gaussians, config)
    # Two models of one bound have one validation loss.
    expected_loss = np.exp(2 * (np.log(_ERROR) / 2 + _DIVERGENCE / 4))
    assert_allclose(validation_loss(np.asarray(losses), 4, config), expected_loss, rtol=1e-5)
