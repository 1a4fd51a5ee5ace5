"""The autoencoder: dense layers from image to code and back."""

import math
from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from aecli.config import Activation, Config
from aecli.parameters import ImageShape, Parameters
from aecli.pixels import scale_of


class Encoder(nnx.Module):
    """Images to codes; an activation after every layer but the last, which is linear.

    With `normalize` the activations of an image are then brought to mean 0 and variance 1: layer
    normalization (Ba et al., 2016) without scale and shift, which the next layer has.
    """

    def __init__(self, config: Config, image_shape: ImageShape) -> None:
        self.layers = _dense_layers((math.prod(image_shape), *config.hidden, config.latent))
        self.activation = config.activation
        self.normalize = config.normalize

    def __call__(self, images: jax.Array) -> jax.Array:
        """Encode `images`, float32 (n, h, w, c) in 0..1, to codes, float32 (n, d)."""
        flat = images.reshape(images.shape[0], -1)
        return _apply(self.layers, self.activation, flat, self.normalize)


class Decoder(nnx.Module):
    """Codes to images; the encoder's widths in reverse."""

    def __init__(self, config: Config, image_shape: ImageShape) -> None:
        widths = (config.latent, *reversed(config.hidden), math.prod(image_shape))
        self.layers = _dense_layers(widths)
        self.activation = config.activation
        self.normalize = config.normalize
        self.output = config.output
        self.image_shape = image_shape

    def logits(self, codes: jax.Array) -> jax.Array:
        """Decode `codes`, float32 (n, d), to pixels before the output activation, (n, h, w, c)."""
        flat = _apply(self.layers, self.activation, codes, self.normalize)
        return flat.reshape(-1, *self.image_shape)

    def __call__(self, codes: jax.Array) -> jax.Array:
        """Decode `codes`, float32 (n, d), to images, float32 (n, h, w, c).

        They lie in 0..1 with a sigmoid output; a linear output may leave that range.
        """
        logits = self.logits(codes)
        return jax.nn.sigmoid(logits) if self.output == "sigmoid" else logits


class Autoencoder(nnx.Module):
    """An encoder, and the decoder that is trained to undo it."""

    def __init__(self, config: Config, image_shape: ImageShape) -> None:
        self.encoder = Encoder(config, image_shape)
        self.decoder = Decoder(config, image_shape)


def to_unit_range(pixels: jax.Array) -> jax.Array:
    """Return pixels, from 0 to `scale_of` their type, as float32 0..1."""
    return pixels.astype(jnp.float32) / scale_of(pixels.dtype)


def autoencoder(config: Config, image_shape: ImageShape, parameters: Parameters) -> Autoencoder:
    """Return the model with these parameters, of the shapes of `parameter_shapes`."""
    structure = nnx.graphdef(nnx.eval_shape(lambda: Autoencoder(config, image_shape)))
    model: Autoencoder = nnx.merge(structure, parameters)
    return model


def _dense_layers(widths: Sequence[int]) -> nnx.List[nnx.Linear]:
    # Only the shapes matter here: `initial_parameters` draws the values.
    rngs = nnx.Rngs(0)
    return nnx.List(
        [nnx.Linear(inputs, outputs, rngs=rngs) for inputs, outputs in pairwise(widths)]
    )


def _apply(
    layers: nnx.List[nnx.Linear], activation: Activation, values: jax.Array, normalize: bool
) -> jax.Array:
    # The names of the activations are those of jax.nn.
    activate = getattr(jax.nn, activation)
    for layer in layers[:-1]:
        values = activate(layer(values))
        if normalize:
            values = jax.nn.standardize(values)
    return layers[-1](values)
