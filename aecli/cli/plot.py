"""`aecli plot`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aecli.cli.options import DEFAULT_RUN, ForceOption, JsonOption, QuietOption
from aecli.errors import InputError
from aecli.files import PICTURE_SUFFIXES, refuse_existing, require_suffix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["map", "reconstructions", "history"]


def plot(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="[CODES|RUN]", help="Codes (.npy), or a run: its codes.npy is drawn."
        ),
    ] = DEFAULT_RUN,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The picture: .png, .svg or .pdf.",
            show_default="beside what is drawn",
        ),
    ] = None,
    kind: Annotated[
        Kind,
        typer.Option(
            help="A map of codes; or of a run, images beside their reconstructions, or its losses "
            "by epoch."
        ),
    ] = "map",
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels of the codes (.npy).", show_default="CODES.labels.npy"),
    ] = None,
    count: Annotated[int, typer.Option(help="How many reconstructions.")] = 10,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw codes as a map coloured by label, or what a run has learned.

    One number a code gives a histogram for each label, two and three a scatter, more a scatter
    of the first two principal components.

    [bold]Examples[/bold]

      aecli plot runs/mnist/codes.npy -o map.png

      aecli plot runs/mnist --kind reconstructions

      aecli plot runs/mnist --kind history -o losses.svg
    """
    from aecli.console import Reporter

    if kind == "map" and source.is_dir():
        codes = source / "codes.npy"
        if not codes.is_file():
            raise InputError(f"{source} has no codes.npy: aecli encode {source} makes it")
        source = codes
    if kind != "map" and source.is_file():
        raise InputError(f"--kind {kind} draws a run: expected its folder, got {source}")
    out = out or (source.with_suffix(".png") if kind == "map" else source / f"{kind}.png")
    require_suffix(out, *PICTURE_SUFFIXES)
    refuse_existing(out, force=force)
    figure = {
        "map": lambda: _map(source, labels),
        "reconstructions": lambda: _reconstructions(source, count),
        "history": lambda: _history(source),
    }[kind]()

    from aecli.plot import save_figure

    save_figure(figure, out)
    reporter = Reporter(quiet, as_json)
    reporter.say(f"drew {out}")
    reporter.result([out], {"picture": str(out)})


def _map(path: Path, labels: Path | None) -> "Figure":
    from aecli.codes import read_codes
    from aecli.plot import map_figure

    return map_figure(read_codes(path, labels), path.name)


def _history(run: Path) -> "Figure":
    from aecli.checkpoint import load
    from aecli.plot import history_figure
    from aecli.runs import RunFolder, find_checkpoint

    checkpoint = load(find_checkpoint(run))
    title = f"{checkpoint.data.name}, {checkpoint.config.recipe} recipe: loss by epoch"
    return history_figure(RunFolder(run).read_metrics(), checkpoint.config.loss, title)


def _reconstructions(run: Path, count: int) -> "Figure":
    from aecli.checkpoint import load
    from aecli.data import open_dataset
    from aecli.runs import find_checkpoint

    checkpoint = load(find_checkpoint(run))
    dataset = open_dataset(checkpoint.data.source)

    from aecli.encode import reconstruct
    from aecli.plot import reconstructions_figure

    originals, reconstructions = reconstruct(checkpoint, dataset, count)
    title = (
        f"{dataset.name} test: the first {len(originals)} images and their reconstructions from "
        f"{checkpoint.config.latent} numbers"
    )
    return reconstructions_figure(originals, reconstructions, title)
