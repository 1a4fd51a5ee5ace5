"""A trained network for the page: its layers as facts, its weights as blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.explore.blocks import Blocks, Facts
from aecli.model import network, references
from aecli.model.layers import Layer
from aecli.run.checkpoint import Checkpoint


def network_facts(checkpoint: Checkpoint, blocks: Blocks) -> Facts:
    """Add the weights of a checkpoint to the blocks; return its layers in order.

    `page/model.js` computes with them what `aecli encode` and `aecli decode` do. Without an encoder
    where images are placed by their features, which a page has not.
    """
    layers = network(checkpoint.config, checkpoint.data.image_shape)
    tensors = checkpoint.parameters
    encodes = not checkpoint.places_by_features
    return {
        "references": _references(checkpoint, blocks) if encodes else None,
        "encoder": _layers(layers.encoder, tensors, blocks) if encodes else None,
        "decoder": _layers(layers.decoder, tensors, blocks),
        "clips": layers.clips,
    }


def _references(checkpoint: Checkpoint, blocks: Blocks) -> Facts | None:
    """Add what images are placed among; None where the encoder alone places them."""
    found = references.references_of(checkpoint.tensors)
    if found is None:
        return None
    arrays = ("mean", "components", "coordinates", "codes")
    numbers = ("step", "bandwidth", "code_bandwidth")
    return {
        **{name: blocks.array(f"references.{name}", getattr(found, name)) for name in arrays},
        **{name: float(getattr(found, name)) for name in numbers},
        "neighbors": references.NEIGHBORS,
        "own_weight": references.OWN_WEIGHT,
        "steps": references.STEPS,
        "levels": references.LEVELS,
    }


def _layers(
    layers: Sequence[Layer], tensors: Mapping[str, npt.NDArray[Any]], blocks: Blocks
) -> list[Facts]:
    return [_layer(layer, tensors, blocks) for layer in layers]


def _layer(layer: Layer, tensors: Mapping[str, npt.NDArray[Any]], blocks: Blocks) -> Facts:
    name = ".".join(map(str, layer.path))
    kernel = np.asarray(tensors[f"parameters.{name}.kernel"], np.float32)
    bias = np.asarray(tensors[f"parameters.{name}.bias"], np.float32)
    return {
        "kind": layer.kind.lower(),
        "input": list(layer.input),
        "output": list(layer.output),
        "activation": layer.activation,
        "normalize": layer.normalize,
        "kernel": blocks.kernel(f"{name}.kernel", kernel),
        "bias": blocks.array(f"{name}.bias", bias),
    }
