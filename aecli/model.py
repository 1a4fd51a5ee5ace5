"""The autoencoder: dense layers from image to code and back."""

import math
from collections.abc import Sequence

import jax
from flax import nnx

from aecli.config import Activation, Config, Initializer

ImageShape = tuple[int, int, int]


class Encoder(nnx.Module):
    """Images to codes; an activation after every layer but the last, which is linear."""

    def __init__(self, config: Config, image_shape: ImageShape, *, rngs: nnx.Rngs) -> None:
        widths = (math.prod(image_shape), *config.hidden, config.latent)
        self.layers = _dense_layers(widths, config.init, rngs)
        self.activation = config.activation

    def __call__(self, images: jax.Array) -> jax.Array:
        """Encode `images`, float32 (n, h, w, c) in 0..1, to codes, float32 (n, d)."""
        flat = images.reshape(images.shape[0], -1)
        return _apply(self.layers, self.activation, flat)


class Decoder(nnx.Module):
    """Codes to images; the encoder's widths in reverse."""

    def __init__(self, config: Config, image_shape: ImageShape, *, rngs: nnx.Rngs) -> None:
        widths = (config.latent, *reversed(config.hidden), math.prod(image_shape))
        self.layers = _dense_layers(widths, config.init, rngs)
        self.activation = config.activation
        self.output = config.output
        self.image_shape = image_shape

    def logits(self, codes: jax.Array) -> jax.Array:
        """Decode `codes`, float32 (n, d), to pixels before the output activation, (n, h, w, c)."""
        flat = _apply(self.layers, self.activation, codes)
        return flat.reshape(-1, *self.image_shape)

    def __call__(self, codes: jax.Array) -> jax.Array:
        """Decode `codes`, float32 (n, d), to images, float32 (n, h, w, c).

        They lie in 0..1 with a sigmoid output; a linear output may leave that range.
        """
        logits = self.logits(codes)
        return jax.nn.sigmoid(logits) if self.output == "sigmoid" else logits


class Autoencoder(nnx.Module):
    """An encoder and the decoder that undoes it."""

    def __init__(self, config: Config, image_shape: ImageShape, *, rngs: nnx.Rngs) -> None:
        self.encoder = Encoder(config, image_shape, rngs=rngs)
        self.decoder = Decoder(config, image_shape, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Reconstruct `images`, float32 (n, h, w, c) in 0..1."""
        return self.decoder(self.encoder(images))


def _dense_layers(widths: Sequence[int], init: Initializer, rngs: nnx.Rngs) -> nnx.List[nnx.Linear]:
    initializers = jax.nn.initializers
    kernel_init = {
        "normal": initializers.normal(1.0),
        "glorot": initializers.glorot_uniform(),
        "he": initializers.he_normal(),
        "lecun": initializers.lecun_normal(),
        "orthogonal": initializers.orthogonal(),
    }[init]
    # The tutorial draws its biases from the same standard normal as its weights.
    bias_init = initializers.normal(1.0) if init == "normal" else initializers.zeros
    return nnx.List(
        [
            nnx.Linear(
                inputs, outputs, kernel_init=kernel_init, bias_init=bias_init, rngs=rngs
            )
            for inputs, outputs in zip(widths[:-1], widths[1:], strict=True)
        ]
    )


def _apply(layers: nnx.List[nnx.Linear], activation: Activation, values: jax.Array) -> jax.Array:
    # The names of the activations are those of jax.nn.
    activate = getattr(jax.nn, activation)
    for layer in layers[:-1]:
        values = activate(layer(values))
    return layers[-1](values)
