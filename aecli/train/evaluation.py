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
from aecli.model.references import References
from aecli.model.smoothing import Seen, Smoother
from aecli.train.step import TrainStep
from aecli.train.stream import prefetched

# Rows of one product while evaluating, and the bytes that they may have as float32.
_ROWS = 1_000
_BYTES = 8_000_000
# The bytes of distances to references that are computed at a time.
_DISTANCE_BYTES = 64_000_000

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
    step: TrainStep,
    parameters: Parameters,
    pixels: jax.Array,
    seen: Seen | None = None,
    references: References | None = None,
) -> Decoded:
    """Return the code and the error of each of the images (n, h, w, c); `seen` as `evaluate`.

    `references` are what images are placed among; None where the encoder alone places them.
    """
    from aecli.model.autoencoder import to_unit_range

    model, at_a_time = step.model(parameters), evaluation_rows(step)
    if references is not None:
        at_a_time = min(at_a_time, _DISTANCE_BYTES // (4 * len(references.coordinates))) or 1

    def of_image(image: tuple[jax.Array, jax.Array | None]) -> Decoded:
        images = to_unit_range(image[0][jnp.newaxis])
        inputs = _inputs(step, seen, image[1])
        codes = model.encoder(images if inputs is None else inputs)
        if references is not None:
            codes = references.place(images.reshape(1, -1), codes)
        return Decoded(codes[0], model.squared_errors(codes, images)[0])

    rows = pixels, None if seen is None else seen.coordinates
    found: Decoded = jax.lax.map(of_image, rows, batch_size=at_a_time)
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

    def __init__(
        self,
        step: TrainStep,
        smoother: Smoother | None = None,
        references: References | None = None,
    ) -> None:
        """Take what the encoder looks through, None where it sees the images themselves.

        `references` are what decoded images are placed among; losses are the encoder's own.
        """
        self._step, self._smoother, self._references = step, smoother, references
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
        replicated = self._step.devices.replicated
        arguments = jax.device_put((parameters, self._smoother, self._references), replicated)
        return [
            jax.tree.map(np.asarray, self._program(batch, measure, *arguments)(batch, *arguments))
            for batch in prefetched(dataset.batches(split, evaluation_rows(self._step)))
        ]

    def _program(
        self,
        batch: np.ndarray,
        measure: Measure,
        parameters: Parameters,
        smoother: Smoother | None,
        references: References | None,
    ) -> Callable[..., Any]:
        if (measure, len(batch)) not in self._programs:
            step = self._step

            def of_batch(
                pixels: jax.Array,
                parameters: Parameters,
                smoother: Smoother | None,
                references: References | None,
            ) -> Any:
                seen = None if smoother is None else smoother.of_pixels(pixels)
                if measure == "loss":
                    return evaluate(step, parameters, pixels, seen)
                return decoded(step, parameters, pixels, seen, references)

            # Other settings would only keep trainings from sharing these programs.
            settings = step.config.affecting("model") | {"loss": step.config.loss}
            self._programs[measure, len(batch)] = compiled(
                of_batch,
                {"program": measure, "config": settings, "image_shape": step.image_shape},
                batch,
                parameters,
                smoother,
                references,
            )
        return self._programs[measure, len(batch)]
