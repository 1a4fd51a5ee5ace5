"""The parameters of the autoencoder: their names and shapes, and how they are drawn."""

import math
from functools import reduce
from operator import getitem
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from aecli.config import Config
from aecli.model import network
from aecli.model.layers import ImageShape, nested

Parameters = Any  # A nested dict of arrays, named like the attributes of `Autoencoder`.


def parameter_shapes(config: Config, image_shape: ImageShape) -> Parameters:
    """Return the parameters of `Autoencoder` as shapes, without importing Flax."""
    return nested(
        ((*layer.path, name), jax.ShapeDtypeStruct(shape, np.float32))
        for layer in network(config, image_shape).layers
        for name, shape in layer.parameters.items()
    )


def initial_parameters(config: Config, mean_image: npt.NDArray[np.float32]) -> Parameters:
    """Draw the parameters before training, float32, a pure function of config and mean image.

    They are drawn with numpy: the same on every kind of device, while jax would compile for
    seconds to draw them once.

    `normal` is the tutorial's way: weights and biases from the standard normal. Otherwise biases
    are 0, but for the decoder's last, which makes the mean of the training images, (h, w, c) in
    0..1, the first reconstruction of any image. A layer that `starts_at` a number gives it to all
    images, whatever the way. Sources: Glorot and Bengio, *Understanding the
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
    image_shape = height, width, channels
    parameters = jax.tree.map(lambda leaf: draw(leaf.shape), parameter_shapes(config, image_shape))
    for layer in network(config, image_shape).layers:
        own = reduce(getitem, layer.path, parameters)
        if layer.starts_at_mean and config.init != "normal":
            # A convolution has one number for each channel.
            mean = mean_image.reshape(-1, *layer.bias).mean(axis=0)
            own["bias"] = _before_activation(mean, layer.activation)
        if layer.starts_at is not None:
            own["kernel"] = np.zeros(layer.kernel, np.float32)
            own["bias"] = np.full(layer.bias, layer.starts_at, np.float32)
    return parameters


def _before_activation(mean: npt.NDArray[np.float32], activation: str) -> npt.NDArray[np.float32]:
    """Return the values whose activation, sigmoid or linear, is the mean image."""
    if activation != "sigmoid":
        return mean
    # Pixels that are always black or white would need an infinite logit.
    mean = np.clip(mean, 1e-3, 1 - 1e-3)
    logits: npt.NDArray[np.float32] = np.log(mean / (1 - mean))
    return logits
