"""The dense encoder: every hidden unit sees every pixel."""

import math
from itertools import pairwise

from aecli.config import Config
from aecli.model.layers import ImageShape, Layer, dense


def encoder(config: Config, image_shape: ImageShape) -> tuple[Layer, ...]:
    """Return the layers from the pixels to the code; the code is linear."""
    return dense_stack("encoder", config, (math.prod(image_shape), *config.hidden, config.latent))


def dense_stack(
    part: str,
    config: Config,
    widths: tuple[int, ...],
    ending: str = "linear",
    *,
    starts_at_mean: bool = False,
    hidden_ending: bool = False,
) -> tuple[Layer, ...]:
    """Return dense layers of these widths, the hidden ones with the config's activation.

    The last one has the activation `ending`, and maybe a bias that starts at the mean image. With
    `hidden_ending` it is a hidden one too: other layers follow.
    """
    last = len(widths) - 2 + hidden_ending
    return tuple(
        dense(
            (part, "layers", index),
            inputs,
            outputs,
            ending if index == last else config.activation,
            normalize=config.normalize and index < last,
            starts_at_mean=starts_at_mean and index == last,
        )
        for index, (inputs, outputs) in enumerate(pairwise(widths))
    )
