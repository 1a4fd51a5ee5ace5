"""The autoencoder: its layers, their parameters, and the Flax modules built from them.

A model is a module here with the name of a choice of `--encoder`; its function `encoder` returns
the layers from the image to the code.
"""

import math
from importlib import import_module

from aecli.config import SETTINGS, Config
from aecli.model.dense import dense_stack
from aecli.model.layers import ImageShape, Network
from aecli.model.sparse import sparse
from aecli.model.vae import spread_layer

MODELS = {name: import_module(f"{__name__}.{name}") for name in SETTINGS["encoder"].choices}


def network(config: Config, image_shape: ImageShape) -> Network:
    """Return the layers of an autoencoder; the decoder has the encoder's widths in reverse."""
    widths = (config.latent, *reversed(config.hidden), math.prod(image_shape))
    decoder = dense_stack("decoder", config, widths, config.output, starts_at_mean=True)
    encoder = sparse(MODELS[config.encoder].encoder(config, image_shape), config)
    spread = spread_layer(encoder[-1]) if config.kind == "vae" else None
    return Network(encoder, decoder, image_shape, spread)
