"""One training step: a batch, the terms of its loss, and one update of the parameters."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt
import optax

from aecli.config import Config
from aecli.device import Devices
from aecli.errors import InputError
from aecli.losses import Forward, loss_terms, weighted_sum
from aecli.model import network
from aecli.model.layers import ImageShape
from aecli.model.parameters import Parameters, initial_parameters
from aecli.model.sizes import refuse_training_beyond_memory
from aecli.noise import parse_noise
from aecli.schedules import learning_rate_schedule

if TYPE_CHECKING:
    from aecli.model.autoencoder import Autoencoder

# Epochs count from 1 and fold the order of the images from the seed; this folds the keys of steps.
_KEYS_OF_STEPS = 0
# Folds the key of the noise from that of a step.
_NOISE = 0x4E4F4953
# Of the key of a step: folds the key of the codes that are drawn in it.
_KEY_OF_SAMPLES = 7
# Adam counts steps, and the steps' keys are told apart, in int32.
_MOST_STEPS = 2**31 - 1


class TrainState(NamedTuple):
    """Parameters and optimizer state."""

    parameters: Parameters
    optimizer: optax.OptState


class TrainStep:
    """One update from one batch, as a pure function to compile.

    A last batch that is not full is left out of an epoch. Parameters are replicated over the
    devices, batches split.

    Raises:
        InputError: the batch size or the number of training images does not fit the devices, or
            there are too many steps to count.

    """

    def __init__(
        self, config: Config, image_shape: ImageShape, rows: int, devices: Devices | None = None
    ) -> None:
        self.devices = devices or Devices()
        count = self.devices.count
        if config.batch_size % count:
            raise InputError(
                f"--batch-size {config.batch_size} cannot be split evenly over {count} devices"
            )
        if rows < count:
            raise InputError(f"{rows} training images are too few for {count} devices")
        self.config = config
        self.image_shape = image_shape
        self.rows = rows
        self.batch_size = min(config.batch_size, rows) // count * count
        self.per_epoch = rows // self.batch_size
        self.images_per_epoch = self.per_epoch * self.batch_size
        if config.epochs * self.per_epoch > _MOST_STEPS:
            raise InputError(
                f"--epochs {config.epochs} of {self.per_epoch:,} steps each are more than "
                f"{_MOST_STEPS:,} steps: expected fewer, or a larger --batch-size"
            )
        self.terms = loss_terms(config, self.per_epoch)
        self.noise = parse_noise(config.noise)
        # Whether pixels stay in 0..1 when noise is added.
        self.clips = network(config, image_shape).clips
        # Rows in a batch for each of its images: the image, and neighbours of it.
        self.group = 1 + max(term.positives for term in self.terms)
        self.learning_rate = learning_rate_schedule(config, self.per_epoch)
        self.optimizer = optax.adam(self.learning_rate)

    @property
    def key(self) -> dict[str, Any]:
        """What its programs depend on besides their arguments, in JSON's types."""
        settings = self.config.affecting("model", "training")
        return {"config": settings, "image_shape": self.image_shape, "rows": self.rows}

    def refuse_beyond_memory(self, *, pixels: int = 0, seeds: int = 1) -> None:
        """Raise `InputError` where training would take more memory than is free.

        `pixels`: the bytes that the images take, besides. `seeds`: trainings at the same time.
        """
        refuse_training_beyond_memory(
            self.config,
            self.image_shape,
            self.batch_size,
            self.group,
            on_host=jax.default_backend() == "cpu",
            pixels=pixels,
            seeds=seeds,
        )

    def model(self, parameters: Parameters, *, trains: bool = False) -> "Autoencoder":
        """Return the model with these parameters; one that `trains` computes in its precision."""
        from aecli.model.autoencoder import autoencoder

        rounds = trains and self.config.precision == "bf16"
        return autoencoder(self.config, self.image_shape, parameters, rounds=rounds)

    def initial_state(
        self, mean_image: npt.NDArray[np.float64], seed: int | None = None
    ) -> TrainState:
        """Return the state before the first step; `mean_image`: (h, w, c) in 0..1.

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
        pixel_variance: jax.Array | None,
        rows: jax.Array,
        seed: jax.Array,
        labels: jax.Array | None = None,
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """Update the state from one batch.

        Args:
            state: parameters and optimizer state.
            images: pixels (n, h, w, c).
            pixel_variance: float32, of the training images; None without a neighbour loss.
            rows: int32 (group, batch size), the rows of `images` in the batch: those of the images
                first, then neighbours of each.
            seed: uint32, of the random key of the step.
            labels: int32 (n,), of the images that are in batches themselves, `UNKNOWN` where nobody
                knows the class; None without a label loss.

        Returns:
            The new state, and the value of each term of the loss by name, float32 scalars.

        """
        batch = jax.lax.with_sharding_constraint(images[rows], self.devices.split_batch)
        labels = None if labels is None else labels[rows[0]]
        return self.update(state, batch, pixel_variance, seed, labels)

    def update(
        self,
        state: TrainState,
        batch: jax.Array,
        pixel_variance: jax.Array | None,
        seed: jax.Array,
        labels: jax.Array | None,
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """Update the state from a batch whose arrays are those of `loss`."""
        step = state.optimizer[-1].count
        gradients, losses = jax.grad(self.loss, has_aux=True)(
            state.parameters, batch, pixel_variance, step, self.random_key(seed, step), labels
        )
        # optax mixes dtypes in Adam's bias correction; the tests allow it nowhere else.
        with jax.numpy_dtype_promotion("standard"):
            updates, optimizer = self.optimizer.update(gradients, state.optimizer)
        return TrainState(optax.apply_updates(state.parameters, updates), optimizer), losses

    @staticmethod
    def random_key(seed: jax.Array, step: jax.Array) -> jax.Array:
        """Return the random key of a step: a function of the seed and the step, from 0."""
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _KEYS_OF_STEPS), step)

    def loss(
        self,
        parameters: Parameters,
        batch: jax.Array,
        pixel_variance: jax.Array | None,
        step: jax.Array,
        key: jax.Array,
        labels: jax.Array | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Return what is minimized over a batch, pixels (group, n, h, w, c), and each term.

        `labels`: int32 (n,), None without a label loss.
        """
        from aecli.model.autoencoder import to_unit_range

        model = self.model(parameters, trains=True)
        images = to_unit_range(batch[0])
        seen = images
        if self.noise is not None:
            seen = self.noise.spoil(images, jax.random.fold_in(key, _NOISE), clip=self.clips)
        if model.encoder.spread is None:
            gaussians, codes = None, model.encoder(seen)
            decoded = codes
        else:
            gaussians = model.encoder.gaussians(seen)
            codes = gaussians.means
            noise = jax.random.normal(jax.random.fold_in(key, _KEY_OF_SAMPLES), codes.shape)
            decoded = gaussians.sample(noise)
        positives = None
        if self.group > 1:
            neighbors, several = batch[1:], self.devices.count > 1
            if several:
                neighbors = _swapped(neighbors)
            places = neighbors.shape[:2]
            neighbors = to_unit_range(neighbors.reshape(-1, *self.image_shape))
            positives = model.encoder(neighbors).reshape(*places, codes.shape[1])
            if several:
                positives = _swapped(positives)
        logits = model.decoder.logits(decoded)
        forward = Forward(images, codes, logits, positives, pixel_variance, key, labels, gaussians)
        return weighted_sum(self.terms, step, forward)


def _swapped(arrays: jax.Array) -> jax.Array:
    """Return arrays (group, n, ...) as (n, group, ...), or the other way round.

    Where each device has some of the n, both axes become one on each device for itself in this
    order alone: in the other, all devices would compute with all rows.
    """
    return arrays.swapaxes(0, 1)
