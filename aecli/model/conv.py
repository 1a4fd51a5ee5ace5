"""The conv encoder: features of small patches, which dense layers then see in place of pixels.

With channels it is a stack of strided convolutions.
"""

import math

from aecli.config import Config
from aecli.model.convolution import Patches, encoder_stack
from aecli.model.dense import dense_stack
from aecli.model.layers import ImageShape, Layer

# Patches, in pixels: squares, each half over the next one. Chosen on MNIST.
PATCH = 8
STRIDE = PATCH // 2
FEATURES = 16


def encoder(config: Config, image_shape: ImageShape) -> tuple[Layer, ...]:
    """Return the layers from the pixels to the code: convolutions, then dense ones."""
    if config.channels:
        return encoder_stack(config, image_shape)
    rows, columns = -(-image_shape[0] // STRIDE), -(-image_shape[1] // STRIDE)
    features = (rows, columns, FEATURES)
    # Any other activation of this many numbers takes as long as the product again, and the maps are
    # not better.
    kernel = (PATCH, PATCH, image_shape[2], FEATURES)
    patches = Patches(("encoder", "patches"), image_shape, features, kernel, "relu")
    widths = (math.prod(features), *config.hidden, config.latent)
    return patches, *dense_stack("encoder", config, widths)
