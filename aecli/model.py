"""The autoencoder: dense layers from image to code and back."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from flax import nnx

from aecli.config import Activation, Config
from aecli.pixels import scale_of

ImageShape = tuple[int, int, int]
Parameters = Any  # A nested dict of arrays, named like the attributes of `Autoencoder`.


class Encoder(nnx.Module):
    """Images to codes; an activation after every layer but the last, which is linear."""

    def __init__(self, config: Config, image_shape: ImageShape) -> None:
        self.layers = _dense_layers((math.prod(image_shape), *config.hidden, config.latent))
        self.activation = config.activation

    def __call__(self, images: jax.Array) -> jax.Array:
        """Encode `images`, float32 (n, h, w, c) in 0..1, to codes, float32 (n, d)."""
        flat = images.reshape(images.shape[0], -1)
        return _apply(self.layers, self.activation, flat)


class Decoder(nnx.Module):
    """Codes to images; the encoder's widths in reverse."""

    def __init__(self, config: Config, image_shape: ImageShape) -> None:
        widths = (config.latent, *reversed(config.hidden), math.prod(image_shape))
        self.layers = _dense_layers(widths)
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
    """An encoder, and the decoder that is trained to undo it."""

    def __init__(self, config: Config, image_shape: ImageShape) -> None:
        self.encoder = Encoder(config, image_shape)
        self.decoder = Decoder(config, image_shape)


def to_unit_range(pixels: jax.Array) -> jax.Array:
    """Return pixels, from 0 to `scale_of` their type, as float32 0..1."""
    return pixels.astype(jnp.float32) / scale_of(pixels.dtype)


def abstract_autoencoder(
    config: Config, image_shape: ImageShape
) -> tuple[nnx.GraphDef[Autoencoder], Parameters]:
    """Return the model's structure, and its parameters as shapes; computes nothing.

    `nnx.merge` of the structure with parameters of these shapes gives the model.
    """
    structure, state = nnx.split(nnx.eval_shape(lambda: Autoencoder(config, image_shape)))
    return structure, nnx.to_pure_dict(state)


def initial_parameters(config: Config, mean_image: npt.NDArray[np.float32]) -> Parameters:
    """Draw the parameters before training, float32, a pure function of config and mean image.

    They are drawn with numpy: the same on every kind of device, while jax would compile for
    seconds to draw them once.

    `normal` is the tutorial's way: weights and biases from the standard normal. Otherwise biases
    are 0, but for the decoder's last, which makes the mean of the training images, (h, w, c) in
    0..1, the first reconstruction of any image. Sources: Glorot and Bengio, *Understanding the
    difficulty of training deep feedforward neural networks* (2010), uniform; He et al., *Delving
    deep into rectifiers* (2015) and LeCun et al., *Efficient BackProp* (1998), normal.
    """
    generator = np.random.default_rng(config.seed)

    def draw(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        if config.init == "normal":
            return generator.standard_normal(shape, np.float32)
        if len(shape) == 1:
            return np.zeros(shape, np.float32)
        inputs, outputs = shape
        if config.init == "glorot":
            limit = math.sqrt(6 / (inputs + outputs))
            return generator.uniform(-limit, limit, shape).astype(np.float32)
        gain = {"he": 2, "lecun": 1}[config.init]
        return generator.standard_normal(shape, np.float32) * np.float32(math.sqrt(gain / inputs))

    height, width, channels = mean_image.shape
    _, shapes = abstract_autoencoder(config, (height, width, channels))
    parameters = jax.tree.map(lambda leaf: draw(leaf.shape), shapes)
    if config.init != "normal":
        mean = mean_image.reshape(-1)
        if config.output == "sigmoid":
            # Pixels that are always black or white would need an infinite logit.
            mean = np.clip(mean, 1e-3, 1 - 1e-3)
            mean = np.log(mean / (1 - mean))
        parameters["decoder"]["layers"][len(config.hidden)]["bias"] = mean
    return parameters


def _dense_layers(widths: Sequence[int]) -> nnx.List[nnx.Linear]:
    # Only the shapes matter here: `initial_parameters` draws the values.
    rngs = nnx.Rngs(0)
    return nnx.List(
        [nnx.Linear(inputs, outputs, rngs=rngs) for inputs, outputs in pairwise(widths)]
    )


def _apply(layers: nnx.List[nnx.Linear], activation: Activation, values: jax.Array) -> jax.Array:
    # The names of the activations are those of jax.nn.
    activate = getattr(jax.nn, activation)
    for layer in layers[:-1]:
        values = activate(layer(values))
    return layers[-1](values)
