"""Losses and errors over a split, a fixed number of images at a time."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aecli.compile_cache import compiled
from aecli.config import SplitName
from aecli.data import Dataset
from aecli.device import Devices
from aecli.losses import pixel_loss
from aecli.model import network
from aecli.model.parameters import Parameters
from aecli.model.smoothing import Seen, Smoother
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


def evaluate(
    step: TrainStep, parameters: Parameters, pixels: jax.Array, seen: Seen | None = None
) -> jax.Array:
    """Return the mean loss over the pixels of each of the images (n, h, w, c), float32 (n,).

    `seen` is what the encoder sees of them; None where it sees them.
    """
    from aecli.model.autoencoder import to_unit_range

    model, config = step.model(parameters), step.config

    def of_image(image: tuple[jax.Array, jax.Array | None]) -> jax.Array:
        images = to_unit_range(image[0][jnp.newaxis])
        inputs = _inputs(step, seen, image[1])
        logits = model.decoder.logits(model.encoder(images if inputs is None else inputs))
        return pixel_loss(logits, images, config.loss, config.output).mean()

    rows = pixels, None if seen is None else seen.coordinates
    values: jax.Array = jax.lax.map(of_image, rows, batch_size=evaluation_rows(step))
    return values


def decoded(
    step: TrainStep, parameters: Parameters, pixels: jax.Array, seen: Seen | None = None
) -> Decoded:
    """Return the code and the error of each of the images (n, h, w, c); `seen` as `evaluate`."""
    model = step.model(parameters)

    def of_image(image: tuple[jax.Array, jax.Array | None]) -> Decoded:
        inputs = _inputs(step, seen, image[1])
        codes, errors = model.codes_and_errors(image[0][jnp.newaxis], inputs)
        return Decoded(codes[0], errors[0])

    rows = pixels, None if seen is None else seen.coordinates
    found: Decoded = jax.lax.map(of_image, rows, batch_size=evaluation_rows(step))
    return found


def _inputs(step: TrainStep, seen: Seen | None, coordinates: jax.Array | None) -> jax.Array | None:
    """Return what the encoder sees of one image, (1, h, w, c); None where it sees the image."""
    if seen is None or coordinates is None:
        return None
    return seen.images(coordinates[jnp.newaxis], step.image_shape)


def evaluation_rows(step: TrainStep) -> int:
    """Return how many images are evaluated at a time."""
    return max(1, min(_ROWS, _BYTES // (4 * network(step.config, step.image_shape).cost)))


class Evaluation:
    """Evaluates parameters on a split, some rows at a time."""

    def __init__(self, step: TrainStep, smoother: Smoother | None = None) -> None:
        """Take what the encoder looks through, None where it sees the images themselves."""
        self._step, self._smoother = step, smoother
        # Of several processes one evaluates, by itself.
        self._devices = Devices(own=True)
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
        replicated = self._devices.replicated
        parameters, smoother = jax.device_put((parameters, self._smoother), replicated)
        return [
            jax.tree.map(
                np.asarray, self._program(parameters, batch, measure)(parameters, batch, smoother)
            )
            for batch in prefetched(dataset.batches(split, evaluation_rows(self._step)))
        ]

    def _program(
        self, parameters: Parameters, batch: np.ndarray, measure: Measure
    ) -> Callable[..., Any]:
        if (measure, len(batch)) not in self._programs:
            step, smoother = self._step, self._smoother

            function: Callable[..., Any] = evaluate if measure == "loss" else decoded

            def of_batch(
                parameters: Parameters, pixels: jax.Array, smoother: Smoother | None
            ) -> Any:
                seen = None if smoother is None else smoother.of_pixels(pixels)
                return function(step, parameters, pixels, seen)

            # Other settings would only keep trainings from sharing these programs.
            settings = step.config.affecting("model") | {"loss": step.config.loss}
            self._programs[measure, len(batch)] = compiled(
                of_batch,
                {"program": measure, "config": settings, "image_shape": step.image_shape},
                parameters,
                batch,
                jax.device_put(smoother, self._devices.replicated),
            )
        return self._programs[measure, len(batch)]
