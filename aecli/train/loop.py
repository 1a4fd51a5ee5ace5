"""Training: epoch after epoch until the end is reached or asked for."""

import errno
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from aecli import files
from aecli.clock import per_second, seconds_since, show_rate
from aecli.config import Config, SplitName
from aecli.data import Dataset
from aecli.device import out_of_memory_advice
from aecli.encode import load_model
from aecli.errors import AecliError, InputError
from aecli.memory import default_memory
from aecli.model.parameters import Parameters
from aecli.model.sparse import unused_numbers
from aecli.noise import NO_NOISE
from aecli.pca import FIT_BYTES, PrincipalComponents, fit_on_training
from aecli.pixels import unit_rows
from aecli.printable import plural, significant
from aecli.references import fit_references
from aecli.run.checkpoint import Checkpoint, flatten, unflatten
from aecli.run.folder import RunFolder
from aecli.run.states import EpochMetrics, PartialEpoch, ShuffleLayout
from aecli.score.bound import bound_of
from aecli.train.epochs import EpochInMemory, EpochResult, EpochStreamed
from aecli.train.evaluation import Evaluation
from aecli.train.prepare import Prepared, prepare, prepare_together
from aecli.train.saving import NotSaving, Progress, Saver, restore
from aecli.train.step import TrainState, TrainStep
from aecli.train.stream import bytes_in_memory, bytes_streamed, choose_shuffle_layout
from aecli.train.verdict import Evidence, verdict

if TYPE_CHECKING:
    from aecli.processes.group import Processes

# Rows that the errors of PCA are taken over at a time.
_PCA_ROWS_AT_A_TIME = 5_000

# Called after each epoch with its metrics, and whether it is safely on the disk.
Report = Callable[[EpochMetrics, bool], None]
Watch = Callable[[Checkpoint], None]
# What trains for an epoch; see `EpochStreamed`.
RunEpoch = Callable[
    [TrainState, int, PartialEpoch | None, Callable[[], bool]],
    tuple[TrainState, EpochResult | PartialEpoch],
]


@dataclass(frozen=True)
class Summary:
    """The numbers at the end of training.

    `test_mse` is the mean squared error over the pixels of the test split, of the images that the
    best parameters decode, in 0..1; `pca_mse` that of PCA with as many dimensions, fitted on the
    train split, and `pca_validation_mse` the same over the validation split. `seconds` is the wall
    time of this training, compiling and saving included, and of the epochs before it was resumed;
    `images_per_second` is the speed of the epochs alone. `verdict` says in a line what is wrong
    with what was learned, None where nothing is: see `verdict.verdict`. `unused` is how many
    numbers of sparse codes are 0 for all validation images; None of codes that are not sparse.

    Of a variational model, else None: `test_bound` is the bound on the negative log likelihood of a
    test image, in nats, where the loss is `bce`; `test_divergence` is the KL divergence of its code
    from the prior, in nats. `collapsed` is how many numbers of the code tell nothing of the
    validation images, `note` says that in a line.
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
    verdict: str | None = None
    unused: int | None = None
    test_bound: float | None = None
    test_divergence: float | None = None
    collapsed: int | None = None
    note: str | None = None

    def facts(self, loss: str, noise: str = NO_NOISE) -> list[tuple[str, str]]:
        """Return the numbers by name for people; `loss` is what the validation loss measures.

        With `noise` it measures what is made of spoilt images: nothing to compare PCA's with.
        """
        speed = show_rate(self.images_per_second, "images/s")
        pca = f" (PCA: {significant(self.pca_validation_mse)})" if loss == "mse" else ""
        if noise != NO_NOISE:
            pca = f" (of images with {noise})"
        return [
            ("best epoch", f"{self.best_epoch} of {self.epochs}"),
            (f"validation {loss}", f"{significant(self.validation_loss)}{pca}"),
            ("test mse", f"{significant(self.test_mse)} (PCA: {significant(self.pca_mse)})"),
            *([] if self.unused is None else [("unused", _unused_words(self.unused))]),
            *(
                (name, f"{value:.2f} nats an image")
                for name, value in (
                    ("test bound", self.test_bound),
                    ("test KL", self.test_divergence),
                )
                if value is not None
            ),
            ("parameters", f"{self.parameters:,}"),
            ("time", f"{self.seconds:.1f} s"),
            *([("speed", speed)] if speed else []),
        ]


def _unused_words(count: int) -> str:
    return f"{plural(count, 'number')} of the code, 0 for all validation images"


@dataclass(frozen=True)
class Stopped:
    """A training that was asked to stop; `saved` is whether a checkpoint of it was written."""

    saved: bool


@out_of_memory_advice("try a smaller --batch-size, or a smaller --memory, which streams the data")
def train(
    dataset: Dataset,
    config: Config,
    folder: RunFolder,
    *,
    resume_from: Checkpoint | None = None,
    report: Report = lambda metrics, saved: None,
    stop: Callable[[], bool] = lambda: False,
    memory: int | None = None,
    profile: Path | None = None,
    prepared: Prepared | None = None,
    watch: Watch | None = None,
    processes: "Processes | None" = None,
) -> Summary | Stopped:
    """Train an autoencoder into a run's folder.

    Args:
        dataset: images with train, validation and test splits.
        config: the resolved settings.
        folder: where the run's files go; the first are written after the first epoch.
        resume_from: the state to resume from, instead of initial parameters.
        report: called after each epoch with its metrics, and whether it is safely on the disk.
        stop: asked before the first and after each epoch; True saves and ends the training.
        memory: bytes that the pixels may take; data that need more are streamed. By default half
            of what is free. A resumed run streams as it did before.
        profile: a folder for a trace of one epoch, `traced_epoch`.
        prepared: what `prepare` returns, where that was called already.
        watch: called after each epoch with the model as it is then.
        processes: all that train together, each by calling this; the first one writes. `stop` has
            to give the same answer in all, and only the first one takes `profile` and `watch`.

    Returns:
        The final numbers, or that `stop` ended the training.

    Raises:
        InputError: the batch size does not fit the devices, the training not the memory, or the
            checkpoint not its config.
        AecliError: the loss is no longer finite, memory is short, a file cannot be written, or the
            folder was moved or removed meanwhile.

    """
    started = time.perf_counter() - (prepared.seconds if prepared else 0)
    # What the epochs before took.
    started -= sum(one.seconds for one in resume_from.history) if resume_from else 0
    step = TrainStep(config, dataset.image_shape, dataset.count("train"))
    layout = _shuffle_layout(dataset, step, memory, resume_from, processes)
    step.refuse_beyond_memory(pixels=_pixel_bytes(dataset, step, layout))
    progress = _first_progress(dataset, step, resume_from, processes)
    if prepared is None:
        prepared = (
            prepare(dataset, config, folder)
            if processes is None
            else prepare_together(processes, dataset, config, folder)
        )
    saver: Saver | NotSaving = NotSaving()
    if processes is None or processes.first:
        saver = Saver(
            folder,
            config,
            dataset.describe(),
            layout,
            prepared,
            broken=dataset.broken,
            resumed_at=None if resume_from is None else resume_from.epoch,
        )
    run_epoch = _run_epoch(step, dataset, progress.state, layout, prepared, processes)
    if resume_from is not None and progress.ended(config):
        # The end may have come between two of its files.
        saver.save(progress)
    if _train_epochs(run_epoch, progress, step, layout, saver, report, stop, profile, watch):
        return Stopped(saver.has_saved)
    # Free the images on the device.
    del run_epoch

    def summarize() -> dict[str, Any]:
        assert isinstance(saver, Saver)
        references = None
        if config.placing == "neighbors":
            model = load_model(saver.best_model(progress))
            references = fit_references(dataset, model, prepared.features)
            saver.add_references(progress, references)
        evaluation = Evaluation(step, references)
        summary = _summarize(dataset, step, folder, layout, progress, evaluation, started)
        saver.write_summary(summary)
        return asdict(summary)

    return Summary(**(summarize() if processes is None else processes.from_first(summarize)))


def _run_epoch(
    step: TrainStep,
    dataset: Dataset,
    state: TrainState,
    layout: ShuffleLayout | None,
    prepared: Prepared,
    processes: "Processes | None",
) -> RunEpoch:
    """Return what trains for an epoch, ready to run."""
    if processes is not None:
        from aecli.train.sharded import EpochSharded

        return EpochSharded(step, dataset, state, layout, prepared.graph, processes)
    if layout is None:
        return EpochInMemory(step, dataset, state, prepared.graph)
    return EpochStreamed(step, dataset, state, layout, prepared.graph)


def traced_epoch(config: Config, epochs_done: int) -> int:
    """Return the epoch that is traced: the second from now on, or the only one.

    The first includes what happens only once.
    """
    return min(epochs_done + 2, config.epochs)


def _train_epochs(
    run_epoch: RunEpoch,
    progress: Progress,
    step: TrainStep,
    layout: ShuffleLayout | None,
    saver: Saver | NotSaving,
    report: Report,
    stop: Callable[[], bool],
    profile: Path | None,
    watch: Watch | None,
) -> bool:
    """Train from where `progress` stands to the end; return whether `stop` ended it before."""
    config = step.config
    traced = traced_epoch(config, progress.epoch)
    stopped = stop()
    while not (stopped or progress.ended(config)):
        epoch, done = progress.epoch + 1, progress.buffers_done
        started = time.perf_counter()
        with _trace(profile) if profile and epoch == traced else nullcontext():
            progress.state, result = run_epoch(progress.state, epoch, progress.partial, stop)
            jax.block_until_ready(progress.state)
        if isinstance(result, PartialEpoch):
            progress.partial = result
            if result.buffers > done or not saver.is_saved(epoch - 1):
                saver.save(progress)
            return True
        seconds = seconds_since(started)
        _check_finite(result, epoch, step)
        images = step.images_per_epoch - (done * layout.buffer_rows if layout else 0)
        progress.add(_metrics(result, epoch, step, images, seconds))
        stopped = stop()
        if stopped or progress.ended(config) or saver.is_due():
            saver.save(progress)
        report(progress.history[-1], saver.is_saved(epoch))
        if watch is not None and isinstance(saver, Saver):
            watch(saver.current_model(progress))
    return stopped


def _shuffle_layout(
    dataset: Dataset,
    step: TrainStep,
    memory: int | None,
    resume_from: Checkpoint | None,
    processes: "Processes | None",
) -> ShuffleLayout | None:
    """Return how the images are streamed, or None where they fit into memory.

    A resumed run keeps the layout that it has; `InputError` where memory is too little for it.
    """
    row_bytes = _row_bytes(dataset, step)
    if resume_from is None:
        if memory is None:
            memory = default_memory()
            if processes is not None:
                memory = processes.decide(memory // processes.count_here, min)
        if bytes_in_memory(dataset.nbytes) <= memory:
            return None
        return choose_shuffle_layout(row_bytes, step.batch_size, memory)
    layout = resume_from.layout
    needed = bytes_streamed(layout, row_bytes) if layout else bytes_in_memory(dataset.nbytes)
    if memory is not None and needed > memory:
        raise InputError(
            f"--memory {memory / 10**6:g}MB is too small to resume this run, whose order of images "
            f"needs {math.ceil(needed / 10**6)}MB: leave it out, or start another run"
        )
    return layout


def _pixel_bytes(dataset: Dataset, step: TrainStep, layout: ShuffleLayout | None) -> int:
    """Return the bytes that the images take in training."""
    if layout is not None:
        return bytes_streamed(layout, _row_bytes(dataset, step))
    return bytes_in_memory(dataset.nbytes)


def _row_bytes(dataset: Dataset, step: TrainStep) -> int:
    """Return the bytes of an image and of the neighbours that are drawn with it."""
    return step.group * dataset.image_bytes


def _first_progress(
    dataset: Dataset,
    step: TrainStep,
    resume_from: Checkpoint | None,
    processes: "Processes | None",
) -> Progress:
    if resume_from is not None:
        progress = restore(step.initial_state(np.zeros(dataset.image_shape)), resume_from)
    elif processes is None:
        progress = Progress(step.initial_state(dataset.mean_image("train")))
    else:
        progress = Progress(_initial_state_of_first(dataset, step, processes))
    progress.state = step.devices.replicate(progress.state)
    return progress


def _initial_state_of_first(
    dataset: Dataset, step: TrainStep, processes: "Processes"
) -> TrainState:
    """Return the first process's state: the others need not read all images for it."""
    state = step.initial_state(
        dataset.mean_image("train") if processes.first else np.zeros(dataset.image_shape)
    )
    shared = processes.share(flatten(state.parameters, "") if processes.first else None)
    return state._replace(parameters=unflatten(state.parameters, "", shared))


def _check_finite(result: EpochResult, epoch: int, step: TrainStep) -> None:
    """Raise `AecliError` where a loss of an epoch is not finite."""
    if all(math.isfinite(loss) for loss in (*result.losses.values(), result.validation_loss)):
        return
    first = min(int(result.finite_steps) + 1, step.per_epoch)
    raise AecliError(
        f"the loss is not finite in epoch {epoch}, step {first} of {step.per_epoch}: the training "
        "diverged; what was saved before stays as it is; try --learning-rate "
        f"{min(step.config.learning_rate / 10, 1e-3):g}"
    )


def _metrics(
    result: EpochResult, epoch: int, step: TrainStep, images: int, seconds: float
) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch,
        # In the order of the terms; jax sorts by name.
        losses={term.name: float(result.losses[term.name]) for term in step.terms},
        validation_loss=float(result.validation_loss),
        learning_rate=float(result.learning_rate),
        images_per_second=per_second(images, seconds),
        seconds=seconds,
    )


def _summarize(
    dataset: Dataset,
    step: TrainStep,
    folder: RunFolder,
    layout: ShuffleLayout | None,
    progress: Progress,
    evaluation: Evaluation,
    started: float,
) -> Summary:
    linear = _fit_pca(dataset, step.config.latent, layout)
    best = progress.best_parameters
    codes, errors = evaluation.decoded(best, dataset, "test")
    test_mse, pca_mse = float(errors.mean()), linear.error("test")
    unused = None
    if step.config.sparsity is not None:
        unused = unused_numbers(evaluation.decoded(best, dataset, "validation").codes)
    evidence = Evidence(codes, test_mse, pca_mse, linear.mean_error(), linear.components.variance)
    return Summary(
        run=str(folder.path),
        epochs=progress.epoch,
        best_epoch=progress.best.epoch,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(best)),
        validation_loss=progress.best.validation_loss,
        test_mse=test_mse,
        pca_mse=pca_mse,
        pca_validation_mse=linear.error("validation"),
        images_per_second=per_second(
            step.images_per_epoch,
            float(np.mean([metrics.seconds for metrics in progress.history])),
        ),
        verdict=verdict(dataset, step.config, evidence),
        unused=unused,
        **_bounds(dataset, step.config, evaluation, best),
        seconds=seconds_since(started),
    )


def _bounds(
    dataset: Dataset, config: Config, evaluation: Evaluation, parameters: Parameters
) -> dict[str, Any]:
    """Return the fields of `Summary` that only a variational model has."""
    if config.kind != "vae":
        return {}
    test, validation = (
        bound_of(evaluation.losses(parameters, dataset, split), config)
        for split in ("test", "validation")
    )
    return {
        "test_bound": test.nats,
        "test_divergence": test.divergence,
        "collapsed": validation.collapsed,
        "note": validation.note,
    }


@dataclass(frozen=True)
class _Linear:
    """PCA of the training images, and its errors over other splits, so many rows at a time."""

    components: PrincipalComponents
    dataset: Dataset
    rows: int

    def error(self, split: SplitName) -> float:
        """Return the mean squared error over a split."""
        return self.components.error(map(unit_rows, self.dataset.batches(split, self.rows)))

    def mean_error(self) -> float:
        """Return the error over the test split of the mean of the training images."""
        mean = replace(self.components, directions=self.components.directions[:0])
        return replace(self, components=mean).error("test")


def _fit_pca(dataset: Dataset, dimensions: int, layout: ShuffleLayout | None) -> _Linear:
    """Fit PCA on as many rows as fit into the memory."""
    memory = FIT_BYTES if layout is None else bytes_streamed(layout, dataset.image_bytes)
    components = fit_on_training(dataset, dimensions, memory)
    at_a_time = max(1, min(_PCA_ROWS_AT_A_TIME, memory // (16 * math.prod(dataset.image_shape))))
    return _Linear(components, dataset, at_a_time)


@contextmanager
def _trace(folder: Path) -> Iterator[None]:
    """Write what the block computes into a folder, for TensorBoard and for Perfetto.

    Raises:
        AecliError: it cannot be written; nothing of it is left.

    """
    traces = folder / "plugins" / "profile"
    before = set(traces.glob("*"))
    created: list[Path] = []
    try:
        with _trace_errors(traces):
            created = files.make_folder(folder)
            jax.profiler.start_trace(str(folder), create_perfetto_trace=True)
        try:
            yield
        finally:
            with _trace_errors(traces):
                jax.profiler.stop_trace()
    except BaseException:
        for path in set(traces.glob("*")) - before:
            shutil.rmtree(path, ignore_errors=True)
        for path in (traces, traces.parent, *created):
            with suppress(OSError):
                path.rmdir()
        raise


@contextmanager
def _trace_errors(folder: Path) -> Iterator[None]:
    """Raise `AecliError` for what goes wrong while jax writes a trace: it has no one type for it.

    jax calls a full disk an exhausted resource, as it calls a lack of memory.
    """
    try:
        yield
    except (OSError, jax.errors.JaxRuntimeError, EOFError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error).rpartition("; ")[2]
        full = os.strerror(errno.ENOSPC)
        room = files.room(OSError(errno.ENOSPC, full), folder) if full in reason else ""
        raise AecliError(f"cannot write a trace into {folder}: {reason}{room}") from error
