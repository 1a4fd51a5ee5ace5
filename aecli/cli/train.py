"""`aecli train`."""

import os
import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aecli import signals
from aecli.addresses import address_of, expand_braces, is_address, last_part
from aecli.cli.options import (
    RUNS,
    GrayscaleOption,
    LabelsOption,
    NoLabelsOption,
    RescaleOption,
    SizeOption,
    SkipBrokenOption,
    force_option,
    json_option,
    memory_option,
    quiet_option,
    source_options,
    with_setting_options,
)
from aecli.config import (
    DEFAULT_DATASET,
    DEFAULT_SHARE,
    DEFAULT_SPLIT_SEED,
    read_toml,
)
from aecli.errors import InputError
from aecli.files import refuse_existing, refuse_file
from aecli.printable import plural
from aecli.processes.cluster import DEFAULT_TIMEOUT, find_cluster

if TYPE_CHECKING:
    from aecli.cli.console import Reporter
    from aecli.processes.cluster import Cluster
    from aecli.processes.group import Processes
    from aecli.run.checkpoint import Checkpoint
    from aecli.run.folder import RunFolder
    from aecli.run.states import EpochMetrics
    from aecli.train.job import TrainJob
    from aecli.train.loop import Report, Stopped, Summary, Watch
    from aecli.train.tensorboard import TensorBoard

_PROCESSES = "Many processes"


@with_setting_options(before="out")
def train(
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET",
            help="Name (aecli data list), folder of images, file of arrays, or address (s3://...).",
            show_default=DEFAULT_DATASET,
        ),
    ] = None,
    labels: LabelsOption = None,
    no_labels: NoLabelsOption = False,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Share of the images to validate on, where the data have no splits.",
            show_default=str(DEFAULT_SHARE),
            rich_help_panel="Data",
        ),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(
            help="Share of the images to test on, where the data have no splits; 0 tests on the "
            "validation images.",
            show_default=str(DEFAULT_SHARE),
            rich_help_panel="Data",
        ),
    ] = None,
    split_seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of these splits.",
            show_default=str(DEFAULT_SPLIT_SEED),
            rich_help_panel="Data",
        ),
    ] = None,
    rescale: RescaleOption = None,
    size: SizeOption = None,
    grayscale: GrayscaleOption = False,
    skip_broken: SkipBrokenOption = False,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            help="A row of numbers for each image (.npy), such as CLIP's: these, not pixels, say "
            "which images are near each other.",
            rich_help_panel="Data",
        ),
    ] = None,
    memory: Annotated[str | None, memory_option("Data")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the run.",
            show_default="runs/DATASET",
            rich_help_panel="Run",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Resume from the run's last epoch.", rich_help_panel="Run"),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="TOML file of settings, named like the options: batch_size = 128.",
            rich_help_panel="Run",
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="Write a trace of one epoch into this folder, for Perfetto and TensorBoard.",
            rich_help_panel="Run",
        ),
    ] = None,
    plot: Annotated[
        bool,
        typer.Option(
            "--plot",
            help="Draw the map of the test images and the losses at the end: RUN/map.png, "
            "RUN/history.png.",
            rich_help_panel="Run",
        ),
    ] = False,
    plot_every: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCHS",
            help="Draw the map of the validation images as it grows, into RUN/growth.",
            rich_help_panel="Run",
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write losses, speed, and at times reconstructions and the map of validation "
            "images into this folder, for TensorBoard.",
            rich_help_panel="Run",
        ),
    ] = None,
    coordinator: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            envvar="AECLI_COORDINATOR",
            show_envvar=False,
            help="Where the first of several processes listens; the same for all.",
            rich_help_panel=_PROCESSES,
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            envvar="AECLI_PROCESSES",
            show_envvar=False,
            help="How many processes train together.",
            show_default="as the scheduler says, else 1",
            rich_help_panel=_PROCESSES,
        ),
    ] = None,
    process: Annotated[
        int | None,
        typer.Option(
            envvar="AECLI_PROCESS",
            show_envvar=False,
            help="Which of them this is, from 0; the first writes the run.",
            show_default="as the scheduler says",
            rich_help_panel=_PROCESSES,
        ),
    ] = None,
    distributed: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            envvar="AECLI_DISTRIBUTED",
            show_envvar=False,
            help="Train as one of several processes: auto (where srun, mpirun, Kubernetes or a TPU "
            "pod started them), on, off.",
            rich_help_panel=_PROCESSES,
        ),
    ] = "auto",
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            envvar="AECLI_TIMEOUT",
            show_envvar=False,
            help="How long to wait for the others to start, and for one that has fallen silent.",
            rich_help_panel=_PROCESSES,
        ),
    ] = DEFAULT_TIMEOUT,
    force: Annotated[bool, force_option("Run")] = False,
    as_json: Annotated[bool, json_option("Run")] = False,
    quiet: Annotated[bool, quiet_option("Run")] = False,
    **settings: Any,
) -> None:
    """Learn an autoencoder from an image data set.

    Writes a run: the last and the best checkpoint, the config, the metrics of each epoch.

    Settings come from options, AECLI_* variables, --config and the recipe, in this order. The
    defaults shown are the map recipe's.

    [bold]Examples[/bold]

      aecli train

      aecli train mnist --recipe plain -o runs/plain

      aecli train mnist --latent 3 -o runs/mnist-3d

      aecli train mnist --recipe classic -o runs/classic

      aecli train ~/pictures --size 32 --features clip.npy

      aecli train "s3://bucket/shards-{000..127}.tar" --size 32 -o runs/shards

      aecli train --resume -o runs/classic --epochs 80

      AECLI_EPOCHS=20 aecli train ~/data/fashion
    """
    from aecli.cli.console import Reporter
    from aecli.memory import parse_memory
    from aecli.run.folder import RunFolder

    chosen = read_toml(config) if config else {}
    chosen |= {name: value for name, value in settings.items() if value is not None}
    allowed = None if memory is None else parse_memory(memory)
    if profile is not None:
        refuse_file(profile, "--profile expects a folder")
    if plot_every is not None and plot_every < 1:
        raise InputError(f"--plot-every must be at least 1, got {plot_every}")
    if tensorboard is not None:
        from aecli.train.tensorboard import check

        check(tensorboard, resume=resume)
    folder = RunFolder(out or RUNS / _base_name(dataset or DEFAULT_DATASET))
    if resume and force:
        raise InputError("--resume and --force exclude each other: resume, or begin again")
    options = source_options(
        labels=labels,
        no_labels=no_labels,
        validation=validation,
        test=test,
        split_seed=split_seed,
        rescale=rescale,
        size=size,
        grayscale=grayscale,
        skip_broken=skip_broken,
        features=features,
    )
    cluster = find_cluster(distributed, coordinator, processes, process, timeout, os.environ)
    asked = _Asked(
        folder,
        chosen,
        dataset,
        options,
        allowed,
        profile,
        plot,
        plot_every,
        tensorboard,
        resume,
    )
    with _joined(cluster, folder) as others:
        talks = others is None or others.first
        reporter = Reporter(quiet or not talks, as_json)
        summary, job = _train(asked, reporter, others, force=force)
        from aecli.train.loop import Stopped

        if talks and not isinstance(summary, Stopped):
            if plot:
                from aecli.train.pictures import draw_end

                draw_end(folder, job.dataset)
                reporter.say(f"drew {' and '.join(map(str, folder.pictures))}")
            _report(summary, job, reporter, profile)
    if isinstance(summary, Stopped):
        if talks:
            _report_stopped(summary, job, reporter)
        raise typer.Exit(signals.exit_code())


@dataclass(frozen=True)
class _Asked:
    """What the options ask for."""

    folder: "RunFolder"
    settings: Mapping[str, Any]
    dataset: str | None
    options: Mapping[str, Any]
    memory: int | None
    profile: Path | None
    plot: bool
    plot_every: int | None
    tensorboard: Path | None
    resume: bool


def _joined(
    cluster: "Cluster | None", folder: "RunFolder"
) -> "AbstractContextManager[Processes | None]":
    """Return a context in which the other processes are joined; it gives None without any."""
    if cluster is None:
        return nullcontext()
    from aecli.cli.console import error
    from aecli.processes.group import joined

    resume = shlex.join(["aecli", "train", "--resume", "-o", str(folder.path)])
    return joined(cluster, error, f"start all again with {resume}")


def _train(
    asked: _Asked, reporter: "Reporter", processes: "Processes | None", *, force: bool
) -> "tuple[Summary | Stopped, TrainJob]":
    """Read the data and train, alone or with other processes."""
    from aecli.data import choose_source, refuse_data_files
    from aecli.data.describe import first_facts
    from aecli.train.job import checkpoint_of_first, new_job, resume_job

    first = processes is None or processes.first
    folder, dataset, options = asked.folder, asked.dataset, asked.options
    pictures = folder.pictures if asked.plot and first else ()
    # Those of a run that is resumed are its own.
    refuse_existing(*pictures, force=force or asked.resume)
    if asked.resume:
        checkpoint = None
        if processes is not None:
            checkpoint = checkpoint_of_first(processes, folder, dataset, options)
        job = resume_job(folder, asked.settings, dataset, options, reporter.bar, checkpoint)
    else:
        source = choose_source(dataset, options)
        job = new_job(folder, asked.settings, source, reporter.bar, force=force, writes=first)
    refuse_data_files(pictures, job.dataset)
    if asked.tensorboard is not None:
        refuse_data_files([asked.tensorboard / "events"], job.dataset)
    if processes is not None:
        processes.refuse_differences(job.facts, "give all the same options and the same data")
    reporter.facts(first_facts(job.dataset))
    reporter.say(job.headline)
    if processes is not None:
        reporter.say(_together(processes, job))
    if job.note:
        reporter.say(job.note)
    if not first:
        return _run(job, asked, reporter, processes), job
    with folder.locked():
        job.check_unchanged(force=force)
        return _run(job, asked, reporter, processes), job


def _together(processes: "Processes", job: "TrainJob") -> str:
    """Return in a line how many train together, and whether that continues a run bit for bit."""
    import jax

    hosts, devices = plural(processes.count_hosts, "host"), plural(jax.device_count(), "device")
    together = f"{processes.count} processes on {hosts} train together, on {devices}"
    if job.checkpoint and job.checkpoint.environment and not job.note:
        together += " as before: bit for bit as if the run had never been stopped"
    return together


def _run(
    job: "TrainJob", asked: _Asked, reporter: "Reporter", processes: "Processes | None"
) -> "Summary | Stopped":
    """Find the neighbours that the loss needs, and train."""
    from aecli.train.loop import train as run_training
    from aecli.train.prepare import prepare, prepare_together

    look = (job.dataset, job.config, job.folder, reporter.bar)
    if processes is None:
        prepared, stop = prepare(*look), signals.requested
    else:
        prepared, stop = prepare_together(processes, *look), processes.stop_requested
    if prepared.graph and not prepared.graph.exact:
        reporter.say(
            "too many images to compare them all: neighbours are looked for in nearby cells only"
        )
    if processes is None:
        signals.end_if_requested()
    first = processes is None or processes.first
    with (
        signals.finishing_work(),
        reporter.epochs(job.config.epochs, job.epochs_done) as report,
        _board(job, asked.tensorboard if first else None) as board,
    ):
        return run_training(
            job.dataset,
            job.config,
            job.folder,
            resume_from=job.checkpoint,
            report=_announced(board.reporting(report) if board else report, job, processes),
            stop=stop,
            memory=asked.memory,
            profile=asked.profile if first else None,
            prepared=prepared,
            watch=_watch(job, asked.plot_every, board) if first else None,
            processes=processes,
        )


def _board(job: "TrainJob", folder: Path | None) -> "AbstractContextManager[TensorBoard | None]":
    """Return what writes events into a folder; None where that is not asked for."""
    if folder is None:
        return nullcontext()
    from aecli.train.tensorboard import tensorboard

    return tensorboard(folder, job.dataset, job.config.epochs, job.epochs_done)


def _announced(report: "Report", job: "TrainJob", processes: "Processes | None") -> "Report":
    """Return a report that also has the other processes know what is saved."""
    if processes is None or not processes.first:
        return report
    announce = processes.announce_saved
    if job.epochs_done:
        announce(f"epoch {job.epochs_done} is saved")

    def announced(metrics: "EpochMetrics", saved: bool) -> None:
        if saved:
            announce(f"epoch {metrics.epoch} is saved")
        report(metrics, saved)

    return announced


def _watch(job: "TrainJob", every: int | None, board: "TensorBoard | None") -> "Watch | None":
    """Return what draws the map as it grows; None where that is not asked for."""
    if every is None:
        return board.draw if board else None
    from aecli.train.pictures import draw_growth

    def draw(model: "Checkpoint") -> None:
        if model.epoch % every == 0 or model.epoch == job.config.epochs:
            draw_growth(model, job.dataset, job.folder)
        if board:
            board.draw(model)

    return draw


def _report_stopped(stopped: "Stopped", job: "TrainJob", reporter: "Reporter") -> None:
    """Say how to resume a training that was stopped."""
    folder = job.folder.path
    if stopped.saved or job.checkpoint is not None:
        place = shlex.quote(str(folder))
        reporter.say(f"stopped; aecli train --resume -o {place} resumes it")
    else:
        reporter.say(f"stopped before anything was saved: {folder} is as it was")


def _report(
    summary: "Summary", job: "TrainJob", reporter: "Reporter", profile: Path | None
) -> None:
    """Print the final numbers, and say what to run next."""
    from aecli.cli.console import force_if_there
    from aecli.run.codes import codes_files, default_codes_path

    folder = job.folder.path
    reporter.facts(summary.facts(job.config.validation_measure, job.config.noise))
    for line in (summary.note, summary.verdict):
        if line:
            reporter.say(line)
    if profile is not None:
        from aecli.train.loop import traced_epoch

        if job.epochs_done < traced_epoch(job.config, job.epochs_done) <= summary.epochs:
            reporter.say(f"traced an epoch into {profile}: open its .json.gz on ui.perfetto.dev")
        else:
            reporter.say("traced nothing: the training ended before the epoch to trace")
    older = force_if_there(*codes_files(default_codes_path(folder)))
    encode = shlex.join(["aecli", "encode", str(folder), *older])
    reporter.say(f"wrote {folder}; next: {encode}")
    reporter.result([folder], vars(summary))


def _base_name(dataset: str) -> str:
    """Return what a data set is called after: the last part of its absolute path, or address."""
    if is_address(dataset):
        return last_part(expand_braces(address_of(dataset))[0])
    return os.path.basename(os.path.abspath(os.path.expanduser(dataset)))  # noqa: PTH100,PTH111,PTH119
