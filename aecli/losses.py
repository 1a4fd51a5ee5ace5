"""The terms of the training loss."""

import jax
import jax.numpy as jnp
import optax

from aecli.config import Loss, Output

# Neighbours of each image in a batch, drawn anew each epoch.
POSITIVES = 2


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


def neighbor_loss(codes: jax.Array, partners: jax.Array) -> jax.Array:
    """Return how hard the codes of a batch find their partners among all others; a scalar, in nats.

    `codes`: float32 (n, d). `partners`: float32 (p, n, d), where `partners[j, i]` is the code of a
    neighbour of image i. Two codes are alike by 1 / (1 + their squared distance); the loss is the
    cross-entropy of choosing, by likeness, the partner of each code from those of the batch, and
    the code of each partner.

    Sources: InfoNCE of van den Oord et al. (2018) with the Cauchy kernel of t-SNE, as in Damrich
    et al., *From t-SNE to UMAP with contrastive learning* (2023).
    """

    def cross_entropy(likeness: jax.Array) -> jax.Array:
        chosen = jnp.diagonal(likeness)
        by_row, by_column = (jax.nn.logsumexp(likeness, axis=axis) for axis in (1, 0))
        entropy: jax.Array = ((by_row + by_column) / 2 - chosen).mean()
        return entropy

    def log_likeness(others: jax.Array) -> jax.Array:
        lengths = jnp.square(codes).sum(axis=1)[:, None], jnp.square(others).sum(axis=1)[None, :]
        squared = lengths[0] + lengths[1] - 2 * jnp.matmul(codes, others.T, precision="highest")
        return -jnp.log1p(jnp.maximum(squared, 0))

    return jnp.stack([cross_entropy(log_likeness(others)) for others in partners]).mean()


def latent_norm_penalty(codes: jax.Array) -> jax.Array:
    """Return the mean fourth power of the length of codes, float32 (n, d); a scalar.

    A plain autoencoder sends some images so far out that the others are a dot on the map. The
    fourth power holds these back and hardly touches the rest.
    """
    return jnp.square(jnp.square(codes).sum(axis=1)).mean()
