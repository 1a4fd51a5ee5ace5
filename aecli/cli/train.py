"""`aecli train`."""

import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aecli.cli.background_import import importing
from aecli.cli.options import (
    RUNS,
    GrayscaleOption,
    LabelsOption,
    RescaleOption,
    SizeOption,
    force_option,
    json_option,
    memory_option,
    quiet_option,
    setting_option,
    source_from,
)
from aecli.cli.signals import StopRequest, catching_signals
from aecli.config import (
    DEFAULT_DATASET,
    DEFAULT_RECIPE,
    RECIPES,
    Activation,
    Config,
    Encoder,
    Initializer,
    Loss,
    Output,
    Schedule,
    choose_recipe,
    fit_to_rows,
    read_toml,
    resume_config,
    with_settings,
)
from aecli.errors import InputError
from aecli.files import kind_of, refuse_files_above
from aecli.model.layers import describe_encoder
from aecli.run.reopen import check_same_data, reopen

if TYPE_CHECKING:
    from aecli.data import Bar, Dataset, Source
    from aecli.run.checkpoint import Checkpoint
    from aecli.run.folder import RunFolder
    from aecli.train.loop import Summary


def train(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET",
            help="Name (aecli data list), folder of images, or file of arrays.",
            show_default=DEFAULT_DATASET,
        ),
    ] = None,
    labels: LabelsOption = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Share of the images to validate on, where the data have no splits.",
            show_default="0.1",
            rich_help_panel="Data",
        ),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(
            help="Share of the images to test on, where the data have no splits.",
            show_default="0.1",
            rich_help_panel="Data",
        ),
    ] = None,
    split_seed: Annotated[
        int | None,
        typer.Option(help="Seed of these splits.", show_default="0", rich_help_panel="Data"),
    ] = None,
    rescale: RescaleOption = None,
    size: SizeOption = None,
    grayscale: GrayscaleOption = False,
    memory: Annotated[str | None, memory_option("Data")] = None,
    recipe: Annotated[
        str | None,
        setting_option("recipe", "Model", f"What the defaults come from: {', '.join(RECIPES)}."),
    ] = None,
    encoder: Annotated[
        Encoder | None,
        setting_option(
            "encoder", "Model", "What its hidden layers see, pixels or features of patches:"
        ),
    ] = None,
    hidden: Annotated[
        str | None,
        setting_option("hidden", "Model", "Widths from image to code; the decoder mirrors them."),
    ] = None,
    latent: Annotated[int | None, setting_option("latent", "Model", "Numbers in a code.")] = None,
    activation: Annotated[
        Activation | None, setting_option("activation", "Model", "Function between the layers:")
    ] = None,
    normalize: Annotated[
        bool | None,
        setting_option("normalize", "Model", "Layer normalization after each hidden layer."),
    ] = None,
    output: Annotated[
        Output | None, setting_option("output", "Model", "What the decoder ends with:")
    ] = None,
    init: Annotated[
        Initializer | None, setting_option("init", "Model", "Distribution of the initial weights:")
    ] = None,
    epochs: Annotated[
        int | None, setting_option("epochs", "Training", "Passes over the training images.")
    ] = None,
    batch_size: Annotated[
        int | None,
        setting_option(
            "batch_size", "Training", "Images a step; fewer by default on fewer than 8,192 images."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        setting_option("learning_rate", "Training", "Learning rate of Adam, at its highest."),
    ] = None,
    schedule: Annotated[
        Schedule | None, setting_option("schedule", "Training", "How the learning rate changes:")
    ] = None,
    shuffle: Annotated[
        bool | None, setting_option("shuffle", "Training", "Take images in a new order each epoch.")
    ] = None,
    loss: Annotated[
        Loss | None, setting_option("loss", "Training", "Squared error or cross-entropy:")
    ] = None,
    code_penalty: Annotated[
        float | None,
        setting_option("code_penalty", "Training", "Pull on codes far from the centre; 0 is none."),
    ] = None,
    neighbor_weight: Annotated[
        float | None,
        setting_option(
            "neighbor_weight",
            "Training",
            "Pull of an image's neighbours on its code, beside the loss; 0 is none.",
        ),
    ] = None,
    neighbor_final: Annotated[
        float | None,
        setting_option(
            "neighbor_final", "Training", "Share of that weight which is left at the end; 1 is all."
        ),
    ] = None,
    neighbors: Annotated[
        int | None, setting_option("neighbors", "Training", "Neighbours of each image that pull.")
    ] = None,
    seed: Annotated[
        int | None, setting_option("seed", "Training", "Seed of the initial weights and the order.")
    ] = None,
    patience: Annotated[
        int | None,
        setting_option("patience", "Training", "Stop after this many epochs without a better one."),
    ] = None,
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
        typer.Option("--resume", help="Go on from the run's last epoch.", rich_help_panel="Run"),
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
    force: Annotated[bool, force_option("Run")] = False,
    as_json: Annotated[bool, json_option("Run")] = False,
    quiet: Annotated[bool, quiet_option("Run")] = False,
) -> None:
    """Learn an autoencoder from an image data set.

    Writes a run: the last and the best checkpoint, the config, the metrics of each epoch.

    Settings come from options, AECLI_* variables, --config and the recipe, in this order. The
    defaults shown are the modern recipe's.

    [bold]Examples[/bold]

      aecli train

      aecli train mnist --recipe map -o runs/map

      aecli train mnist --latent 3 -o runs/mnist-3d

      aecli train mnist --recipe classic -o runs/classic

      aecli train --resume -o runs/classic --epochs 80

      AECLI_EPOCHS=20 aecli train ~/data/fashion
    """
    with catching_signals() as stop:
        from aecli.cli.console import Reporter
        from aecli.memory import parse_memory
        from aecli.run.folder import RunFolder

        settings = read_toml(config) if config else {}
        settings |= {
            field.name: context.params[field.name]
            for field in fields(Config)
            if context.params[field.name] is not None
        }
        allowed = None if memory is None else parse_memory(memory)
        if profile is not None:
            if kind_of(profile) == "file":
                raise InputError(f"{profile} is a file: --profile expects a folder")
            refuse_files_above(profile)
        folder = RunFolder(out or RUNS / _base_name(dataset or DEFAULT_DATASET))
        if resume and force:
            raise InputError("--resume and --force exclude each other: go on, or begin again")
        options = partial(
            source_from,
            dataset,
            labels=labels,
            validation=validation,
            test=test,
            split_seed=split_seed,
            rescale=rescale,
            size=size,
            grayscale=grayscale,
        )
        reporter = Reporter(quiet, as_json)
        bar = _ending_on(stop, reporter.bar)
        if resume:
            job = _go_on(folder, settings, options, bar)
        else:
            job = _begin(folder, settings, options(), bar, force=force)
        reporter.say(job.headline)

        from aecli.neighbors import find_neighbors
        from aecli.train.loop import Stopped
        from aecli.train.loop import train as run_training

        with folder.locked():
            job.check_still_right(folder, force=force)
            found = find_neighbors(job.dataset, job.config, folder, bar)
            if found and not found.graph.exact:
                reporter.say("so many images: their neighbours are looked for in nearby cells only")
            with reporter.epochs(job.config.epochs, job.epochs_done) as report:
                summary = run_training(
                    job.dataset,
                    job.config,
                    folder,
                    about=_about_this_process(),
                    resume_from=job.checkpoint,
                    report=report,
                    stop=stop,
                    memory=allowed,
                    profile=profile,
                    found=found,
                )
    place = shlex.quote(str(folder.path))
    if isinstance(summary, Stopped):
        if summary.saved or resume:
            reporter.say(f"stopped; aecli train --resume -o {place} goes on")
        else:
            reporter.say(f"stopped before anything was saved: {folder.path} is as it was")
        raise typer.Exit(stop.exit_code)
    reporter.facts(_summary_rows(summary, job.config))
    if profile is not None:
        reporter.say(f"traced an epoch into {profile}: open its .json.gz on ui.perfetto.dev")
    reporter.say(f"wrote {folder.path}; next: aecli encode {place}")
    reporter.result([folder.path], vars(summary))


@dataclass(frozen=True)
class _Job:
    """What to train, and from where."""

    config: Config
    dataset: "Dataset"
    checkpoint: "Checkpoint | None"

    @property
    def epochs_done(self) -> int:
        return self.checkpoint.epoch if self.checkpoint else 0

    @property
    def headline(self) -> str:
        rows = self.dataset.count("train")
        layers = describe_encoder(self.config, self.dataset.image_shape)
        went = f", from epoch {self.epochs_done}" if self.checkpoint else ""
        if self.epochs_done == self.config.epochs:
            went += ": it has them all, --epochs raises them"
        return (
            f"{self.config.recipe} recipe, {layers}, on {rows:,} images of "
            f"{self.dataset.name}{went}"
        )

    def check_still_right(self, folder: "RunFolder", *, force: bool) -> None:
        """Raise `InputError` where another process has trained here while the data were read."""
        from aecli.run.checkpoint import load

        if self.checkpoint is None:
            _refuse_run(folder, force=force)
            return
        now, before = (
            (last.config, last.epoch, last.begun, last.model_hash)
            for last in (load(folder.last), self.checkpoint)
        )
        if now != before:
            raise InputError(f"{folder.path} was trained meanwhile: look at it and start again")


def _refuse_run(folder: "RunFolder", *, force: bool) -> None:
    if folder.exists and not force:
        raise InputError(
            f"{folder.path} holds a run already: --resume goes on with it, --force replaces it, "
            "-o names another folder"
        )


def _begin(
    folder: "RunFolder",
    settings: dict[str, Any],
    source: "Source | None",
    bar: "Bar",
    *,
    force: bool,
) -> _Job:
    """Return the job of a new run; the cheap checks come before the data are read."""
    from aecli.data import Source, open_dataset, reopen_dataset

    recipe = settings.pop("recipe", DEFAULT_RECIPE)
    if not isinstance(recipe, str):
        raise InputError(f"--recipe has a value of the wrong type: {recipe!r}")
    config = with_settings(choose_recipe(recipe), settings)
    if kind_of(folder.path) == "file":
        raise InputError(f"{folder.path} is a file: -o expects the folder of a run")
    refuse_files_above(folder.path)
    _refuse_run(folder, force=force)
    with importing("aecli.train.loop"):
        data = open_dataset(source, bar) if source else reopen_dataset(Source(DEFAULT_DATASET))
    data.check_splits("train", "validation", "test")
    return _Job(fit_to_rows(config, data.count("train"), settings), data, None)


def _go_on(
    folder: "RunFolder",
    settings: dict[str, Any],
    options: Callable[..., "Source | None"],
    bar: "Bar",
) -> _Job:
    """Return the job of a run that goes on from its last checkpoint.

    `options` returns what the user says of the data; the rest is as the run has it.
    """
    from aecli.data import open_dataset
    from aecli.run.checkpoint import load

    if kind_of(folder.last) != "file":
        raise InputError(
            f"nothing to resume: {folder.path} has no {folder.last.name}; "
            f"aecli train -o {folder.path} begins a run"
        )
    checkpoint = load(folder.last)
    config = resume_config(checkpoint.config, settings, checkpoint.epoch)
    source = options(like=checkpoint.data.source, as_split=True)
    with importing("aecli.train.loop"):
        if source is None:
            return _Job(config, reopen(checkpoint, bar), checkpoint)
        data = open_dataset(source, bar)
        check_same_data(checkpoint, data)
    return _Job(config, data, checkpoint)


def _ending_on(stop: StopRequest, bar: "Bar") -> "Bar":
    """Return a bar that ends the program when a signal has come: reading may take long."""

    @contextmanager
    def ending(what: str, total: int, *, in_bytes: bool = False) -> Iterator[Callable[[int], None]]:
        def step(amount: int) -> None:
            if stop():
                raise typer.Exit(stop.exit_code)
            advance(amount)

        with bar(what, total, in_bytes=in_bytes) as advance:
            yield step

    return ending


def _base_name(dataset: str) -> str:
    """Return what a data set is called after: the last part of its absolute path."""
    return os.path.basename(os.path.abspath(os.path.expanduser(dataset)))  # noqa: PTH100,PTH111,PTH119


def _about_this_process() -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "command_line": sys.argv,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("aecli", "jax", "flax", "optax", "numpy")},
        },
    }


def _summary_rows(summary: "Summary", config: Config) -> list[tuple[str, str]]:
    pca = f" (PCA: {summary.pca_validation_mse:.4f})" if config.loss == "mse" else ""
    return [
        ("best epoch", f"{summary.best_epoch} of {summary.epochs}"),
        (f"validation {config.loss}", f"{summary.validation_loss:.4f}{pca}"),
        ("test mse", f"{summary.test_mse:.4f} (PCA: {summary.pca_mse:.4f})"),
        ("parameters", f"{summary.parameters:,}"),
        ("time", f"{summary.seconds:.1f} s"),
        ("speed", f"{summary.images_per_second:,.0f} images/s"),
    ]
