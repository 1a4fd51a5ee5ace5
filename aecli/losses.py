"""The terms of the training loss: a name, a value, and a weight as a function of the step.

A training step minimizes the weighted sum of the terms of `loss_terms` and returns their values by
name; nothing behind the step knows a name. A new term is a function here, a row of `loss_terms`,
and a setting in `aecli.config`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from aecli.config import Config, Loss, Output
from aecli.labels import UNKNOWN
from aecli.run.states import RECONSTRUCTION
from aecli.schedules import neighbor_weight_schedule

# Neighbours of each image in a batch, drawn again in each epoch.
POSITIVES = 2
# The log similarity of a pair that does not count: its exponential is 0, and its gradient finite.
_APART = -1e30


class Forward(NamedTuple):
    """What one pass over a batch of n images computes; each term reads what it needs.

    `images`: float32 (n, h, w, c) in 0..1. `codes`: float32 (n, d). `logits`: float32 (n, h, w, c),
    the decoder's result before its output activation. `positives`: float32 (k, n, d), the codes of
    k neighbours of each image, and `pixel_variance`: float32, the mean over the pixels of their
    variance over the training images; None without a term that needs them. `key`: a random key of
    this step alone. `labels`: int32 (n,), `UNKNOWN` where nobody knows the class; None without a
    term that needs them.
    """

    images: jax.Array
    codes: jax.Array
    logits: jax.Array
    positives: jax.Array | None
    pixel_variance: jax.Array | None
    key: jax.Array
    labels: jax.Array | None = None


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


def _reconstruction(forward: Forward, config: Config) -> jax.Array:
    return pixel_loss(forward.logits, forward.images, config.loss, config.output).mean()


def _needed(value: jax.Array | None) -> jax.Array:
    if value is None:
        raise ValueError("a batch without neighbours or labels cannot have a loss of them")
    return value


def pixel_loss(logits: jax.Array, images: jax.Array, loss: Loss, output: Output) -> jax.Array:
    """Return the loss of each pixel, float32, of the shape of `images`.

    `logits`: the decoder before its output activation; `images`: float32 in 0..1; both
    (n, h, w, c). `mse` is the squared error, `bce` the binary cross-entropy in nats, which takes
    the pixel as a probability and stays finite for any logit.
    """
    if loss == "bce":
        entropy: jax.Array = optax.sigmoid_binary_cross_entropy(logits, images)
        return entropy
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
