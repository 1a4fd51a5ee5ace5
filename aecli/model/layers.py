"""The sizes of the network, as its settings give them."""

import math

from aecli.config import Config

ImageShape = tuple[int, int, int]

# A conv encoder's patches, in pixels: squares, each half over the next one. Chosen on MNIST.
PATCH = 8
STRIDE = PATCH // 2
FEATURES = 16


def patch_grid(image_shape: ImageShape) -> tuple[int, int]:
    """Return how many patches a conv encoder sees along height and width of an image."""
    return -(-image_shape[0] // STRIDE), -(-image_shape[1] // STRIDE)


def encoder_inputs(config: Config, image_shape: ImageShape) -> ImageShape:
    """Return what the encoder's dense layers see: the image, or the features of its patches."""
    return image_shape if config.encoder == "dense" else (*patch_grid(image_shape), FEATURES)


def most_numbers(config: Config, image_shape: ImageShape) -> int:
    """Return how many numbers an image is at most on its way to the code: pixels, or patches."""
    if config.encoder == "dense":
        return math.prod(image_shape)
    return math.prod(patch_grid(image_shape)) * PATCH * PATCH * image_shape[2]


def encoder_widths(config: Config, image_shape: ImageShape) -> list[int]:
    """Return how many numbers an image is, after each step from its pixels to its code."""
    widths = [math.prod(image_shape), *config.hidden, config.latent]
    if config.encoder == "conv":
        widths.insert(1, math.prod(encoder_inputs(config, image_shape)))
    return widths


def describe_encoder(config: Config, image_shape: ImageShape) -> str:
    """Return the widths for people: `784-128-2`, with a grid of features as `7x7x16`."""
    widths = list(map(str, encoder_widths(config, image_shape)))
    if config.encoder == "conv":
        widths[1] = "x".join(map(str, encoder_inputs(config, image_shape)))
    return "-".join(widths)
