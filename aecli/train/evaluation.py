"""Losses and errors over a split, a fixed number of images at a time."""

import math
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from aecli.compile_cache import compiled
from aecli.config import SplitName
from aecli.data import Dataset
from aecli.device import Devices
from aecli.losses import validation_loss
from aecli.model import network
from aecli.model.parameters import Parameters
from aecli.model.references import References
from aecli.train.step import TrainStep
from aecli.train.stream import prefetched

# Rows of one product while evaluating, and the bytes that they may have as float32.
_ROWS = 1_000
_BYTES = 8_000_000
# The bytes of distances to references that are computed at a time.
_DISTANCE_BYTES = 64_000_000

# Seed of the noise of validation images, whatever the run's: runs are compared by what they make of
# the same ones.
_VALIDATION_NOISE = 0

# The loss of the config, or the decoded images.
Measure = Literal["loss", "decoded"]


class Decoded(NamedTuple):
    """The codes of images, float32 (n, d), and the mean squared errors when decoded, (n,)."""

    codes: Any
    errors: Any


def evaluate(step: TrainStep, parameters: Parameters, pixels: jax.Array) -> jax.Array:
    """Return the `image_losses` of each of the images (n, h, w, c), float32 (n,) or (n, 1 + d).

    With noise the encoder sees them spoilt, as in training: what it is to make of such is measured.
    Each has the same noise in every epoch.
    """
    from aecli.model.autoencoder import losses_of, to_unit_range

    model, config = step.model(parameters), step.config

    def of_image(image: jax.Array) -> jax.Array:
        pixels, seen = image[jnp.newaxis], None
        if step.noise is not None:
            images = to_unit_range(pixels)
            seen = step.noise.spoil_each(pixels, images, _VALIDATION_NOISE, clip=step.clips)
        return losses_of(model, pixels, config, seen)[0]

    values: jax.Array = jax.lax.map(of_image, pixels, batch_size=evaluation_rows(step))
    return values


def decoded(
    step: TrainStep,
    parameters: Parameters,
    pixels: jax.Array,
    features: jax.Array | None = None,
    references: References | None = None,
) -> Decoded:
    """Return the code and the error of each of the images (n, h, w, c).

    `references` are what images are placed among, by `features`, float32 (n, f), or where that is
    None by their pixels; without them the encoder alone places images.
    """
    from aecli.model.autoencoder import to_unit_range

    model, at_a_time = step.model(parameters), evaluation_rows(step)
    if references is not None:
        at_a_time = min(at_a_time, _DISTANCE_BYTES // (4 * len(references.coordinates))) or 1

    def of_image(image: tuple[jax.Array, jax.Array | None]) -> Decoded:
        images = to_unit_range(image[0][jnp.newaxis])
        codes = model.encoder(images)
        if references is not None:
            rows = images if image[1] is None else image[1]
            codes = references.place(rows.reshape(1, -1), codes)
        return Decoded(codes[0], model.squared_errors(codes, images)[0])

    found: Decoded = jax.lax.map(of_image, (pixels, features), batch_size=at_a_time)
    return found


def evaluation_rows(step: TrainStep) -> int:
    """Return how many images are evaluated at a time."""
    return max(1, min(_ROWS, _BYTES // (4 * network(step.config, step.image_shape).cost)))


class Evaluation:
    """Evaluates parameters on a split, some rows at a time."""

    def __init__(self, step: TrainStep, references: References | None = None) -> None:
        """Take what decoded images are placed among; losses are the encoder's own."""
        self._step, self._references = step, references
        # Of several processes one evaluates, by itself.
        self._devices = Devices(own=True)
        # Two for a measure: for all full batches, and for what is left.
        self._programs: dict[tuple[Measure, int], Callable[..., Any]] = {}

    def losses(
        self, parameters: Parameters, dataset: Dataset, split: SplitName
    ) -> npt.NDArray[np.float32]:
        """Return the `image_losses` of a split, float32 (n,) or (n, 1 + d)."""
        found: npt.NDArray[np.float32]
        found = np.concatenate(self._parts(parameters, dataset, split, "loss"))
        return found

    def mean(self, parameters: Parameters, dataset: Dataset, split: SplitName) -> float:
        """Return the validation loss of a split."""
        pixels = math.prod(dataset.image_shape)
        losses = self.losses(parameters, dataset, split)
        return float(validation_loss(losses, pixels, self._step.config))

    def decoded(self, parameters: Parameters, dataset: Dataset, split: SplitName) -> Decoded:
        """Return the codes and the errors of a split, as numpy's arrays."""
        parts = self._parts(parameters, dataset, split, "decoded")
        return Decoded(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _parts(
        self, parameters: Parameters, dataset: Dataset, split: SplitName, measure: Measure
    ) -> list[Any]:
        """Return a measure of each batch of a split."""
        arguments = jax.device_put((parameters, self._references), self._devices.replicated)
        rows = evaluation_rows(self._step)
        features: Iterator[Any] = repeat(None)
        if self._references is not None and dataset.source.features is not None:
            features = dataset.feature_batches(split, rows)
        batches = prefetched(zip(dataset.batches(split, rows), features, strict=False))
        return [
            jax.tree.map(np.asarray, self._program(batch, measure, *arguments)(*batch, *arguments))
            for batch in batches
        ]

    def _program(
        self,
        batch: tuple[np.ndarray, Any],
        measure: Measure,
        parameters: Parameters,
        references: References | None,
    ) -> Callable[..., Any]:
        pixels, features = batch
        if (measure, len(pixels)) not in self._programs:
            step = self._step

            def of_batch(
                pixels: jax.Array,
                features: jax.Array | None,
                parameters: Parameters,
                references: References | None,
            ) -> Any:
                if measure == "loss":
                    return evaluate(step, parameters, pixels)
                return decoded(step, parameters, pixels, features, references)

            # Other settings would only keep trainings from sharing these programs.
            measured = {"loss": step.config.loss, "noise": step.config.noise}
            settings = step.config.affecting("model") | measured
            self._programs[measure, len(pixels)] = compiled(
                of_batch,
                {"program": measure, "config": settings, "image_shape": step.image_shape},
                pixels,
                features,
                parameters,
                references,
            )
        return self._programs[measure, len(pixels)]
