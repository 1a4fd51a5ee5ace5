"""An epoch of training: one compiled call on data in memory, one per buffer on streamed data."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aecli.compile_cache import compiled
from aecli.data import Dataset
from aecli.losses import validation_loss
from aecli.neighbors import NeighborGraph
from aecli.run.states import PartialEpoch, ShuffleLayout
from aecli.train.evaluation import Evaluation, evaluate
from aecli.train.step import TrainState, TrainStep
from aecli.train.stream import prefetched, shuffle_buffers
from aecli.train.supervision import training_labels

Scalar = jax.Array | np.generic


class Neighborhood(NamedTuple):
    """The neighbours of the training images; arrays, or their shapes.

    `neighbors`: int32 (n, k), rows of the training images. `pixel_variance`: float32, the mean over
    the pixels of their variance.
    """

    neighbors: Any
    pixel_variance: Any

    @classmethod
    def of(cls, graph: NeighborGraph | None) -> "Neighborhood | None":
        """Return the arrays of a graph, or None without one."""
        return None if graph is None else cls(graph.neighbors, np.float32(graph.variance))


class EpochResult(NamedTuple):
    """The results of an epoch: float32 scalars, but for the last.

    `losses` has the mean over the steps of each term by name. `finite_steps` is how many steps went
    by before a loss that was not finite.
    """

    losses: Mapping[str, Scalar]
    validation_loss: Scalar
    learning_rate: Scalar
    finite_steps: Scalar


class EpochFunction:
    """One pass over the training images and one over the validation images, ready to compile.

    The order of the images is a pure function of the seed and the epoch.
    """

    def __init__(self, step: TrainStep) -> None:
        self.step = step

    def __call__(
        self,
        state: TrainState,
        images: jax.Array,
        neighborhood: Neighborhood | None,
        validation: jax.Array,
        epoch: jax.Array,
        seed: jax.Array,
        labels: jax.Array | None = None,
    ) -> tuple[TrainState, EpochResult]:
        """Train for one epoch.

        Args:
            state: from `TrainStep.initial_state` or the epoch before.
            images: the training images, pixels (n, h, w, c).
            neighborhood: of these images; None without a neighbour loss.
            validation: the validation images, pixels (m, h, w, c).
            epoch: its number from 1, uint32.
            seed: of the order of the images and of the steps' random keys, uint32.
            labels: of the training images, int32 (n,); None without a label loss.

        Returns:
            The new state and the results.

        """
        step = self.step
        variance = None if neighborhood is None else neighborhood.pixel_variance
        state, losses = jax.lax.scan(
            lambda state, rows: step(state, images, variance, rows, seed, labels),
            state,
            self.batches(neighborhood, epoch, seed),
        )
        losses_of_images = evaluate(step, state.parameters, validation)
        finite = jnp.isfinite(_total(losses)).astype(jnp.int32)
        return state, EpochResult(
            {name: values.mean() for name, values in losses.items()},
            validation_loss(losses_of_images, math.prod(step.image_shape), step.config),
            step.learning_rate(epoch * step.per_epoch - 1),
            jnp.cumprod(finite).sum(),
        )

    def buffer(
        self,
        state: TrainState,
        images: jax.Array,
        variance: jax.Array | None,
        batches: jax.Array,
        steps: jax.Array,
        seed: jax.Array,
        labels: jax.Array | None = None,
    ) -> tuple[TrainState, dict[str, jax.Array], jax.Array]:
        """Train on the first `steps` batches, (steps, group, batch size), of a shuffle buffer.

        `labels` are those of its images, without the neighbours; None without a label loss.
        Returns the new state, the sum over the steps of each term by name, float32, and how many
        steps went by before a loss that was not finite, int32.
        """
        Carry = tuple[TrainState, dict[str, jax.Array], jax.Array]

        def body(index: jax.Array, carry: Carry) -> Carry:
            state, sums, finite_steps = carry
            state, losses = self.step(state, images, variance, batches[index], seed, labels)
            sums = {name: sums[name] + losses[name] for name in sums}
            finite_steps += jnp.isfinite(_total(sums)).astype(jnp.int32)
            return state, sums, finite_steps

        nothing = {term.name: jnp.float32(0) for term in self.step.terms}
        start = (state, nothing, jnp.int32(0))
        result: Carry = jax.lax.fori_loop(jnp.uint32(0), steps, body, start)
        return result

    def batches(
        self, neighborhood: Neighborhood | None, epoch: jax.Array, seed: jax.Array
    ) -> jax.Array:
        """Return the rows of each batch of an epoch, int32 (steps, group, batch size).

        The first of a group are the images, once per epoch; the others are neighbours of theirs.
        """
        step = self.step
        order = jnp.arange(step.rows)
        key = jax.random.fold_in(jax.random.key(seed), epoch)
        if step.config.shuffle:
            order = jax.random.permutation(key, order)
        rows = order[: step.images_per_epoch].reshape(step.per_epoch, 1, step.batch_size)
        if neighborhood is None:
            return rows
        shape = (step.per_epoch, step.group - 1, step.batch_size)
        chosen = jax.random.randint(
            jax.random.fold_in(key, 1), shape, 0, neighborhood.neighbors.shape[1]
        )
        positives = neighborhood.neighbors[jnp.broadcast_to(rows, shape), chosen]
        return jnp.concatenate([rows, positives], axis=1)


class EpochInMemory:
    """Trains for an epoch on images that lie on the device: one compiled call."""

    def __init__(
        self, step: TrainStep, dataset: Dataset, state: TrainState, graph: NeighborGraph | None
    ) -> None:
        place = step.devices.replicated
        self._labels = jax.device_put(training_labels(dataset, step.config), place)
        self._data = (
            jax.device_put(dataset.split("train").images, place),
            jax.device_put(Neighborhood.of(graph), place),
            jax.device_put(dataset.split("validation").images, place),
        )
        self._seed = np.uint32(step.config.seed)
        self._program = compiled(
            EpochFunction(step),
            {"program": "epoch", **step.key},
            state,
            *self._data,
            np.uint32(1),
            self._seed,
            self._labels,
            donate=(0,),
        )

    def __call__(
        self, state: TrainState, epoch: int, partial: PartialEpoch | None, stop: Callable[[], bool]
    ) -> tuple[TrainState, EpochResult]:
        """Return the state and the results after an epoch; its number counts from 1.

        A single call; it cannot be interrupted.
        """
        result: tuple[TrainState, EpochResult] = self._program(
            state, *self._data, np.uint32(epoch), self._seed, self._labels
        )
        return result


class EpochStreamed:
    """Trains for an epoch on images that pass through memory: one compiled call per buffer."""

    def __init__(
        self,
        step: TrainStep,
        dataset: Dataset,
        state: TrainState,
        layout: ShuffleLayout,
        graph: NeighborGraph | None,
    ) -> None:
        self._step, self._dataset, self._layout = step, dataset, layout
        self._neighbors = None if graph is None else graph.neighbors
        self._variance = None if graph is None else np.float32(graph.variance)
        self._labels = training_labels(dataset, step.config)
        self._evaluation = Evaluation(step)
        self._seed = np.uint32(step.config.seed)
        place = step.devices.replicated
        batches = (layout.buffer_rows // step.batch_size, step.group, step.batch_size)
        images = (step.group * layout.buffer_rows, *dataset.image_shape)
        labels = jax.ShapeDtypeStruct((layout.buffer_rows,), np.int32, sharding=place)
        self._program = compiled(
            EpochFunction(step).buffer,
            {"program": "shuffle buffer", **step.key},
            state,
            jax.ShapeDtypeStruct(images, dataset.images.dtype, sharding=place),
            self._variance,
            jax.ShapeDtypeStruct(batches, np.int32, sharding=place),
            np.uint32(0),
            self._seed,
            None if self._labels is None else labels,
            donate=(0,),
        )
        self._learning_rate = compiled(
            step.learning_rate, {"program": "learning rate", **step.key}, np.uint32(0)
        )

    def __call__(
        self, state: TrainState, epoch: int, partial: PartialEpoch | None, stop: Callable[[], bool]
    ) -> tuple[TrainState, EpochResult | PartialEpoch]:
        """Return the state and the results after an epoch; its number counts from 1.

        `partial` is what it has of this epoch already. Where `stop` ends it after a buffer, what it
        has then takes the place of the results.
        """
        step = self._step
        partial = partial or PartialEpoch(0, {}, 0)
        done, finite_steps = partial.buffers, partial.finite_steps
        # Older formats had not all of the terms.
        sums = {term.name: partial.losses.get(term.name, 0.0) for term in step.terms}
        for images, batches, steps, labels in prefetched(
            shuffle_buffers(
                self._dataset,
                self._layout,
                step.batch_size,
                self._neighbors,
                self._labels,
                positives=step.group - 1,
                seed=step.config.seed,
                epoch=epoch,
                shuffle=step.config.shuffle,
                skip=done,
            )
        ):
            if stop():
                return state, PartialEpoch(done, sums, finite_steps)
            images, batches, labels = jax.device_put(
                (images, batches, labels), step.devices.replicated
            )
            state, losses, finite = self._program(
                state, images, self._variance, batches, np.uint32(steps), self._seed, labels
            )
            # Waits for the device: buffers must not pile up.
            sums = {name: sums[name] + float(losses[name]) for name in sums}
            finite_steps += int(finite)
            done += 1
            if not math.isfinite(sum(sums.values())):
                break
        validation = self._evaluation.mean(state.parameters, self._dataset, "validation")
        return state, EpochResult(
            {name: np.float32(total / step.per_epoch) for name, total in sums.items()},
            np.float32(validation),
            self._learning_rate(np.uint32(epoch * step.per_epoch - 1)),
            np.int32(finite_steps),
        )


def _total(losses: Mapping[str, jax.Array]) -> jax.Array:
    """Return the sum of the terms: finite where all of them are."""
    first, *others = losses.values()
    return sum(others, start=first)
