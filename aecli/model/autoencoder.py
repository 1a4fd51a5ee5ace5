"""The autoencoder: from image to code and back by dense layers, or through patches at first."""

import math
from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from aecli.config import Activation, Config
from aecli.model.layers import FEATURES, PATCH, STRIDE, ImageShape, encoder_inputs, patch_grid
from aecli.model.parameters import Parameters
from aecli.pixels import scale_of


class Encoder(nnx.Module):
    """Images to codes: maybe the features of patches, then dense layers.

    An activation follows every dense layer but the last, which is linear. With `normalize` the
    activations of an image are then brought to mean 0 and variance 1: layer normalization (Ba et
    al., 2016) without scale and shift, which the next layer has.
    """

    def __init__(self, config: Config, image_shape: ImageShape) -> None:
        self.patches = Patches(image_shape[2]) if config.encoder == "conv" else None
        inputs = encoder_inputs(config, image_shape)
        self.layers = _dense_layers((math.prod(inputs), *config.hidden, config.latent))
        self.activation = config.activation
        self.normalize = config.normalize

    def __call__(self, images: jax.Array) -> jax.Array:
        """Encode `images`, float32 (n, h, w, c) in 0..1, to codes, float32 (n, d)."""
        values = images if self.patches is None else self.patches(images)
        flat = values.reshape(len(images), -1)
        return _apply(self.layers, self.activation, flat, self.normalize)


class Patches(nnx.Module):
    """Features of small squares of an image, each half over the next one: a convolution and ReLU.

    The image lies in the middle of black pixels, half a patch or more of them, both sides together:
    the padding SAME of a strided convolution. XLA's convolution takes up to four times as long on a
    processor as the product here; and any other activation of so many numbers takes as long as that
    again, while the maps are no better.
    """

    def __init__(self, channels: int) -> None:
        self.kernel = nnx.Param(jnp.zeros((PATCH, PATCH, channels, FEATURES)))
        self.bias = nnx.Param(jnp.zeros(FEATURES))

    def __call__(self, images: jax.Array) -> jax.Array:
        """Return the features of `images`, float32 (n, h, w, c), as (n, rows, columns, f)."""
        count, height, width, channels = images.shape
        rows, columns = patch_grid((height, width, channels))
        missing = (rows + 1) * STRIDE - height, (columns + 1) * STRIDE - width
        margins = [(pixels // 2, pixels - pixels // 2) for pixels in missing]
        padded = jnp.pad(images, [(0, 0), *margins, (0, 0)])
        # A patch is two by two cells; one after the other they are a row of the product.
        cells = padded.reshape(count, rows + 1, STRIDE, columns + 1, STRIDE, channels)
        cells = cells.swapaxes(2, 3).reshape(count, rows + 1, columns + 1, -1)
        corners = [(top, left) for top in (0, 1) for left in (0, 1)]
        patches = [cells[:, top : top + rows, left : left + columns] for top, left in corners]
        kernel = self.kernel[...].reshape(2, STRIDE, 2, STRIDE, channels, FEATURES)
        kernel = kernel.swapaxes(1, 2).reshape(-1, FEATURES)
        bias = self.bias[...].reshape(1, 1, 1, FEATURES)
        return jax.nn.relu(jnp.concatenate(patches, axis=-1) @ kernel + bias)


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
