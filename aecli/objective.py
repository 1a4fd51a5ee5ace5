"""The losses: means over all pixels of all images, computed from the decoder's logits."""

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
