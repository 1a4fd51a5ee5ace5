"""An epoch of training as one function of arrays, ready to compile."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from aecli.config import Config, Loss
from aecli.data import Images
from aecli.errors import InputError
from aecli.model import (
    Autoencoder,
    ImageShape,
    Parameters,
    abstract_autoencoder,
    initial_parameters,
    to_unit_range,
)
from aecli.objective import far_codes, pixel_loss
from aecli.pixels import scale_of

# Rows of one product while evaluating; bounds its memory.
_EVALUATION_ROWS = 1_000


class TrainState(NamedTuple):
    """What a step changes."""

    parameters: Parameters
    optimizer: optax.OptState


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
        self.structure, _ = abstract_autoencoder(config, image_shape)
        self.schedule = learning_rate_schedule(config, self.steps)
        self.optimizer = optax.adam(self.schedule)

    def model(self, parameters: Parameters) -> Autoencoder:
        """Return the model with these parameters."""
        model: Autoencoder = nnx.merge(self.structure, parameters)
        return model

    def initial_state(self, images: Images) -> TrainState:
        """Return the state before the first epoch of training on these images."""
        mean_image = np.asarray(
            images.mean(axis=0, dtype=np.float64) / scale_of(images.dtype), np.float32
        )
        parameters = initial_parameters(self.config, mean_image)
        return TrainState(parameters, self.optimizer.init(parameters))

    def __call__(
        self, state: TrainState, images: jax.Array, validation: jax.Array, epoch: jax.Array
    ) -> tuple[TrainState, tuple[jax.Array, jax.Array, jax.Array]]:
        """Train for one epoch.

        Args:
            state: from `initial_state` or the epoch before.
            images: the training images, pixels (n, h, w, c).
            validation: the validation images, pixels (m, h, w, c).
            epoch: its number from 1, uint32.

        Returns:
            The new state, and float32 scalars: the mean of the train loss over the steps, the
            validation loss after the last step, and the learning rate of the last step.

        """

        def step(state: TrainState, rows: jax.Array) -> tuple[TrainState, jax.Array]:
            batch = jax.lax.with_sharding_constraint(images[rows], self.split_over_devices)
            gradients, loss = jax.grad(self.loss, has_aux=True)(state.parameters, batch)
            # optax mixes dtypes in Adam's bias correction; the tests allow it nowhere else.
            with jax.numpy_dtype_promotion("standard"):
                updates, optimizer = self.optimizer.update(gradients, state.optimizer)
            return TrainState(optax.apply_updates(state.parameters, updates), optimizer), loss

        state, losses = jax.lax.scan(step, state, self.batches(epoch))
        validation_losses = image_losses(
            self.model(state.parameters), validation, config=self.config, loss=self.config.loss
        )
        learning_rate = self.schedule(epoch * self.steps - 1)
        return state, (losses.mean(), validation_losses.mean(), learning_rate)

    def batches(self, epoch: jax.Array) -> jax.Array:
        """Return the rows of each batch of an epoch, int32 (steps, batch size)."""
        order = jnp.arange(self.rows)
        if self.config.shuffle:
            key = jax.random.fold_in(jax.random.key(self.config.seed), epoch)
            order = jax.random.permutation(key, order)
        return order[: self.images_seen].reshape(self.steps, self.batch_size)

    def loss(self, parameters: Parameters, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return what is minimized over a batch, pixels (n, h, w, c), and its loss alone."""
        losses, codes = _pixel_losses(self.model(parameters), batch, self.config, self.config.loss)
        loss = losses.mean()
        return loss + self.config.code_penalty * far_codes(codes), loss


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
    model: Autoencoder, pixels: jax.Array, config: Config, loss: Loss
) -> tuple[jax.Array, jax.Array]:
    """Return the loss of each pixel of images (n, h, w, c), and the codes (n, d)."""
    images = to_unit_range(pixels)
    codes = model.encoder(images)
    return pixel_loss(model.decoder.logits(codes), images, loss, config.output), codes


def image_losses(model: Autoencoder, pixels: jax.Array, config: Config, loss: Loss) -> jax.Array:
    """Return the mean loss of each of the images (n, h, w, c), float32 (n,)."""

    def of_image(image: jax.Array) -> jax.Array:
        return _pixel_losses(model, image[jnp.newaxis], config, loss)[0].mean()

    losses: jax.Array = jax.lax.map(of_image, pixels, batch_size=_EVALUATION_ROWS)
    return losses
