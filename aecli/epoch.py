"""An epoch of training: one compiled call on data in memory, one a window on streamed data."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from aecli.config import Config, Loss, SplitName
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.memory import BegunEpoch, Layout
from aecli.objective import far_codes, pixel_loss
from aecli.parameters import ImageShape, Parameters, initial_parameters
from aecli.programs import compiled
from aecli.stream import prefetched, windows

if TYPE_CHECKING:
    from aecli.model import Autoencoder

# Rows of one product while evaluating, and the bytes that they may have as float32.
_EVALUATION_ROWS = 1_000
_EVALUATION_BYTES = 8_000_000


class TrainState(NamedTuple):
    """What a step changes."""

    parameters: Parameters
    optimizer: optax.OptState


Scalar = jax.Array | np.generic


class EpochLosses(NamedTuple):
    """What an epoch gives: float32 scalars, but for the last.

    The mean of the train loss over the steps, the validation loss after the last step, the learning
    rate of the last step, and how many steps went by before a loss that was not finite.
    """

    train: Scalar
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
        self.split_over_devices = NamedSharding(mesh, P("data"))
        self.replicated = NamedSharding(mesh, P())
        self.schedule = learning_rate_schedule(config, self.steps)
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
        from aecli.model import autoencoder

        return autoencoder(self.config, self.image_shape, parameters)

    def initial_state(self, mean_image: npt.NDArray[np.float64]) -> TrainState:
        """Return the state before the first epoch; `mean_image`: (h, w, c) in 0..1."""
        parameters = initial_parameters(self.config, mean_image.astype(np.float32))
        # What Adam begins with is 0; jax would compile a program for each shape to say so.
        shapes = jax.eval_shape(self.optimizer.init, parameters)
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        return TrainState(parameters, zeros)

    def __call__(
        self,
        state: TrainState,
        images: jax.Array,
        validation: jax.Array,
        epoch: jax.Array,
        seed: jax.Array,
    ) -> tuple[TrainState, EpochLosses]:
        """Train for one epoch.

        Args:
            state: from `initial_state` or the epoch before.
            images: the training images, pixels (n, h, w, c).
            validation: the validation images, pixels (m, h, w, c).
            epoch: its number from 1, uint32.
            seed: of the order of the images, uint32.

        Returns:
            The new state and the losses.

        """
        state, losses = jax.lax.scan(
            lambda state, rows: self.step(state, images, rows), state, self.batches(epoch, seed)
        )
        validation_losses = self.image_losses(state.parameters, validation, self.config.loss)
        learning_rate = self.schedule(epoch * self.steps - 1)
        finite_steps = jnp.cumprod(jnp.isfinite(losses).astype(jnp.int32)).sum()
        return state, EpochLosses(
            losses.mean(), validation_losses.mean(), learning_rate, finite_steps
        )

    def window(
        self, state: TrainState, images: jax.Array, batches: jax.Array, steps: jax.Array
    ) -> tuple[TrainState, jax.Array, jax.Array]:
        """Train on the first `steps` batches of a window, rows (steps, batch size) of `images`.

        Returns the new state, the sum of the train loss over the steps, float32, and for how many
        of them it was finite, int32.
        """
        Carry = tuple[TrainState, jax.Array, jax.Array]

        def body(index: jax.Array, carry: Carry) -> Carry:
            state, total, finite_steps = carry
            state, loss = self.step(state, images, batches[index])
            total += loss
            return state, total, finite_steps + jnp.isfinite(total).astype(jnp.int32)

        result: Carry = jax.lax.fori_loop(
            jnp.uint32(0), steps, body, (state, jnp.float32(0), jnp.int32(0))
        )
        return result

    def step(
        self, state: TrainState, images: jax.Array, rows: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        """Update the state with the batch of these rows of `images`; return it and the loss."""
        batch = jax.lax.with_sharding_constraint(images[rows], self.split_over_devices)
        gradients, loss = jax.grad(self.loss, has_aux=True)(state.parameters, batch)
        # optax mixes dtypes in Adam's bias correction; the tests allow it nowhere else.
        with jax.numpy_dtype_promotion("standard"):
            updates, optimizer = self.optimizer.update(gradients, state.optimizer)
        return TrainState(optax.apply_updates(state.parameters, updates), optimizer), loss

    def batches(self, epoch: jax.Array, seed: jax.Array) -> jax.Array:
        """Return the rows of each batch of an epoch, int32 (steps, batch size)."""
        order = jnp.arange(self.rows)
        if self.config.shuffle:
            key = jax.random.fold_in(jax.random.key(seed), epoch)
            order = jax.random.permutation(key, order)
        return order[: self.images_seen].reshape(self.steps, self.batch_size)

    def loss(self, parameters: Parameters, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return what is minimized over a batch, pixels (n, h, w, c), and its loss alone."""
        losses, codes = _pixel_losses(self.model(parameters), batch, self.config, self.config.loss)
        loss = losses.mean()
        return loss + self.config.code_penalty * far_codes(codes), loss

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
        image_bytes = 4 * math.prod(self.image_shape)
        return max(1, min(_EVALUATION_ROWS, _EVALUATION_BYTES // image_bytes))


class EpochInMemory:
    """Trains for an epoch on images that lie on the device: one compiled call."""

    def __init__(self, function: EpochFunction, dataset: Dataset, state: TrainState) -> None:
        self._images, self._validation = (
            jax.device_put(dataset.split(split).images, function.replicated)
            for split in ("train", "validation")
        )
        self._seed = np.uint32(function.config.seed)
        self._program = compiled(
            function,
            {"program": "epoch", **function.about},
            state,
            self._images,
            self._validation,
            np.uint32(1),
            self._seed,
            donate=(0,),
        )

    def __call__(
        self, state: TrainState, epoch: int, begun: BegunEpoch | None, stop: Callable[[], bool]
    ) -> tuple[TrainState, EpochLosses]:
        """Return the state and the losses after an epoch; its number counts from 1.

        It is one step to the outside: it never stops within.
        """
        result: tuple[TrainState, EpochLosses] = self._program(
            state, self._images, self._validation, np.uint32(epoch), self._seed
        )
        return result


class EpochStreamed:
    """Trains for an epoch on images that pass through memory: one compiled call a window."""

    def __init__(
        self, function: EpochFunction, dataset: Dataset, state: TrainState, layout: Layout
    ) -> None:
        self._function, self._dataset, self._layout = function, dataset, layout
        self._evaluation = Evaluation(function)
        batches = (layout.window_rows // function.batch_size, function.batch_size)
        images = (layout.window_rows, *dataset.image_shape)
        self._program = compiled(
            function.window,
            {"program": "window", **function.about},
            state,
            jax.ShapeDtypeStruct(images, dataset.images.dtype, sharding=function.replicated),
            jax.ShapeDtypeStruct(batches, np.int32, sharding=function.replicated),
            np.uint32(0),
            donate=(0,),
        )
        self._learning_rate = compiled(
            function.schedule, {"program": "learning rate", **function.about}, np.uint32(0)
        )

    def __call__(
        self, state: TrainState, epoch: int, begun: BegunEpoch | None, stop: Callable[[], bool]
    ) -> tuple[TrainState, EpochLosses | BegunEpoch]:
        """Return the state and the losses after an epoch; its number counts from 1.

        `begun` is what it has of this epoch already. Where `stop` ends it after a window, what it
        has then takes the place of the losses.
        """
        function, config = self._function, self._function.config
        begun = begun or BegunEpoch(0, 0.0, 0)
        done, total, finite_steps = begun.windows, begun.loss, begun.finite_steps
        for images, batches, steps in prefetched(
            windows(
                self._dataset,
                self._layout,
                function.batch_size,
                seed=config.seed,
                epoch=epoch,
                shuffle=config.shuffle,
                skip=done,
            )
        ):
            if stop():
                return state, BegunEpoch(done, total, finite_steps)
            state, loss, finite = self._program(
                state, *jax.device_put((images, batches), function.replicated), np.uint32(steps)
            )
            # Waits for the device: windows must not pile up.
            total += float(loss)
            finite_steps += int(finite)
            done += 1
            if not math.isfinite(total):
                break
        validation = self._evaluation.mean_loss(
            state.parameters, self._dataset, "validation", config.loss
        )
        return state, EpochLosses(
            np.float32(total / function.steps),
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


def learning_rate_schedule(config: Config, steps_an_epoch: int) -> optax.Schedule:
    """Return the learning rate, float32, as a function of the step, from 0.

    `cosine` falls from the learning rate to 0 along half a cosine. `one-cycle` rises to it from a
    25th over the first 30 % of the steps, and falls to a 250,000th, both along half a cosine
    (Smith and Topin, *Super-convergence*, 2018, with the proportions of fast.ai's version).
    """
    peak, steps = config.learning_rate, config.epochs * steps_an_epoch
    rise = 0.3 * steps

    def along_cosine(start: float, end: float, share: jax.Array) -> jax.Array:
        return end + (start - end) * (1 + jnp.cos(jnp.pi * share)) / 2

    def schedule(step: jax.Array) -> jax.Array:
        now = jnp.asarray(step, jnp.float32)
        if config.schedule == "constant":
            return jnp.full_like(now, peak)
        if config.schedule == "cosine":
            return along_cosine(peak, 0, now / steps)
        return jnp.where(
            now < rise,
            along_cosine(peak / 25, peak, now / rise),
            along_cosine(peak, peak / 250_000, (now - rise) / (steps - rise)),
        )

    return schedule


def _pixel_losses(
    model: "Autoencoder", pixels: jax.Array, config: Config, loss: Loss
) -> tuple[jax.Array, jax.Array]:
    """Return the loss of each pixel of images (n, h, w, c), and the codes (n, d)."""
    from aecli.model import to_unit_range

    images = to_unit_range(pixels)
    codes = model.encoder(images)
    return pixel_loss(model.decoder.logits(codes), images, loss, config.output), codes
