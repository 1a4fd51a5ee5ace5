"""Losses and errors over a split, a fixed number of images at a time."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aecli.compile_cache import compiled
from aecli.config import SplitName
from aecli.data import Dataset
from aecli.losses import pixel_loss
from aecli.model import network
from aecli.model.parameters import Parameters
from aecli.train.step import TrainStep
from aecli.train.stream import prefetched

# Rows of one product while evaluating, and the bytes that they may have as float32.
_ROWS = 1_000
_BYTES = 8_000_000

# The loss of the config, or the decoded images.
Measure = Literal["loss", "decoded"]


class Decoded(NamedTuple):
    """The codes of images, float32 (n, d), and the mean squared errors when decoded, (n,)."""

    codes: Any
    errors: Any


def evaluate(step: TrainStep, parameters: Parameters, pixels: jax.Array) -> jax.Array:
    """Return the mean loss over the pixels of each of the images (n, h, w, c), float32 (n,)."""
    from aecli.model.autoencoder import to_unit_range

    model, config = step.model(parameters), step.config

    def of_image(image: jax.Array) -> jax.Array:
        images = to_unit_range(image[jnp.newaxis])
        logits = model.decoder.logits(model.encoder(images))
        return pixel_loss(logits, images, config.loss, config.output).mean()

    values: jax.Array = jax.lax.map(of_image, pixels, batch_size=evaluation_rows(step))
    return values


def decoded(step: TrainStep, parameters: Parameters, pixels: jax.Array) -> Decoded:
    """Return the code and the error of each of the images (n, h, w, c)."""
    model = step.model(parameters)

    def of_image(image: jax.Array) -> Decoded:
        codes, errors = model.codes_and_errors(image[jnp.newaxis])
        return Decoded(codes[0], errors[0])

    found: Decoded = jax.lax.map(of_image, pixels, batch_size=evaluation_rows(step))
    return found


def evaluation_rows(step: TrainStep) -> int:
    """Return how many images are evaluated at a time."""
    return max(1, min(_ROWS, _BYTES // (4 * network(step.config, step.image_shape).cost)))


class Evaluation:
    """Evaluates parameters on a split, some rows at a time."""

    def __init__(self, step: TrainStep) -> None:
        self._step = step
        # Two for a measure: for all full batches, and for what is left.
        self._programs: dict[tuple[Measure, int], Callable[..., Any]] = {}

    def mean(self, parameters: Parameters, dataset: Dataset, split: SplitName) -> float:
        """Return the mean loss over the pixels of a split."""
        return float(np.concatenate(self._parts(parameters, dataset, split, "loss")).mean())

    def decoded(self, parameters: Parameters, dataset: Dataset, split: SplitName) -> Decoded:
        """Return the codes and the errors of a split, as numpy's arrays."""
        parts = self._parts(parameters, dataset, split, "decoded")
        return Decoded(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _parts(
        self, parameters: Parameters, dataset: Dataset, split: SplitName, measure: Measure
    ) -> list[Any]:
        """Return a measure of each batch of a split."""
        parameters = jax.device_put(parameters, self._step.devices.replicated)
        return [
            jax.tree.map(np.asarray, self._program(parameters, batch, measure)(parameters, batch))
            for batch in prefetched(dataset.batches(split, evaluation_rows(self._step)))
        ]

    def _program(
        self, parameters: Parameters, batch: np.ndarray, measure: Measure
    ) -> Callable[..., Any]:
        if (measure, len(batch)) not in self._programs:
            step = self._step
            # Other settings would only keep trainings from sharing these programs.
            settings = step.config.affecting("model") | {"loss": step.config.loss}
            function = evaluate if measure == "loss" else decoded
            self._programs[measure, len(batch)] = compiled(
                lambda parameters, pixels: function(step, parameters, pixels),
                {"program": measure, "config": settings, "image_shape": step.image_shape},
                parameters,
                batch,
            )
        return self._programs[measure, len(batch)]
