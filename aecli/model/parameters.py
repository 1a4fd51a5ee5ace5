"""The parameters of the autoencoder: their names and shapes, and how they are drawn."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from aecli.config import Config
from aecli.model.layers import FEATURES, PATCH, ImageShape, encoder_inputs

Parameters = Any  # A nested dict of arrays, named like the attributes of `model.Autoencoder`.


def parameter_shapes(config: Config, image_shape: ImageShape) -> Parameters:
    """Return the parameters of `model.Autoencoder` as shapes, without importing Flax."""
    inputs = encoder_inputs(config, image_shape)
    encoder = _dense_shapes((math.prod(inputs), *config.hidden, config.latent))
    if config.encoder == "conv":
        encoder["patches"] = _layer_shapes(PATCH, PATCH, image_shape[2], FEATURES)
    decoder = _dense_shapes((config.latent, *reversed(config.hidden), math.prod(image_shape)))
    return {"encoder": encoder, "decoder": decoder}


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
        inputs, outputs = math.prod(shape[:-1]), shape[-1]
        if config.init == "glorot":
            limit = math.sqrt(6 / (inputs + outputs))
            return generator.uniform(-limit, limit, shape).astype(np.float32)
        gain = {"he": 2, "lecun": 1}[config.init]
        return generator.standard_normal(shape, np.float32) * np.float32(math.sqrt(gain / inputs))

    height, width, channels = mean_image.shape
    shapes = parameter_shapes(config, (height, width, channels))
    parameters = jax.tree.map(lambda leaf: draw(leaf.shape), shapes)
    if config.init != "normal":
        mean = mean_image.reshape(-1)
        if config.output == "sigmoid":
            # Pixels that are always black or white would need an infinite logit.
            mean = np.clip(mean, 1e-3, 1 - 1e-3)
            mean = np.log(mean / (1 - mean))
        parameters["decoder"]["layers"][len(config.hidden)]["bias"] = mean
    return parameters


def _dense_shapes(widths: Sequence[int]) -> Parameters:
    layers = [_layer_shapes(*inputs_and_outputs) for inputs_and_outputs in pairwise(widths)]
    return {"layers": dict(enumerate(layers))}


def _layer_shapes(*kernel: int) -> Parameters:
    """Return the shapes of a layer whose kernel has this one; the last of it are the outputs."""
    return {
        "kernel": jax.ShapeDtypeStruct(kernel, np.float32),
        "bias": jax.ShapeDtypeStruct(kernel[-1:], np.float32),
    }
