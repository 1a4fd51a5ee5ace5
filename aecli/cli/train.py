"""`aecli train`."""

import math
import platform
import sys
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aecli.cli.options import RUNS, ForceOption, JsonOption, QuietOption
from aecli.config import (
    CHOICES,
    DEFAULT_DATASET,
    DEFAULT_RECIPE,
    RECIPES,
    Activation,
    Config,
    Initializer,
    Loss,
    Output,
    Schedule,
    choose_recipe,
    fit_batch_size,
    flag,
    read_toml,
    with_settings,
)
from aecli.errors import InputError

if TYPE_CHECKING:
    from aecli.checkpoint import Checkpoint
    from aecli.data import Dataset
    from aecli.runs import RunFolder
    from aecli.train import Summary


def _setting(name: str, panel: str, text: str) -> Any:
    """Return the option of a field of `Config`; unset, the config file or the recipe decides."""
    default = getattr(RECIPES[DEFAULT_RECIPE], name)
    both_ways = [flag(name), f"--no-{name}"] if isinstance(default, bool) else [flag(name)]
    if isinstance(default, tuple):
        default = ",".join(str(width) for width in default)
    elif isinstance(default, bool):
        default = name if default else f"no-{name}"
    choices = CHOICES.get(name)
    return typer.Option(
        "/".join(both_ways),
        help=f"{text} {', '.join(choices)}." if choices else text,
        metavar="NAME" if choices else None,
        envvar=f"AECLI_{name.upper()}",
        show_envvar=False,
        show_default="off" if default is None else str(default),
        rich_help_panel=panel,
    )


def train(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Name (digits, mnist) or folder of IDX files.",
            show_default=DEFAULT_DATASET,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        _setting("recipe", "Model", f"What the defaults come from: {', '.join(RECIPES)}."),
    ] = None,
    hidden: Annotated[
        str | None,
        _setting("hidden", "Model", "Widths from image to code; the decoder mirrors them."),
    ] = None,
    latent: Annotated[int | None, _setting("latent", "Model", "Numbers in a code.")] = None,
    activation: Annotated[
        Activation | None, _setting("activation", "Model", "Between the layers:")
    ] = None,
    output: Annotated[Output | None, _setting("output", "Model", "After the decoder:")] = None,
    init: Annotated[Initializer | None, _setting("init", "Model", "Initial weights:")] = None,
    epochs: Annotated[
        int | None, _setting("epochs", "Training", "Passes over the training images.")
    ] = None,
    batch_size: Annotated[
        int | None,
        _setting(
            "batch_size", "Training", "Images a step; fewer by default on fewer than 8,192 images."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, _setting("learning_rate", "Training", "Adam's, at its highest.")
    ] = None,
    schedule: Annotated[
        Schedule | None, _setting("schedule", "Training", "Of the learning rate:")
    ] = None,
    shuffle: Annotated[
        bool | None, _setting("shuffle", "Training", "A new order each epoch, or file order.")
    ] = None,
    loss: Annotated[
        Loss | None, _setting("loss", "Training", "Squared error or cross-entropy:")
    ] = None,
    code_penalty: Annotated[
        float | None,
        _setting("code_penalty", "Training", "Weight of the mean fourth power of codes' length."),
    ] = None,
    seed: Annotated[
        int | None, _setting("seed", "Training", "Of the initial weights and of the order.")
    ] = None,
    patience: Annotated[
        int | None,
        _setting("patience", "Training", "Stop after this many epochs without a better one."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the run.",
            show_default="runs/DATASET",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the run's last epoch."),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="TOML file of settings, named like the options: batch_size = 128.",
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn an autoencoder from an image data set.

    Writes a run: the last and the best checkpoint, the config, the metrics of each epoch.

    Settings come from options, AECLI_* variables, --config and the recipe, in this order.

    [bold]Examples[/bold]

      aecli train

      aecli train mnist --latent 3 -o runs/mnist-3d

      aecli train mnist --recipe classic -o runs/classic

      aecli train --resume -o runs/classic --epochs 80

      AECLI_EPOCHS=20 aecli train ~/data/fashion
    """
    from aecli.cli.signals import catching_signals
    from aecli.console import Reporter
    from aecli.runs import RunFolder

    settings = read_toml(config) if config else {}
    settings |= {
        field.name: context.params[field.name]
        for field in fields(Config)
        if context.params[field.name] is not None
    }
    folder = RunFolder(out or RUNS / Path(dataset or DEFAULT_DATASET).resolve().name)
    if resume and force:
        raise InputError("--resume and --force exclude each other: go on, or begin again")
    job = _go_on(folder, settings, dataset) if resume else _begin(folder, settings, dataset, force)
    reporter = Reporter(quiet, as_json)
    reporter.say(job.headline)

    from aecli.train import train as run_training

    done = job.checkpoint.epoch if job.checkpoint else 0
    with (
        catching_signals() as stop,
        reporter.epochs(job.config.epochs, done) as report,
    ):
        summary = run_training(
            job.dataset,
            job.config,
            folder,
            about=_about_this_process(),
            resume_from=job.checkpoint,
            report=report,
            stop=stop,
        )
    if summary is None:
        reporter.say(f"stopped; go on with: aecli train --resume -o {folder.path}")
        raise typer.Exit(stop.exit_code)
    reporter.facts(_summary_rows(summary, job.config))
    reporter.say(f"wrote {folder.path}; next: aecli encode {folder.path}")
    reporter.result([folder.path], vars(summary))


@dataclass(frozen=True)
class _Job:
    """What to train, and from where."""

    config: Config
    dataset: "Dataset"
    checkpoint: "Checkpoint | None"

    @property
    def headline(self) -> str:
        rows = len(self.dataset.split("train").images)
        layers = [math.prod(self.dataset.image_shape), *self.config.hidden, self.config.latent]
        went = f", from epoch {self.checkpoint.epoch}" if self.checkpoint else ""
        return (
            f"{self.config.recipe} recipe, {'-'.join(map(str, layers))}, on {rows:,} images of "
            f"{self.dataset.name}{went}"
        )


def _begin(folder: "RunFolder", settings: dict[str, Any], dataset: str | None, force: bool) -> _Job:
    """Return the job of a new run; the cheap checks come before the data are read."""
    recipe = settings.pop("recipe", DEFAULT_RECIPE)
    if not isinstance(recipe, str):
        raise InputError(f"--recipe has a value of the wrong type: {recipe!r}")
    config = with_settings(choose_recipe(recipe), settings)
    if folder.path.exists() and not folder.path.is_dir():
        raise InputError(f"{folder.path} is a file: -o expects the folder of a run")
    if folder.exists and not force:
        raise InputError(
            f"{folder.path} holds a run already: --resume goes on with it, --force replaces it, "
            "-o names another folder"
        )
    from aecli.data import open_dataset

    data = open_dataset(dataset or DEFAULT_DATASET)
    if "batch_size" not in settings:
        config = fit_batch_size(config, len(data.split("train").images))
    return _Job(config, data, None)


def _go_on(folder: "RunFolder", settings: dict[str, Any], dataset: str | None) -> _Job:
    """Return the job of a run that goes on from its last checkpoint."""
    from aecli.checkpoint import load
    from aecli.data import open_dataset
    from aecli.train import resume_config

    if not folder.last.is_file():
        raise InputError(
            f"nothing to resume: {folder.path} has no {folder.last.name}; "
            f"aecli train -o {folder.path} begins a run"
        )
    checkpoint = load(folder.last)
    config = resume_config(checkpoint.config, settings, checkpoint.epoch)
    data = open_dataset(dataset or checkpoint.data.source)
    if data.fingerprint != checkpoint.data.fingerprint:
        raise InputError(
            f"{data.name} is not the data that {folder.path} was trained on, "
            f"{checkpoint.data.name} ({checkpoint.data.source}): their pixels differ"
        )
    return _Job(config, data, checkpoint)


def _about_this_process() -> dict[str, Any]:
    return {
        "command_line": sys.argv,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("aecli", "jax", "flax", "optax", "numpy")},
        },
    }


def _summary_rows(summary: "Summary", config: Config) -> list[tuple[str, str]]:
    return [
        ("best epoch", f"{summary.best_epoch} of {summary.epochs}"),
        (f"validation {config.loss}", f"{summary.validation_loss:.4f}"),
        ("test mse", f"{summary.test_mse:.4f}"),
        ("test mse of PCA", f"{summary.pca_mse:.4f} with {config.latent} dimensions too"),
        ("parameters", f"{summary.parameters:,}"),
        ("time", f"{summary.seconds:.1f} s"),
        ("speed", f"{summary.images_per_second:,.0f} images/s"),
    ]
