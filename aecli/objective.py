"""The terms of the training loss."""

import jax
import jax.numpy as jnp
import optax

from aecli.config import Loss, Output


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


def far_codes(codes: jax.Array) -> jax.Array:
    """Return the mean fourth power of the length of codes, float32 (n, d); a scalar.

    A plain autoencoder sends some images so far out that the others are a dot on the map. The
    fourth power holds these back and hardly touches the rest.
    """
    return jnp.square(jnp.square(codes).sum(axis=1)).mean()
