"""Training: one compiled call an epoch, and the loop around it that saves, stops and resumes."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType

from aecli import files
from aecli.config import Config
from aecli.data import DataDescription, Dataset
from aecli.device import enough_memory
from aecli.errors import AecliError, InputError
from aecli.memory import (
    PartialEpoch,
    ShuffleLayout,
    choose_shuffle_layout,
    default_memory,
    needed_in_memory,
)
from aecli.model.parameters import Parameters
from aecli.neighbors import FoundNeighbors, find_neighbors
from aecli.pca import FIT_BYTES, fit_on_training
from aecli.pixels import unit_rows
from aecli.run.checkpoint import Best, Checkpoint, EpochMetrics, flatten, save, unflatten
from aecli.run.folder import RunFolder
from aecli.train.epochs import EpochFunction, EpochInMemory, EpochStreamed, Evaluation, TrainState

# Small data sets have epochs of milliseconds: saving each of them would cost more than training.
_SECONDS_BETWEEN_SAVES = 2.0
# Rows that the errors of PCA are taken over at a time.
_PCA_ROWS_AT_A_TIME = 5_000


@dataclass
class Progress:
    """Where a training stands: between two epochs, or within one that was begun."""

    state: TrainState
    epoch: int = 0
    begun: PartialEpoch | None = None
    best: Best = Best(0, math.inf)  # noqa: RUF009
    best_parameters: Parameters = None
    history: list[EpochMetrics] = field(default_factory=list)


@dataclass(frozen=True)
class Summary:
    """The numbers at the end of training.

    `test_mse` is the mean squared error over the pixels of the test split, of the best parameters;
    `pca_mse` that of PCA with as many dimensions, fitted on the train split, and
    `pca_validation_mse` the same over the validation split. `seconds` is the wall
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
    pca_validation_mse: float
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Stopped:
    """A training that was told to stop; `saved` is whether there is more to go on with now."""

    saved: bool


@enough_memory("try a smaller --batch-size, or a smaller --memory, which streams the data")
def train(
    dataset: Dataset,
    config: Config,
    folder: RunFolder,
    *,
    about: Mapping[str, Any],
    resume_from: Checkpoint | None = None,
    report: Callable[[EpochMetrics, bool], None] = lambda metrics, saved: None,
    stop: Callable[[], bool] = lambda: False,
    memory: int | None = None,
    profile: Path | None = None,
    found: FoundNeighbors | None = None,
) -> Summary | Stopped:
    """Train an autoencoder into a run's folder.

    Args:
        dataset: images with train, validation and test splits.
        config: the resolved settings.
        folder: where the run's files go; the first are written after the first epoch.
        about: versions, command line and the like, for `config.json`.
        resume_from: the state to go on from, instead of initial parameters.
        report: called after each epoch, and told whether it is saved: on the disk, for good.
        stop: asked before the first and after each epoch; True saves and ends the training.
        memory: bytes that the pixels may take; data that need more are streamed. By default half
            of what is free. A run that goes on streams as it did before.
        profile: a folder for a trace of one epoch: the second, or the only one.
        found: the neighbours that the loss asks for, where they have been looked for already.

    Returns:
        The final numbers, or that `stop` ended the training.

    Raises:
        InputError: the batch size does not fit the devices or the memory, or the checkpoint not
            its config.
        AecliError: the loss is no longer finite, memory is short, or a file cannot be written.

    """
    started = time.perf_counter()
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    epoch_function = EpochFunction(config, dataset.image_shape, dataset.count("train"), mesh)
    allowed = default_memory() if memory is None else memory
    if resume_from is None:
        layout = _choose_layout(dataset, epoch_function, allowed)
        progress = Progress(epoch_function.initial_state(dataset.mean_image("train")))
    else:
        layout = resume_from.layout
        if memory is not None:
            _check_layout(dataset, epoch_function.group, layout, memory)
        like = epoch_function.initial_state(np.zeros(dataset.image_shape))
        progress = _restore(like, resume_from)
    progress.state = jax.device_put(progress.state, epoch_function.replicated)
    if found is not None:
        started -= found.seconds
    found = found or find_neighbors(dataset, config, folder)
    graph = None if found is None else found.graph
    run_epoch = (
        EpochInMemory(epoch_function, dataset, progress.state, graph)
        if layout is None
        else EpochStreamed(epoch_function, dataset, progress.state, layout, graph)
    )
    # What tells of another run, or of this one when it was shorter.
    stale = [folder.summary]
    if resume_from is None:
        stale += [folder.best, folder.metrics, folder.config]
    if graph is None:
        stale.append(folder.neighbors)
    save_run = partial(_save_run, folder, config, dataset.describe(), layout, about, stale, found)
    saved_at, epoch_saved = -math.inf, progress.epoch
    begun_with = progress.epoch
    stopped = stop()
    if resume_from is not None and _ended(config, progress):
        # The end may have come between two of its files.
        save_run(progress)
    while not (stopped or _ended(config, progress)):
        epoch_started = time.perf_counter()
        windows_saved = progress.begun.buffers if progress.begun else 0
        # The first epoch pays for what comes once.
        traced = progress.epoch == min(begun_with + 1, config.epochs - 1)
        with _trace(profile) if profile and traced else nullcontext():
            progress.state, losses = run_epoch(
                progress.state, progress.epoch + 1, progress.begun, stop
            )
            jax.block_until_ready(progress.state)
        progress.begun = losses if isinstance(losses, PartialEpoch) else None
        if isinstance(losses, PartialEpoch):
            stopped = True
            if losses.buffers > windows_saved or progress.epoch > epoch_saved:
                save_run(progress)
                saved_at = time.perf_counter()
            break
        train_loss, neighbor_loss, validation_loss, learning_rate, finite_steps = (
            float(value) for value in losses
        )
        seconds = time.perf_counter() - epoch_started
        progress.epoch += 1
        if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
            step = min(int(finite_steps) + 1, epoch_function.steps)
            raise AecliError(
                f"the loss is not finite in epoch {progress.epoch}, step {step} of "
                f"{epoch_function.steps}: the training diverged; what was saved before stays as it "
                f"is; try --learning-rate {min(config.learning_rate / 10, 1e-3):g}"
            )
        # Without those that were trained on before the epoch was stopped.
        before = windows_saved * layout.buffer_rows if layout else 0
        images_seen = epoch_function.images_seen - before
        progress.history.append(
            EpochMetrics(
                epoch=progress.epoch,
                train_loss=train_loss,
                neighbor_loss=neighbor_loss,
                validation_loss=validation_loss,
                learning_rate=learning_rate,
                images_per_second=images_seen / seconds,
                seconds=seconds,
            )
        )
        if validation_loss < progress.best.validation_loss:
            progress.best = Best(progress.epoch, validation_loss)
            # A copy: the next epoch overwrites the state's own memory.
            progress.best_parameters = jax.tree.map(np.array, progress.state.parameters)
        stopped = stop()
        now = time.perf_counter()
        if stopped or _ended(config, progress) or now - saved_at > _SECONDS_BETWEEN_SAVES:
            save_run(progress)
            saved_at, epoch_saved = now, progress.epoch
        report(progress.history[-1], saved_at == now)
    if stopped:
        return Stopped(saved_at > -math.inf)

    del run_epoch  # And its images.
    pca_validation_mse, pca_mse = _pca_errors(dataset, config.latent, layout)
    summary = Summary(
        run=str(folder.path),
        epochs=progress.epoch,
        best_epoch=progress.best.epoch,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(progress.best_parameters)),
        validation_loss=progress.best.validation_loss,
        test_mse=Evaluation(epoch_function).mean_loss(
            progress.best_parameters, dataset, "test", "mse"
        ),
        pca_mse=pca_mse,
        pca_validation_mse=pca_validation_mse,
        images_per_second=epoch_function.images_seen
        / float(np.mean([metrics.seconds for metrics in progress.history])),
        seconds=time.perf_counter() - started,
    )
    files.write_json(folder.summary, vars(summary))
    return summary


@contextmanager
def _trace(folder: Path) -> Iterator[None]:
    """Write what the block computes into a folder, for TensorBoard and for Perfetto.

    Raises:
        AecliError: the operating system refused.

    """
    try:
        files.make_folder(folder)
    except OSError as error:
        raise AecliError(f"cannot write into {folder}: {error.strerror}") from error
    with jax.profiler.trace(str(folder), create_perfetto_trace=True):
        yield


def _choose_layout(dataset: Dataset, function: EpochFunction, memory: int) -> ShuffleLayout | None:
    if needed_in_memory(dataset.nbytes) <= memory:
        return None
    return choose_shuffle_layout(function.group * dataset.image_bytes, function.batch_size, memory)


def _check_layout(dataset: Dataset, group: int, layout: ShuffleLayout | None, memory: int) -> None:
    """Raise `InputError` where so much memory is too little to go on as a run began."""
    needed = (
        needed_in_memory(dataset.nbytes)
        if layout is None
        else layout.needed(group * dataset.image_bytes)
    )
    if needed > memory:
        raise InputError(
            f"--memory {memory / 10**6:g}MB is too small to go on with this run, whose order of "
            f"images needs {math.ceil(needed / 10**6)}MB: leave it out, or start another run"
        )


def _pca_errors(dataset: Dataset, dimensions: int, layout: ShuffleLayout | None) -> list[float]:
    """Return the errors of PCA over validation and test split, fitted on as many rows as fit."""
    memory = FIT_BYTES if layout is None else layout.needed(dataset.image_bytes)
    components = fit_on_training(dataset, dimensions, memory)
    at_a_time = max(1, min(_PCA_ROWS_AT_A_TIME, memory // (16 * math.prod(dataset.image_shape))))
    return [
        components.error(map(unit_rows, dataset.batches(split, at_a_time)))
        for split in ("validation", "test")
    ]


def _ended(config: Config, progress: Progress) -> bool:
    waited = progress.epoch - progress.best.epoch
    impatient = config.patience is not None and waited >= config.patience
    return progress.epoch >= config.epochs or impatient


def _save_run(
    folder: RunFolder,
    config: Config,
    data: DataDescription,
    layout: ShuffleLayout | None,
    about: Mapping[str, Any],
    stale: list[Path],
    found: FoundNeighbors | None,
    progress: Progress,
) -> None:
    """Write the run's files; the last checkpoint alone decides where a resumed run goes on.

    The `stale` files, which tell of another run, go before it takes its name, and no earlier: a
    full disk leaves them.
    """

    def remove_stale() -> None:
        while stale:
            files.remove(stale.pop())

    best, epoch = progress.best, progress.epoch
    # Within the first epoch there are no best ones yet.
    best_parameters = progress.best_parameters if epoch else progress.state.parameters
    state = {
        **flatten(progress.state.parameters, "parameters"),
        **flatten(progress.state.optimizer, "optimizer"),
        **flatten(best_parameters, "best"),
    }
    save(
        folder.last,
        Checkpoint(
            config, data, epoch, best, state, layout, progress.begun, tuple(progress.history)
        ),
        remove_stale,
    )
    if epoch:
        parameters = flatten(best_parameters, "parameters")
        save(folder.best, Checkpoint(config, data, best.epoch, best, parameters, layout))
    if found is not None:
        found.save()
    files.write_json_lines(folder.metrics, [asdict(metrics) for metrics in progress.history])
    files.write_json(folder.config, {"config": config.to_json(), "data": data.to_json(), **about})


def _restore(like: TrainState, checkpoint: Checkpoint) -> Progress:
    tensors = checkpoint.tensors
    return Progress(
        state=TrainState(
            unflatten(like.parameters, "parameters", tensors),
            unflatten(like.optimizer, "optimizer", tensors),
        ),
        epoch=checkpoint.epoch,
        begun=checkpoint.begun,
        best=checkpoint.best,
        best_parameters=unflatten(like.parameters, "best", tensors),
        history=list(checkpoint.history),
    )
