"""A trained network for the page: its layers as facts, its weights as blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.explore.blocks import Blocks, Facts
from aecli.model import network
from aecli.model.layers import Layer
from aecli.model.smoothing import SAME, smoother_of
from aecli.run.checkpoint import Checkpoint


def network_facts(checkpoint: Checkpoint, blocks: Blocks) -> Facts:
    """Add the weights of a checkpoint to the blocks; return its layers in order.

    `page/model.js` computes with them what `aecli encode` and `aecli decode` do. Without an encoder
    where that needs features of images, which a page has not.
    """
    layers = network(checkpoint.config, checkpoint.data.image_shape)
    tensors = checkpoint.parameters
    encodes = not checkpoint.sees_by_features
    return {
        "smoother": _smoother(checkpoint, blocks) if encodes else None,
        "encoder": _layers(layers.encoder, tensors, blocks) if encodes else None,
        "decoder": _layers(layers.decoder, tensors, blocks),
        "clips": layers.clips,
    }


def _smoother(checkpoint: Checkpoint, blocks: Blocks) -> Facts | None:
    """Add what the encoder looks through; None where it sees the images themselves."""
    smoother = smoother_of(checkpoint.tensors)
    if smoother is None:
        return None
    return {
        "mean": blocks.array("smoother.mean", smoother.mean),
        "components": blocks.kernel("smoother.components", smoother.components),
        "memory": blocks.kernel("smoother.memory", smoother.memory),
        "log_counts": blocks.array("smoother.log_counts", smoother.log_counts),
        "bandwidth": float(smoother.bandwidth),
        "same": SAME,
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
        "kind": type(layer).__name__.lower(),
        "input": list(layer.input),
        "output": list(layer.output),
        "activation": layer.activation,
        "normalize": layer.normalize,
        "kernel": blocks.kernel(f"{name}.kernel", kernel),
        "bias": blocks.array(f"{name}.bias", bias),
    }
