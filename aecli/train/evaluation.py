"""Losses and errors over a split, a fixed number of images at a time."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from aecli.compile_cache import compiled
from aecli.config import SplitName
from aecli.data import Dataset
from aecli.losses import pixel_loss
from aecli.model import network
from aecli.model.parameters import Parameters
from aecli.model.smoothing import Seen, Smoother
from aecli.train.step import TrainStep
from aecli.train.stream import prefetched

# Rows of one product while evaluating, and the bytes that they may have as float32.
_ROWS = 1_000
_BYTES = 8_000_000

# The loss of the config, or the squared error of the decoded images.
Measure = Literal["loss", "squared error"]


def evaluate(
    step: TrainStep,
    parameters: Parameters,
    pixels: jax.Array,
    measure: Measure = "loss",
    seen: Seen | None = None,
) -> jax.Array:
    """Return the mean over the pixels of each of the images (n, h, w, c), float32 (n,).

    `seen` is what the encoder sees of them; None where it sees them.
    """
    from aecli.model.autoencoder import to_unit_range

    model, config = step.model(parameters), step.config

    def of_image(image: tuple[jax.Array, jax.Array | None]) -> jax.Array:
        (pixels, coordinates), inputs = image, None
        pixels = pixels[jnp.newaxis]
        if seen is not None and coordinates is not None:
            inputs = seen.images(coordinates[jnp.newaxis], step.image_shape)
        if measure == "squared error":
            return model.squared_errors(pixels, inputs)[0]
        images = to_unit_range(pixels)
        logits = model.decoder.logits(model.encoder(images if inputs is None else inputs))
        return pixel_loss(logits, images, config.loss, config.output).mean()

    rows = pixels, None if seen is None else seen.coordinates
    values: jax.Array = jax.lax.map(of_image, rows, batch_size=evaluation_rows(step))
    return values


def evaluation_rows(step: TrainStep) -> int:
    """Return how many images are evaluated at a time."""
    return max(1, min(_ROWS, _BYTES // (4 * network(step.config, step.image_shape).cost)))


class Evaluation:
    """Evaluates parameters on a split, some rows at a time."""

    def __init__(self, step: TrainStep, smoother: Smoother | None = None) -> None:
        """Take what the encoder looks through, None where it sees the images themselves."""
        self._step, self._smoother = step, smoother
        # Two for a measure: for all full batches, and for what is left.
        self._programs: dict[tuple[Measure, int], Callable[..., jax.Array]] = {}

    def mean(
        self, parameters: Parameters, dataset: Dataset, split: SplitName, measure: Measure = "loss"
    ) -> float:
        """Return the mean over the pixels of a split."""
        replicated = self._step.devices.replicated
        parameters, smoother = jax.device_put((parameters, self._smoother), replicated)
        values = [
            np.asarray(self._program(parameters, batch, measure)(parameters, batch, smoother))
            for batch in prefetched(dataset.batches(split, evaluation_rows(self._step)))
        ]
        return float(np.concatenate(values).mean())

    def _program(
        self, parameters: Parameters, batch: np.ndarray, measure: Measure
    ) -> Callable[..., jax.Array]:
        if (measure, len(batch)) not in self._programs:
            step, smoother = self._step, self._smoother

            def of_batch(
                parameters: Parameters, pixels: jax.Array, smoother: Smoother | None
            ) -> jax.Array:
                seen = None if smoother is None else smoother.of_pixels(pixels)
                return evaluate(step, parameters, pixels, measure, seen)

            # Other settings would only keep trainings from sharing these programs.
            settings = step.config.affecting("model") | {"loss": step.config.loss}
            self._programs[measure, len(batch)] = compiled(
                of_batch,
                {"program": measure, "config": settings, "image_shape": step.image_shape},
                parameters,
                batch,
                jax.device_put(smoother, step.devices.replicated),
            )
        return self._programs[measure, len(batch)]
