"""Training: one compiled call an epoch, and the loop around it that saves, stops and resumes."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from aecli import files
from aecli.checkpoint import Best, Checkpoint, flatten, save, unflatten
from aecli.config import Config, Loss, flag, with_settings
from aecli.data import DataDescription, Dataset, Images
from aecli.errors import AecliError, InputError
from aecli.metrics import pca_reconstruction_error
from aecli.model import (
    Autoencoder,
    ImageShape,
    Parameters,
    abstract_autoencoder,
    initial_parameters,
    to_unit_range,
)
from aecli.objective import far_codes, pixel_loss
from aecli.runs import EpochMetrics, RunFolder

# Rows of one product while evaluating; bounds its memory.
_EVALUATION_ROWS = 1_000
# Small data sets have epochs of milliseconds: saving each of them would cost more than training.
_SECONDS_BETWEEN_SAVES = 2.0
# Settings that say when to stop, not what is computed on the way.
_CHANGED_ON_RESUME = ("epochs", "patience")


class TrainState(NamedTuple):
    """What a step changes."""

    parameters: Parameters
    optimizer: optax.OptState


@dataclass
class Progress:
    """Where a training stands, between two epochs."""

    state: TrainState
    epoch: int = 0
    best: Best = Best(0, math.inf)  # noqa: RUF009
    best_parameters: Parameters = None
    history: list[EpochMetrics] = field(default_factory=list)


@dataclass(frozen=True)
class Summary:
    """The numbers at the end of training.

    `test_mse` and `pca_mse` are mean squared errors over the pixels of the test split, of the best
    parameters and of PCA with as many dimensions fitted on the train split. `seconds` is the wall
    time of this training, compiling and saving included; `images_per_second` that of the epochs
    alone.
    """

    run: str
    epochs: int
    best_epoch: int
    parameters: int
    validation_loss: float
    test_mse: float
    pca_mse: float
    seconds: float
    images_per_second: float


def resume_config(saved: Config, settings: Mapping[str, Any], epoch: int) -> Config:
    """Return the config to go on with: the run's own, with epochs and patience as now asked for.

    `settings` are fields of `Config` that the user set now; `epoch` is how many the run has.

    Raises:
        InputError: a setting differs from the run's, or fewer epochs than it has are asked for.

    """
    wanted = with_settings(saved, settings)
    for name in (setting.name for setting in fields(Config)):
        old, new = getattr(saved, name), getattr(wanted, name)
        if old != new and name not in _CHANGED_ON_RESUME:
            raise InputError(
                f"{flag(name)} {new} differs from the run's {old}: leave it out to go on, or "
                "start another run with another -o"
            )
    if wanted.epochs < epoch:
        raise InputError(f"--epochs {wanted.epochs} is fewer than the {epoch} that the run has")
    return wanted


def train(
    dataset: Dataset,
    config: Config,
    folder: RunFolder,
    *,
    about: Mapping[str, Any],
    resume_from: Checkpoint | None = None,
    report: Callable[[EpochMetrics], None] = lambda metrics: None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary | None:
    """Train an autoencoder into a run's folder.

    Args:
        dataset: images with train, validation and test splits.
        config: the resolved settings.
        folder: where the run's files go; the first are written after the first epoch.
        about: versions, command line and the like, for `config.json`.
        resume_from: the state to go on from, instead of initial parameters.
        report: called after each epoch.
        stop: asked after each epoch; True saves and ends the training.

    Returns:
        The final numbers, or None where `stop` ended the training.

    Raises:
        InputError: the batch size does not fit the devices or the checkpoint not its config.
        AecliError: the loss is no longer finite, or a file cannot be written.

    """
    started = time.perf_counter()
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    everywhere = NamedSharding(mesh, P())
    images, validation = (
        jax.device_put(dataset.split(split).images, everywhere) for split in ("train", "validation")
    )
    epoch_function = EpochFunction(config, dataset.image_shape, len(images), mesh)
    progress = Progress(epoch_function.initial_state(dataset.split("train").images))
    if resume_from is not None:
        progress = _restore(progress.state, resume_from, folder)
    progress.state = jax.device_put(progress.state, everywhere)
    compiled = (
        jax.jit(epoch_function, donate_argnums=0)
        .lower(progress.state, images, validation, np.uint32(1))
        .compile()
    )
    save_run = partial(_save_run, folder, config, dataset.describe(), about)

    saved_at = -math.inf
    stopped = False
    while not (stopped or _ended(config, progress)):
        epoch_started = time.perf_counter()
        progress.state, losses = compiled(
            progress.state, images, validation, np.uint32(progress.epoch + 1)
        )
        train_loss, validation_loss, learning_rate = (float(value) for value in losses)
        seconds = time.perf_counter() - epoch_started
        progress.epoch += 1
        if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
            raise AecliError(
                f"the loss is not finite after epoch {progress.epoch}: the training diverged; try "
                f"--learning-rate {config.learning_rate / 10:g}"
            )
        progress.history.append(
            EpochMetrics(
                epoch=progress.epoch,
                train_loss=train_loss,
                validation_loss=validation_loss,
                learning_rate=learning_rate,
                images_per_second=epoch_function.images_seen / seconds,
                seconds=seconds,
            )
        )
        if validation_loss < progress.best.validation_loss:
            progress.best = Best(progress.epoch, validation_loss)
            progress.best_parameters = jax.device_get(progress.state.parameters)
        stopped = stop()
        now = time.perf_counter()
        if stopped or _ended(config, progress) or now - saved_at > _SECONDS_BETWEEN_SAVES:
            save_run(progress)
            saved_at = now
        report(progress.history[-1])
    if stopped:
        return None

    parameters = progress.best_parameters
    test = dataset.split("test").images
    errors = jax.jit(partial(_image_losses, config=config, loss="mse"))(
        epoch_function.model(parameters), jax.device_put(test, everywhere)
    )
    history = progress.history
    pca_mse = pca_reconstruction_error(
        _unit_rows(dataset.split("train").images), _unit_rows(test), config.latent
    )
    summary = Summary(
        run=str(folder.path),
        epochs=progress.epoch,
        best_epoch=progress.best.epoch,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(parameters)),
        validation_loss=progress.best.validation_loss,
        test_mse=float(np.mean(errors)),
        pca_mse=pca_mse,
        images_per_second=epoch_function.images_seen
        * len(history)
        / sum(metrics.seconds for metrics in history),
        seconds=time.perf_counter() - started,
    )
    files.write_json(folder.summary, vars(summary))
    return summary


class EpochFunction:
    """One pass over the training images and one over the validation images, ready to compile.

    Called with the state, the train images (n, h, w, c) and the validation images, both uint8,
    and the epoch's number from 1, it returns the new state and (train loss, validation loss,
    learning rate of the last step), float32 each. The order of the images is a pure function of
    the seed and the epoch. A last batch that is not full is left out.

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
        mean_image = np.asarray(images.mean(axis=0) / 255, np.float32)
        parameters = initial_parameters(self.config, mean_image)
        return TrainState(parameters, self.optimizer.init(parameters))

    def __call__(
        self, state: TrainState, images: jax.Array, validation: jax.Array, epoch: jax.Array
    ) -> tuple[TrainState, tuple[jax.Array, jax.Array, jax.Array]]:
        """Train for one epoch."""
        order = jnp.arange(len(images))
        if self.config.shuffle:
            key = jax.random.fold_in(jax.random.key(self.config.seed), epoch)
            order = jax.random.permutation(key, order)
        batches = order[: self.images_seen].reshape(self.steps, self.batch_size)

        def step(state: TrainState, rows: jax.Array) -> tuple[TrainState, jax.Array]:
            batch = jax.lax.with_sharding_constraint(images[rows], self.split_over_devices)
            gradients, loss = jax.grad(self.loss, has_aux=True)(state.parameters, batch)
            # optax mixes dtypes in Adam's bias correction; the tests allow it nowhere else.
            with jax.numpy_dtype_promotion("standard"):
                updates, optimizer = self.optimizer.update(gradients, state.optimizer)
            return TrainState(optax.apply_updates(state.parameters, updates), optimizer), loss

        state, losses = jax.lax.scan(step, state, batches)
        validation_losses = _image_losses(
            self.model(state.parameters), validation, config=self.config, loss=self.config.loss
        )
        learning_rate = self.schedule(epoch * self.steps - 1)
        return state, (losses.mean(), validation_losses.mean(), learning_rate)

    def loss(self, parameters: Parameters, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return what is minimized over a batch, uint8 (n, h, w, c), and its loss alone."""
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
    """Return the loss of each pixel of uint8 images (n, h, w, c), and the codes (n, d)."""
    images = to_unit_range(pixels)
    codes = model.encoder(images)
    return pixel_loss(model.decoder.logits(codes), images, loss, config.output), codes


def _image_losses(model: Autoencoder, pixels: jax.Array, config: Config, loss: Loss) -> jax.Array:
    """Return the mean loss of each of the uint8 images (n, h, w, c), float32 (n,)."""

    def of_image(image: jax.Array) -> jax.Array:
        return _pixel_losses(model, image[jnp.newaxis], config, loss)[0].mean()

    losses: jax.Array = jax.lax.map(of_image, pixels, batch_size=_EVALUATION_ROWS)
    return losses


def _unit_rows(images: Images) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32)


def _ended(config: Config, progress: Progress) -> bool:
    waited = progress.epoch - progress.best.epoch
    impatient = config.patience is not None and waited >= config.patience
    return progress.epoch >= config.epochs or impatient


def _save_run(
    folder: RunFolder,
    config: Config,
    data: DataDescription,
    about: Mapping[str, Any],
    progress: Progress,
) -> None:
    """Write the run's files; the last checkpoint alone decides where a resumed run goes on."""
    folder.summary.unlink(missing_ok=True)
    files.write_json(folder.config, {"config": config.to_json(), "data": data.to_json(), **about})
    folder.write_metrics(progress.history)
    best_parameters = flatten(progress.best_parameters, "parameters")
    best, epoch = progress.best, progress.epoch
    state = {
        **flatten(progress.state.parameters, "parameters"),
        **flatten(progress.state.optimizer, "optimizer"),
        **flatten(progress.best_parameters, "best"),
    }
    save(folder.last, Checkpoint(config, data, epoch, best, state))
    save(folder.best, Checkpoint(config, data, best.epoch, best, best_parameters))


def _restore(like: TrainState, checkpoint: Checkpoint, folder: RunFolder) -> Progress:
    tensors = checkpoint.tensors
    return Progress(
        state=TrainState(
            unflatten(like.parameters, "parameters", tensors),
            unflatten(like.optimizer, "optimizer", tensors),
        ),
        epoch=checkpoint.epoch,
        best=checkpoint.best,
        best_parameters=unflatten(like.parameters, "best", tensors),
        history=[line for line in folder.read_metrics() if line.epoch <= checkpoint.epoch],
    )
