"""What a model takes of memory, estimated before any of it is taken. Importing this imports no jax.

The estimates were compared with what processes took on a processor: they lie within a third of it.
"""

import math

from aecli.config import Config
from aecli.errors import InputError
from aecli.memory import default_memory
from aecli.model import network
from aecli.model.layers import ImageShape, Layer, Network

_BYTES = 4  # Of a float32.
# Python, jax, and what XLA takes to compile.
_PROGRAM_BYTES = 600_000_000
# For each parameter: itself, two of Adam's and the best one.
_KEPT = 4
# While a step runs: its gradient. While a checkpoint is written: two copies of all that is kept.
_GRADIENTS = 1
_SAVED = 2 * _KEPT
# Matrices of a batch by itself that the neighbour loss and the label loss keep for their gradient.
_PAIR_MATRICES = 7
# Rows of the widest layer that lie in memory at a time, at the least.
_ROWS_APPLIED = 8
# For each output of a layer: what its gradient needs besides the result. The derivative of the
# first three is a function of the result.
_FOR_GRADIENT = {"linear": 1, "sigmoid": 1, "tanh": 1, "relu": 1}
_FOR_OTHER_GRADIENT = 3
_FOR_NORMALIZATION = 2


def parameter_count(layers: Network) -> int:
    """Return how many numbers the layers learn."""
    return sum(math.prod(shape) for one in layers.layers for shape in one.parameters.values())


def refuse_training_beyond_memory(
    config: Config,
    image_shape: ImageShape,
    batch_size: int,
    group: int,
    *,
    on_host: bool,
    pixels: int = 0,
    seeds: int = 1,
) -> None:
    """Raise `InputError` where a training would take more memory than is free now.

    `batch_size` and `group` are those of the step, `pixels` the bytes that the images take, `seeds`
    how many trainings there are at the same time. `on_host` is whether they run on the processor:
    an accelerator has memory of its own, and says itself when it is too little.
    """
    layers = network(config, image_shape)
    parameters = parameter_count(layers)
    comparisons = (group > 1) + (config.label_weight > 0)
    batch = on_host * _batch_bytes(layers, batch_size, group, comparisons)
    model = _BYTES * parameters
    step, saving = _GRADIENTS * model + batch, _SAVED * model
    # Several seeds are not saved.
    most = seeds * step if seeds > 1 else max(step, saving)
    needed = _PROGRAM_BYTES + pixels + seeds * _KEPT * model + most
    free = 2 * default_memory()
    if needed <= free:
        return
    if seeds > 1:
        advice = "lower --stability"
    elif batch > model * (_KEPT + _SAVED):
        advice = "lower --batch-size"
    elif pixels > model * (_KEPT + _SAVED):
        advice = "lower --memory, which streams the images"
    else:
        widths = "--channels, --hidden" if config.channels else "--hidden"
        advice = f"lower {widths} or --latent, or take smaller images"
    many = f"{seeds:,} trainings of this model" if seeds > 1 else "this model"
    raise InputError(
        f"{many}, {parameters:,} parameters on images of {'x'.join(map(str, image_shape))} in "
        f"batches of {batch_size:,}, would take {gigabytes(needed)}, but {gigabytes(free)} are "
        f"free: {advice}"
    )


def refuse_model_beyond_memory(config: Config, image_shape: ImageShape) -> None:
    """Raise `InputError` where a model that is loaded takes more than is free to be applied.

    Its parameters are copied to the device; some images at a time pass through it.
    """
    layers = network(config, image_shape)
    parameters = parameter_count(layers)
    needed = _BYTES * (parameters + _ROWS_APPLIED * layers.cost)
    free = 2 * default_memory()
    if needed > free:
        raise InputError(
            f"this model, {parameters:,} parameters on images of {'x'.join(map(str, image_shape))},"
            f" would take {gigabytes(needed)}, but {gigabytes(free)} are free: close other "
            "programs, or train a smaller one"
        )


def gigabytes(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / 10**9:,.1f} GB"


def _batch_bytes(layers: Network, batch_size: int, group: int, comparisons: int) -> int:
    """Return what a step takes for its batch: groups of an image and its neighbours.

    `comparisons`: how many losses compare all pairs of a batch.
    """
    pixels = math.prod(layers.image_shape)
    encoded = pixels + sum(map(_numbers_kept, layers.encoder))
    decoded = sum(map(_numbers_kept, layers.decoder))
    pairs = _PAIR_MATRICES * batch_size * comparisons
    return _BYTES * batch_size * (group * encoded + decoded + pairs)


def _numbers_kept(layer: Layer) -> int:
    """Return how many numbers a layer keeps of an image for its gradient."""
    outputs = math.prod(layer.output)
    activation = _FOR_GRADIENT.get(layer.activation, _FOR_OTHER_GRADIENT)
    kept = outputs * (activation + _FOR_NORMALIZATION * layer.normalize)
    # What is more than input and output: the patches of a convolution.
    within = layer.cost
    return kept + (within if within > max(outputs, math.prod(layer.input)) else 0)
