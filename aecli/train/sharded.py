"""An epoch of training on many processes: each reads its own share of every batch."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.sharding import PartitionSpec as P

from aecli.compile_cache import compiled
from aecli.config import SplitName
from aecli.data import Dataset, rows_between
from aecli.device import place_parts
from aecli.losses import validation_loss
from aecli.neighbors import NeighborGraph
from aecli.pixels import Images
from aecli.run.states import PartialEpoch, ShuffleLayout
from aecli.train.epochs import EpochFunction, EpochResult, Neighborhood
from aecli.train.evaluation import evaluate, evaluation_rows
from aecli.train.step import TrainState, TrainStep
from aecli.train.stream import buffer_orders, prefetched, read_rows
from aecli.train.supervision import training_labels

if TYPE_CHECKING:
    from aecli.processes.group import Processes

# Of the pixels of a chunk in memory, in all processes, for each of them.
_CHUNK_BYTES = 64_000_000

Numbers = npt.NDArray[np.integer[Any]]


class Chunk(NamedTuple):
    """Batches that are trained on in one call; each device has its share of every batch.

    `pixels`: (steps, group, batch size, h, w, c), of which the first `steps` are to be taken.
    `labels`: int32 (steps, batch size), None without a label loss.
    """

    pixels: jax.Array
    steps: Any
    labels: jax.Array | None


class EpochSharded:
    """Trains for an epoch with other processes, in memory or streamed: one call for each chunk.

    The order of the images is that of one process. Of the images, a process reads those that its
    devices train on, or evaluate.
    """

    def __init__(
        self,
        step: TrainStep,
        dataset: Dataset,
        state: TrainState,
        layout: ShuffleLayout | None,
        graph: NeighborGraph | None,
        processes: "Processes",
    ) -> None:
        self._step, self._dataset, self._layout = step, dataset, layout
        self._processes = processes
        self._neighbors = None if graph is None else graph.neighbors
        self._variance = None if graph is None else np.float32(graph.variance)
        self._labels = training_labels(dataset, step.config)
        self._seed = np.uint32(step.config.seed)
        self._steps = self._steps_of_chunk()
        self._order: Callable[..., Any] | None = None
        if layout is None:
            neighborhood = Neighborhood.of(graph)
            order = jax.jit(EpochFunction(step).batches).lower(
                neighborhood, np.uint32(1), self._seed
            )
            program = order.compile()
            self._order = lambda epoch: program(neighborhood, epoch, self._seed)
        like = self._empty_chunk()
        self._program = compiled(
            self._train_chunk,
            {"program": "chunk", **step.key},
            state,
            like._replace(steps=np.uint32(0)),
            self._variance,
            self._seed,
            donate=(0,),
        )
        self._summarize = jax.jit(self._summarize_epoch)
        self._validation = _Validation(step, dataset, keep=layout is None)

    def __call__(
        self, state: TrainState, epoch: int, partial: PartialEpoch | None, stop: Callable[[], bool]
    ) -> tuple[TrainState, EpochResult | PartialEpoch]:
        """Return the state and the results after an epoch; its number counts from 1.

        As of `EpochInMemory` or of `EpochStreamed`. `stop` involves all processes.
        """
        # The first one may have taken its time to save.
        self._processes.wait()
        step = self._step
        partial = partial or PartialEpoch(0, {}, 0)
        done, finite_steps = partial.buffers, partial.finite_steps
        sums = {term.name: partial.losses.get(term.name, 0.0) for term in step.terms}
        losses: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in sums}
        for chunk in prefetched(map(self._chunk, self._rows(epoch, done))):
            if self._layout is not None and stop():
                return state, PartialEpoch(done, sums, finite_steps)
            state, found = self._program(
                state,
                chunk._replace(steps=np.uint32(chunk.steps)),
                self._variance,
                self._seed,
            )
            # Waits for the devices: chunks must not pile up.
            values = {name: np.asarray(found[name])[: chunk.steps] for name in sums}
            for name in sums:
                losses[name].append(values[name])
                # In the order and the type in which one process sums the steps of a buffer.
                sums[name] += float(np.cumsum(values[name], dtype=np.float32)[-1:].sum())
            finite = np.isfinite(sum(values.values()))
            finite_steps += int(np.cumprod(finite).sum())
            done += 1
            if not finite.all():
                break
        of_steps = {name: np.concatenate(parts) for name, parts in losses.items()}
        validation = self._validation(state.parameters)
        means, loss, rate = self._summarize(of_steps, validation, np.uint32(epoch))
        if self._layout is not None:
            means = {name: np.float32(total / step.per_epoch) for name, total in sums.items()}
            loss = np.float32(self._validation_loss(validation))
        return state, EpochResult(means, loss, rate, np.int32(finite_steps))

    def _steps_of_chunk(self) -> int:
        step = self._step
        if self._layout is not None:
            return self._layout.buffer_rows // step.batch_size
        batch_bytes = step.group * step.batch_size * self._dataset.image_bytes
        most = self._processes.count * _CHUNK_BYTES // batch_bytes
        return max(1, min(step.per_epoch, most))

    def _rows(self, epoch: int, skip: int) -> Iterator[Numbers]:
        """Yield the training images of each chunk, (steps, group, batch size)."""
        step = self._step
        if self._layout is None:
            assert self._order is not None
            order = np.asarray(self._order(np.uint32(epoch)))
            for start in range(0, len(order), self._steps):
                yield order[start : start + self._steps]
            return
        for buffer in buffer_orders(
            step.rows,
            self._layout,
            self._neighbors,
            positives=step.group - 1,
            seed=step.config.seed,
            epoch=epoch,
            shuffle=step.config.shuffle,
            skip=skip,
        ):
            yield buffer.batches(step.batch_size)

    def _chunk(self, rows: Numbers) -> Chunk:
        """Read this process's share of a chunk."""
        split = self._step.devices.split
        padded = np.zeros((self._steps, *rows.shape[1:]), np.int64)
        padded[: len(rows)] = rows
        pixels = _Pixels(self._dataset, padded, len(rows))
        labels = None
        if self._labels is not None:
            labels = place_parts(self._labels[padded[:, 0]], split(1))
        return Chunk(place_parts(pixels, split(2)), len(rows), labels)

    def _empty_chunk(self) -> Chunk:
        """Return the shapes of a chunk."""
        step, dataset = self._step, self._dataset
        split = step.devices.split

        def like(shape: tuple[int, ...], kind: Any, axis: int) -> Any:
            return jax.ShapeDtypeStruct(shape, kind, sharding=split(axis))

        batch = step.batch_size
        pixels = (self._steps, step.group, batch, *dataset.image_shape)
        labels = None if self._labels is None else like((self._steps, batch), np.int32, 1)
        return Chunk(like(pixels, dataset.images.dtype, 2), 0, labels)

    def _train_chunk(
        self,
        state: TrainState,
        chunk: Chunk,
        variance: jax.Array | None,
        seed: jax.Array,
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """Train on a chunk; return the new state and each term of the loss by name, (steps,)."""
        step = self._step
        Carry = tuple[TrainState, dict[str, jax.Array]]

        def body(index: jax.Array, carry: Carry) -> Carry:
            state, losses = carry
            split = step.devices.split_batch
            batch = jax.lax.with_sharding_constraint(chunk.pixels[index], split)
            labels = None if chunk.labels is None else chunk.labels[index]
            state, values = step.update(state, batch, variance, seed, labels)
            return state, {name: losses[name].at[index].set(values[name]) for name in losses}

        nothing = {term.name: jnp.zeros(self._steps, jnp.float32) for term in step.terms}
        steps: Any = chunk.steps
        result: Carry = jax.lax.fori_loop(jnp.uint32(0), steps, body, (state, nothing))
        placed: Carry = jax.lax.with_sharding_constraint(result, step.devices.replicated)
        return placed

    def _summarize_epoch(
        self, losses: dict[str, jax.Array], validation: jax.Array, epoch: jax.Array
    ) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
        """Return the means of the losses, and the learning rate, as one process computes them."""
        means = {name: values.mean() for name, values in losses.items()}
        rate = self._step.learning_rate(epoch * self._step.per_epoch - 1)
        return means, self._validation_loss(validation), rate

    def _validation_loss(self, losses: Any) -> Any:
        step = self._step
        return validation_loss(losses, math.prod(step.image_shape), step.config)


class _Pixels:
    """Training images by their numbers, (steps, group, batch size), read where they are indexed.

    Steps from `steps` on are not read.
    """

    def __init__(self, dataset: Dataset, numbers: Numbers, steps: int) -> None:
        self._dataset, self._numbers, self._steps = dataset, numbers, steps
        self.shape = (*numbers.shape, *dataset.image_shape)

    def __getitem__(self, part: tuple[slice, ...]) -> Images:
        numbers = self._numbers[part[:3]]
        pixels = np.zeros((*numbers.shape, *self.shape[3:]), self._dataset.images.dtype)
        wanted = numbers[: self._steps]
        if wanted.size:
            found = read_rows(self._dataset, self._dataset.rows("train"), wanted.reshape(-1))
            pixels[: self._steps] = found.reshape(*wanted.shape, *self.shape[3:])
        return pixels


class _Rows:
    """Rows of an array from `start` on, read where they are indexed; beyond `end` they are 0."""

    def __init__(self, array: Any, start: int, count: int, end: int) -> None:
        self._array, self._start, self._end = array, start, end
        self.shape = (count, *array.shape[1:])

    def __getitem__(self, part: tuple[slice, ...]) -> npt.NDArray[Any]:
        first, last, _ = part[0].indices(self.shape[0])
        rows = np.zeros((last - first, *self.shape[1:]), self._array.dtype)
        first, last = (min(self._start + place, self._end) for place in (first, last))
        if first < last:
            rows[: last - first] = self._array[first:last]
        return rows


class _Split:
    """The images of a split, read where they are indexed."""

    def __init__(self, dataset: Dataset, name: SplitName) -> None:
        self._images, self._rows = dataset.images, dataset.rows(name)
        self.shape, self.dtype = (dataset.count(name), *dataset.image_shape), dataset.images.dtype

    def __getitem__(self, part: slice) -> Images:
        return self._images[rows_between(self._rows, part.start, part.stop)]


class _Validation:
    """Evaluates the validation split; each device has some of its rows."""

    _SPLIT: SplitName = "validation"

    def __init__(self, step: TrainStep, dataset: Dataset, *, keep: bool) -> None:
        """Take what is evaluated; `keep` it on the devices, or read it anew each time."""
        self._step, self._dataset = step, dataset
        self._count = dataset.count(self._SPLIT)
        share = math.ceil(self._count / step.devices.count)
        self._rows = step.devices.count * min(evaluation_rows(step), share)
        self._kept = list(self._rounds()) if keep else None
        self._program = jax.jit(self._evaluate)

    def __call__(self, parameters: Any) -> npt.NDArray[np.float32]:
        """Return the `image_losses` of the split, (n,) or (n, 1 + d)."""
        rounds = prefetched(self._rounds()) if self._kept is None else self._kept
        losses = [np.asarray(self._program(parameters, pixels)) for pixels in rounds]
        return np.concatenate(losses)[: self._count]

    def _rounds(self) -> Iterator[jax.Array]:
        """Read this process's share of the rows that are evaluated in one call."""
        place, images = self._step.devices.split(0), _Split(self._dataset, self._SPLIT)
        for start in range(0, self._count, self._rows):
            yield place_parts(_Rows(images, start, self._rows, self._count), place)

    def _evaluate(self, parameters: Any, pixels: jax.Array) -> jax.Array:
        """Return the losses of each row, float32 (n,) or (n, 1 + d), in all processes."""
        losses = jax.shard_map(
            lambda parameters, pixels: evaluate(self._step, parameters, pixels),
            mesh=self._step.devices.mesh,
            in_specs=(P(), P("data")),
            out_specs=P("data"),
        )(parameters, pixels)
        placed: jax.Array = jax.lax.with_sharding_constraint(losses, self._step.devices.replicated)
        return placed
