"""An epoch of training: one compiled call on data in memory, one a window on streamed data."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from aecli.compile_cache import compiled
from aecli.config import Config, Loss, SplitName
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.losses import POSITIVES, latent_norm_penalty, neighbor_loss, pixel_loss
from aecli.memory import PartialEpoch, ShuffleLayout
from aecli.model.layers import ImageShape, most_numbers
from aecli.model.parameters import Parameters, initial_parameters
from aecli.neighbors import NeighborGraph
from aecli.schedules import learning_rate_schedule, neighbor_weight_schedule
from aecli.train.stream import prefetched, shuffle_buffers

if TYPE_CHECKING:
    from aecli.model.autoencoder import Autoencoder

# Rows of one product while evaluating, and the bytes that they may have as float32.
_EVALUATION_ROWS = 1_000
_EVALUATION_BYTES = 8_000_000


class TrainState(NamedTuple):
    """What a step changes."""

    parameters: Parameters
    optimizer: optax.OptState


Scalar = jax.Array | np.generic


class Neighborhood(NamedTuple):
    """What the loss knows of the training images beside their pixels; arrays, or their shapes.

    `neighbors`: int32 (n, k), rows of the training images. `variance`: float32, of a pixel.
    """

    neighbors: Any
    variance: Any


class EpochLosses(NamedTuple):
    """What an epoch gives: float32 scalars, but for the last.

    The means of the train and of the neighbour loss over the steps, the validation loss after the
    last step, the learning rate of the last step, and how many steps went by before a loss that
    was not finite.
    """

    train: Scalar
    neighbor: Scalar
    validation: Scalar
    learning_rate: Scalar
    finite_steps: Scalar


class EpochFunction:
    """One pass over the training images and one over the validation images, ready to compile.

    A last batch that is not full is left out. The order of the images is a pure function of the
    seed and the epoch. Parameters are replicated over the mesh, batches split.

    Raises:
        InputError: the batch size does not fit the devices of the mesh.

    """

    def __init__(self, config: Config, image_shape: ImageShape, rows: int, mesh: Mesh) -> None:
        devices = mesh.size
        if config.batch_size % devices:
            raise InputError(
                f"--batch-size {config.batch_size} cannot be split evenly over {devices} devices"
            )
        if rows < devices:
            raise InputError(f"{rows} training images are too few for {devices} devices")
        self.config = config
        self.image_shape = image_shape
        self.rows = rows
        self.batch_size = min(config.batch_size, rows) // devices * devices
        self.steps = rows // self.batch_size
        self.images_seen = self.steps * self.batch_size
        # A batch has so many rows for each of its images: the image, and neighbours of it.
        self.group = 1 + POSITIVES if config.neighbor_weight else 1
        self.split_over_devices = NamedSharding(mesh, P(None, "data"))
        self.replicated = NamedSharding(mesh, P())
        self.schedule = learning_rate_schedule(config, self.steps)
        self.neighbor_schedule = neighbor_weight_schedule(config, self.steps)
        self.optimizer = optax.adam(self.schedule)

    @property
    def about(self) -> dict[str, Any]:
        """What its programs depend on, beside their arguments, in JSON's types."""
        # The seed is an argument; the others say when to stop, or where settings came from.
        others = ("seed", "patience", "recipe")
        config = {k: v for k, v in self.config.to_json().items() if k not in others}
        return {"config": config, "image_shape": self.image_shape, "rows": self.rows}

    def model(self, parameters: Parameters) -> "Autoencoder":
        """Return the model with these parameters."""
        from aecli.model.autoencoder import autoencoder

        return autoencoder(self.config, self.image_shape, parameters)

    def initial_state(
        self, mean_image: npt.NDArray[np.float64], seed: int | None = None
    ) -> TrainState:
        """Return the state before the first epoch; `mean_image`: (h, w, c) in 0..1.

        `seed` takes the place of the config's.
        """
        config = self.config if seed is None else replace(self.config, seed=seed)
        parameters = initial_parameters(config, mean_image.astype(np.float32))
        # What Adam begins with is 0; jax would compile a program for each shape to say so.
        shapes = jax.eval_shape(self.optimizer.init, parameters)
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        return TrainState(parameters, zeros)

    def __call__(
        self,
        state: TrainState,
        images: jax.Array,
        neighborhood: Neighborhood | None,
        validation: jax.Array,
        epoch: jax.Array,
        seed: jax.Array,
    ) -> tuple[TrainState, EpochLosses]:
        """Train for one epoch.

        Args:
            state: from `initial_state` or the epoch before.
            images: the training images, pixels (n, h, w, c).
            neighborhood: of these images; None without a neighbour loss.
            validation: the validation images, pixels (m, h, w, c).
            epoch: its number from 1, uint32.
            seed: of the order of the images, uint32.

        Returns:
            The new state and the losses.

        """
        batches = self.batches(neighborhood, epoch, seed)
        variance = neighborhood and neighborhood.variance
        state, (losses, neighbor_losses) = jax.lax.scan(
            lambda state, rows: self.step(state, images, variance, rows), state, batches
        )
        validation_losses = self.image_losses(state.parameters, validation, self.config.loss)
        learning_rate = self.schedule(epoch * self.steps - 1)
        finite_steps = jnp.cumprod(jnp.isfinite(losses).astype(jnp.int32)).sum()
        return state, EpochLosses(
            losses.mean(),
            neighbor_losses.mean(),
            validation_losses.mean(),
            learning_rate,
            finite_steps,
        )

    def window(
        self,
        state: TrainState,
        images: jax.Array,
        variance: jax.Array | None,
        batches: jax.Array,
        steps: jax.Array,
    ) -> tuple[TrainState, jax.Array, jax.Array, jax.Array]:
        """Train on the first `steps` batches of a window, (steps, group, batch size) of `images`.

        Returns the new state, the sums of the train and of the neighbour loss over the steps,
        float32, and for how many of them the first was finite, int32.
        """
        Carry = tuple[TrainState, jax.Array, jax.Array, jax.Array]

        def body(index: jax.Array, carry: Carry) -> Carry:
            state, total, neighbor_total, finite_steps = carry
            state, (loss, neighbor) = self.step(state, images, variance, batches[index])
            total += loss
            finite_steps += jnp.isfinite(total).astype(jnp.int32)
            return state, total, neighbor_total + neighbor, finite_steps

        nothing = (jnp.float32(0), jnp.float32(0), jnp.int32(0))
        result: Carry = jax.lax.fori_loop(jnp.uint32(0), steps, body, (state, *nothing))
        return result

    def step(
        self, state: TrainState, images: jax.Array, variance: jax.Array | None, rows: jax.Array
    ) -> tuple[TrainState, tuple[jax.Array, jax.Array]]:
        """Update the state with the batch of these rows (group, batch size) of `images`.

        `variance` is that of a pixel, or None without a neighbour loss. Returns the state, and the
        train and the neighbour loss.
        """
        batch = jax.lax.with_sharding_constraint(images[rows], self.split_over_devices)
        weight = None
        if variance is not None:
            # In units of the variance of a pixel a weight means the same for pale images as for
            # those of high contrast.
            weight = variance * self.neighbor_schedule(state.optimizer[-1].count)
        gradients, losses = jax.grad(self.loss, has_aux=True)(state.parameters, batch, weight)
        # optax mixes dtypes in Adam's bias correction; the tests allow it nowhere else.
        with jax.numpy_dtype_promotion("standard"):
            updates, optimizer = self.optimizer.update(gradients, state.optimizer)
        return TrainState(optax.apply_updates(state.parameters, updates), optimizer), losses

    def batches(
        self, neighborhood: Neighborhood | None, epoch: jax.Array, seed: jax.Array
    ) -> jax.Array:
        """Return the rows of each batch of an epoch, int32 (steps, group, batch size).

        The first of a group are the images, once an epoch; the others are neighbours of theirs.
        """
        order = jnp.arange(self.rows)
        key = jax.random.fold_in(jax.random.key(seed), epoch)
        if self.config.shuffle:
            order = jax.random.permutation(key, order)
        rows = order[: self.images_seen].reshape(self.steps, 1, self.batch_size)
        if neighborhood is None:
            return rows
        shape = (self.steps, self.group - 1, self.batch_size)
        chosen = jax.random.randint(
            jax.random.fold_in(key, 1), shape, 0, neighborhood.neighbors.shape[1]
        )
        partners = neighborhood.neighbors[jnp.broadcast_to(rows, shape), chosen]
        return jnp.concatenate([rows, partners], axis=1)

    def loss(
        self, parameters: Parameters, batch: jax.Array, weight: jax.Array | None
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Return what is minimized over a batch, and its loss and its neighbour loss alone.

        `batch`: pixels (group, n, h, w, c), the images and neighbours of theirs. `weight` is that
        of the neighbour loss, or None where there is none.
        """
        config, model = self.config, self.model(parameters)
        losses, codes = _pixel_losses(model, batch[0], config, config.loss)
        loss = losses.mean()
        minimized = loss + config.code_penalty * latent_norm_penalty(codes)
        if weight is None:
            return minimized, (loss, jnp.float32(0))
        partners = _encode(model, batch[1:].reshape(-1, *self.image_shape))
        neighbor = neighbor_loss(codes, partners.reshape(len(batch) - 1, *codes.shape))
        return minimized + weight * neighbor, (loss, neighbor)

    def image_losses(self, parameters: Parameters, pixels: jax.Array, loss: Loss) -> jax.Array:
        """Return the mean loss of each of the images (n, h, w, c), float32 (n,)."""
        model = self.model(parameters)

        def of_image(image: jax.Array) -> jax.Array:
            return _pixel_losses(model, image[jnp.newaxis], self.config, loss)[0].mean()

        losses: jax.Array = jax.lax.map(of_image, pixels, batch_size=self.evaluation_rows)
        return losses

    @property
    def evaluation_rows(self) -> int:
        """How many images are evaluated at a time."""
        row_bytes = 4 * most_numbers(self.config, self.image_shape)
        return max(1, min(_EVALUATION_ROWS, _EVALUATION_BYTES // row_bytes))


class EpochInMemory:
    """Trains for an epoch on images that lie on the device: one compiled call."""

    def __init__(
        self,
        function: EpochFunction,
        dataset: Dataset,
        state: TrainState,
        graph: NeighborGraph | None,
    ) -> None:
        self._images, self._validation = (
            jax.device_put(dataset.split(split).images, function.replicated)
            for split in ("train", "validation")
        )
        self._neighborhood = (
            None
            if graph is None
            else jax.device_put(
                Neighborhood(graph.neighbors, np.float32(graph.variance)), function.replicated
            )
        )
        self._seed = np.uint32(function.config.seed)
        self._program = compiled(
            function,
            {"program": "epoch", **function.about},
            state,
            self._images,
            self._neighborhood,
            self._validation,
            np.uint32(1),
            self._seed,
            donate=(0,),
        )

    def __call__(
        self, state: TrainState, epoch: int, begun: PartialEpoch | None, stop: Callable[[], bool]
    ) -> tuple[TrainState, EpochLosses]:
        """Return the state and the losses after an epoch; its number counts from 1.

        It is one step to the outside: it never stops within.
        """
        result: tuple[TrainState, EpochLosses] = self._program(
            state,
            self._images,
            self._neighborhood,
            self._validation,
            np.uint32(epoch),
            self._seed,
        )
        return result


class EpochStreamed:
    """Trains for an epoch on images that pass through memory: one compiled call a window."""

    def __init__(
        self,
        function: EpochFunction,
        dataset: Dataset,
        state: TrainState,
        layout: ShuffleLayout,
        graph: NeighborGraph | None,
    ) -> None:
        self._function, self._dataset, self._layout = function, dataset, layout
        self._neighbors = None if graph is None else graph.neighbors
        self._variance = None if graph is None else np.float32(graph.variance)
        self._evaluation = Evaluation(function)
        steps = layout.buffer_rows // function.batch_size
        batches = (steps, function.group, function.batch_size)
        images = (function.group * layout.buffer_rows, *dataset.image_shape)
        self._program = compiled(
            function.window,
            {"program": "window", **function.about},
            state,
            jax.ShapeDtypeStruct(images, dataset.images.dtype, sharding=function.replicated),
            self._variance,
            jax.ShapeDtypeStruct(batches, np.int32, sharding=function.replicated),
            np.uint32(0),
            donate=(0,),
        )
        self._learning_rate = compiled(
            function.schedule, {"program": "learning rate", **function.about}, np.uint32(0)
        )

    def __call__(
        self, state: TrainState, epoch: int, begun: PartialEpoch | None, stop: Callable[[], bool]
    ) -> tuple[TrainState, EpochLosses | PartialEpoch]:
        """Return the state and the losses after an epoch; its number counts from 1.

        `begun` is what it has of this epoch already. Where `stop` ends it after a window, what it
        has then takes the place of the losses.
        """
        function, config = self._function, self._function.config
        begun = begun or PartialEpoch(0, 0.0, 0.0, 0)
        done, finite_steps = begun.buffers, begun.finite_steps
        total, neighbor_total = begun.loss, begun.neighbor_loss
        for images, batches, steps in prefetched(
            shuffle_buffers(
                self._dataset,
                self._layout,
                function.batch_size,
                self._neighbors,
                partners=function.group - 1,
                seed=config.seed,
                epoch=epoch,
                shuffle=config.shuffle,
                skip=done,
            )
        ):
            if stop():
                return state, PartialEpoch(done, total, neighbor_total, finite_steps)
            images, batches = jax.device_put((images, batches), function.replicated)
            state, loss, neighbor_loss, finite = self._program(
                state, images, self._variance, batches, np.uint32(steps)
            )
            # Waits for the device: buffers must not pile up.
            total += float(loss)
            neighbor_total += float(neighbor_loss)
            finite_steps += int(finite)
            done += 1
            if not math.isfinite(total):
                break
        validation = self._evaluation.mean_loss(
            state.parameters, self._dataset, "validation", config.loss
        )
        return state, EpochLosses(
            np.float32(total / function.steps),
            np.float32(neighbor_total / function.steps),
            np.float32(validation),
            self._learning_rate(np.uint32(epoch * function.steps - 1)),
            np.int32(finite_steps),
        )


class Evaluation:
    """Evaluates parameters on a split, some rows at a time."""

    def __init__(self, function: EpochFunction) -> None:
        self._function = function
        # Two for a loss: for all full batches, and for what is left.
        self._programs: dict[tuple[Loss, int], Callable[..., jax.Array]] = {}

    def mean_loss(
        self, parameters: Parameters, dataset: Dataset, split: SplitName, loss: Loss
    ) -> float:
        """Return the mean over the pixels of a split."""
        function = self._function
        parameters = jax.device_put(parameters, function.replicated)
        losses = []
        for batch in prefetched(dataset.batches(split, function.evaluation_rows)):
            if (loss, len(batch)) not in self._programs:
                self._programs[loss, len(batch)] = compiled(
                    partial(function.image_losses, loss=loss),
                    {"program": "losses", "loss": loss, **function.about},
                    parameters,
                    batch,
                )
            losses.append(np.asarray(self._programs[loss, len(batch)](parameters, batch)))
        return float(np.concatenate(losses).mean())


def _pixel_losses(
    model: "Autoencoder", pixels: jax.Array, config: Config, loss: Loss
) -> tuple[jax.Array, jax.Array]:
    """Return the loss of each pixel of images (n, h, w, c), and the codes (n, d)."""
    from aecli.model.autoencoder import to_unit_range

    images = to_unit_range(pixels)
    codes = model.encoder(images)
    return pixel_loss(model.decoder.logits(codes), images, loss, config.output), codes


def _encode(model: "Autoencoder", pixels: jax.Array) -> jax.Array:
    from aecli.model.autoencoder import to_unit_range

    codes: jax.Array = model.encoder(to_unit_range(pixels))
    return codes
