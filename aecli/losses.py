"""The terms of the training loss: a name, a value, and a weight as a function of the step.

A training step minimizes the weighted sum of the terms of `loss_terms` and returns their values by
name; nothing behind the step knows a name. A new term is a function here, a row of `loss_terms`,
and a setting in `aecli.config`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from aecli.config import Config, Loss, Output
from aecli.labels import UNKNOWN
from aecli.model.vae import Gaussians
from aecli.run.states import DIVERGENCE, RECONSTRUCTION
from aecli.schedules import beta_schedule, neighbor_weight_schedule

# Neighbours of each image in a batch, drawn again in each epoch.
POSITIVES = 2
# The log similarity of a pair that does not count: its exponential is 0, and its gradient finite.
_APART = -1e30

T = TypeVar("T")


class Forward(NamedTuple):
    """What one pass over a batch of n images computes; each term reads what it needs.

    `images`: float32 (n, h, w, c) in 0..1. `codes`: float32 (n, d). `logits`: float32 (n, h, w, c),
    the decoder's result before its output activation. `positives`: float32 (k, n, d), the codes of
    k neighbours of each image, and `pixel_variance`: float32, the mean over the pixels of their
    variance over the training images; None without a term that needs them. `key`: a random key of
    this step alone. `labels`: int32 (n,), `UNKNOWN` where nobody knows the class; None without a
    term that needs them. `gaussians`: of a variational model, whose `codes` are their means, and
    whose `logits` are of a sample of each; None where codes are points.
    """

    images: jax.Array
    codes: jax.Array
    logits: jax.Array
    positives: jax.Array | None
    pixel_variance: jax.Array | None
    key: jax.Array
    labels: jax.Array | None = None
    gaussians: Gaussians | None = None


@dataclass(frozen=True)
class Term:
    """One term of the training loss.

    `value` is a float32 scalar. `weight`, float32, depends on the step, from 0, and on the pass;
    None is 1. `positives` is how many neighbours of each image the term needs in a batch.
    """

    name: str
    value: Callable[[Forward], jax.Array]
    weight: Callable[[jax.Array, Forward], jax.Array] | None = None
    positives: int = 0


def loss_terms(config: Config, steps_per_epoch: int) -> list[Term]:
    """Return the terms that a config asks for, in the order of their sum."""
    terms = [Term(RECONSTRUCTION, lambda forward: _reconstruction(forward, config))]
    if config.kind == "vae":
        terms = _bound_terms(config, steps_per_epoch)
    if config.code_penalty:
        terms.append(
            Term(
                "latent norm",
                lambda forward: latent_norm_penalty(forward.codes),
                lambda step, forward: jnp.float32(config.code_penalty),
            )
        )
    if config.neighbor_weight:
        schedule = neighbor_weight_schedule(config, steps_per_epoch)
        terms.append(
            Term(
                "neighbor",
                lambda forward: neighbor_loss(forward.codes, _needed(forward.positives)),
                # In units of the variance of a pixel a weight means the same for pale images as
                # for those of high contrast.
                lambda step, forward: _needed(forward.pixel_variance) * schedule(step),
                positives=POSITIVES,
            )
        )
    if config.label_weight:
        terms.append(
            Term(
                "label",
                lambda forward: label_loss(forward.codes, _needed(forward.labels)),
                # In the same units as the neighbour loss, which may not be there.
                lambda step, forward: config.label_weight * forward.images.var(axis=0).mean(),
            )
        )
    return terms


def needs_neighbors(config: Config) -> bool:
    """Return whether a term that a config asks for needs neighbours of the images."""
    return any(term.positives for term in loss_terms(config, 1))


def weighted_sum(
    terms: list[Term], step: jax.Array, forward: Forward
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return what a step minimizes, and the value of each term by name; float32 scalars."""
    values = {term.name: term.value(forward) for term in terms}
    total = jnp.float32(0)
    for term in terms:
        value = values[term.name]
        total += value if term.weight is None else term.weight(step, forward) * value
    return total, values


def _bound_terms(config: Config, steps_per_epoch: int) -> list[Term]:
    """Return the two terms of the bound of a variational model.

    Their weighted sum is per pixel, as the loss of other models is. With `bce` their values are in
    nats per image, and the sum of the values is the negative bound of Kingma and Welling (2014).
    With `mse` the pixels have Gaussian noise of the variance under which the batch is likeliest,
    which is its mean squared error (sigma-VAE; Rybkin et al., *Simple and effective VAE training
    with calibrated decoders*, 2021). The gradient of that bound is proportional to the one here.
    """
    beta = beta_schedule(config, steps_per_epoch)

    def pixels(forward: Forward) -> int:
        return math.prod(forward.images.shape[1:])

    def divergence(forward: Forward) -> jax.Array:
        return _needed(forward.gaussians).divergences().sum(axis=1).mean()

    if config.loss == "bce":
        return [
            Term(
                RECONSTRUCTION,
                lambda forward: pixels(forward) * _reconstruction(forward, config),
                lambda step, forward: jnp.float32(1 / pixels(forward)),
            ),
            Term(DIVERGENCE, divergence, lambda step, forward: beta(step) / pixels(forward)),
        ]

    def twice_the_variance(forward: Forward) -> jax.Array:
        return 2 * jax.lax.stop_gradient(_reconstruction(forward, config))

    return [
        Term(RECONSTRUCTION, lambda forward: _reconstruction(forward, config)),
        Term(
            DIVERGENCE,
            divergence,
            lambda step, forward: beta(step) * twice_the_variance(forward) / pixels(forward),
        ),
    ]


def image_losses(
    logits: jax.Array, images: jax.Array, gaussians: Gaussians | None, config: Config
) -> jax.Array:
    """Return what `validation_loss` takes of each of n images: float32 (n,), or (n, 1 + d).

    Of a variational model they are, as the terms of its loss, the reconstruction, and then the
    divergence of each number of its code.
    """
    by_pixel = pixel_loss(logits, images, config.loss, config.output)
    losses = by_pixel.mean(axis=(1, 2, 3))
    if gaussians is None:
        return losses
    if config.loss == "bce":
        losses = by_pixel.sum(axis=(1, 2, 3))
    return jnp.concatenate([losses[:, None], gaussians.divergences()], axis=1)


def validation_loss(losses: Any, pixels: int, config: Config) -> Any:
    """Return the validation loss of images from their `image_losses`, of jax or numpy; a scalar.

    `pixels`: of an image, all channels. The loss of a variational model is what its bound takes
    with the last beta: with `bce` the negative bound in nats per image. With `mse` it is the
    squared error that would give the same bound without any divergence, so that it has the unit of
    the others' loss.
    """
    if config.kind == "plain":
        return losses.mean()
    means = losses.mean(axis=0)
    reconstruction, divergence = means[0], config.beta * means[1:].sum()
    if config.loss == "bce":
        return reconstruction + divergence
    return reconstruction * jnp.exp(2 * divergence / pixels)


def _reconstruction(forward: Forward, config: Config) -> jax.Array:
    return pixel_loss(forward.logits, forward.images, config.loss, config.output).mean()


def _needed(value: T | None) -> T:
    if value is None:
        raise ValueError("a batch without neighbours, labels or Gaussians has no loss of them")
    return value


def pixel_loss(logits: jax.Array, images: jax.Array, loss: Loss, output: Output) -> jax.Array:
    """Return the loss of each pixel, float32, of the shape of `images`.

    `logits`: the decoder before its output activation; `images`: float32 in 0..1; both
    (n, h, w, c). `mse` is the squared error, `bce` the binary cross-entropy in nats, which takes
    the pixel as a probability and stays finite for any logit.
    """
    if loss == "bce":
        # In rows: of a last axis with a single channel XLA makes loops of one turn.
        rows, pixels = logits.reshape(len(logits), -1), images.reshape(len(images), -1)
        size = jnp.abs(rows)
        entropy = (rows + size) / 2 - rows * pixels + jnp.log1p(jnp.exp(-size))
        return entropy.reshape(images.shape)
    reconstruction = jax.nn.sigmoid(logits) if output == "sigmoid" else logits
    return jnp.square(reconstruction - images)


def neighbor_loss(anchors: jax.Array, positives: jax.Array) -> jax.Array:
    """Return InfoNCE: the cross-entropy of identifying each anchor's positive; a scalar, in nats.

    `anchors`: float32 (n, d), the codes of a batch. `positives`: float32 (k, n, d), where
    `positives[j, i]` is the code of a neighbour of image i. Two codes are similar by
    1 / (1 + their squared distance). Each anchor chooses, by similarity, among the positives of
    the batch, and each positive among the anchors; the others are the negatives.

    Sources: InfoNCE of van den Oord et al. (2018) with the Cauchy kernel of t-SNE, as in Damrich
    et al., *From t-SNE to UMAP with contrastive learning* (2023).
    """

    def cross_entropy(similarity: jax.Array) -> jax.Array:
        chosen = jnp.diagonal(similarity)
        by_row, by_column = (jax.nn.logsumexp(similarity, axis=axis) for axis in (1, 0))
        entropy: jax.Array = ((by_row + by_column) / 2 - chosen).mean()
        return entropy

    return jnp.stack(
        [cross_entropy(_log_similarity(anchors, others)) for others in positives]
    ).mean()


def label_loss(codes: jax.Array, labels: jax.Array) -> jax.Array:
    """Return how hard it is to find the codes of one's own class; a scalar, in nats.

    `codes`: float32 (n, d), of a batch. `labels`: int32 (n,). Each code whose class has others in
    the batch is to find these among all others that have a label: the mean over them of the
    cross-entropy, with the similarity of `neighbor_loss`. A code whose label is `UNKNOWN` is
    neither pulled nor pushed; a batch without two codes of one class gives 0.

    Source: the supervised contrastive loss (outside the logarithm) of Khosla et al. (2020).
    """
    known = labels != UNKNOWN
    itself = jnp.eye(len(labels), dtype=bool)
    others = known[None, :] & ~itself
    positives = (labels[:, None] == labels[None, :]) & others
    similarity = jnp.where(others, _log_similarity(codes, codes), _APART)
    cross_entropies = jax.nn.logsumexp(similarity, axis=1)[:, None] - similarity
    counts = positives.sum(axis=1).astype(jnp.float32)
    by_anchor = jnp.where(positives, cross_entropies, 0).sum(axis=1) / jnp.maximum(counts, 1)
    anchors = (counts > 0).astype(jnp.float32).sum()
    return by_anchor.sum() / jnp.maximum(anchors, 1)


def _log_similarity(anchors: jax.Array, others: jax.Array) -> jax.Array:
    """Return -log(1 + squared distance) of all pairs of (n, d) and (m, d), float32 (n, m)."""
    lengths = jnp.square(anchors).sum(axis=1)[:, None], jnp.square(others).sum(axis=1)[None, :]
    squared = lengths[0] + lengths[1] - 2 * jnp.matmul(anchors, others.T, precision="highest")
    return -jnp.log1p(jnp.maximum(squared, 0))


def latent_norm_penalty(codes: jax.Array) -> jax.Array:
    """Return the mean fourth power of the length of codes, float32 (n, d); a scalar.

    A plain autoencoder sends some images so far out that the others are a dot on the map. The
    fourth power holds these back and hardly touches the rest.
    """
    return jnp.square(jnp.square(codes).sum(axis=1)).mean()
