"""`aecli plot`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aecli.cli.options import DEFAULT_RUN, ForceOption, JsonOption, QuietOption
from aecli.cli.reopen import reopen
from aecli.errors import InputError
from aecli.files import PICTURE_SUFFIXES, kind_of, refuse_existing, require_suffix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["map", "reconstructions", "history"]


def plot(
    source: Annotated[
        Path,
        typer.Argument(metavar="CODES|RUN", help="Codes (.npy), or a run: its codes.npy is drawn."),
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
            metavar="NAME",
            help="map: codes. Of a run: reconstructions, beside their images; history, the loss by "
            "epoch.",
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

    if kind == "map":
        codes = _codes_of_run(source) if kind_of(source) == "folder" else source
        out = out or codes.with_suffix(".png")
    else:
        out = out or source / f"{kind}.png"
        if kind_of(source) == "file":
            raise InputError(f"--kind {kind} draws a run: expected its folder, got {source}")
    require_suffix(out, *PICTURE_SUFFIXES)
    refuse_existing(out, force=force)
    if kind == "map":
        figure = _map(codes, labels)
    else:
        figure = _reconstructions(source, count) if kind == "reconstructions" else _history(source)

    from aecli.plot import save_figure

    save_figure(figure, out)
    reporter = Reporter(quiet, as_json)
    reporter.say(f"drew {out}")
    reporter.result([out], {"picture": str(out)})


def _codes_of_run(run: Path) -> Path:
    """Return the codes that lie in a run's folder, if they are this run's."""
    from aecli.checkpoint import load
    from aecli.codes import read_codes
    from aecli.runs import RunFolder

    codes = run / "codes.npy"
    hint = f"aecli encode {shlex.quote(str(run))}"
    if kind_of(codes) != "file":
        raise InputError(f"{run} has no codes.npy: {hint} makes it")
    best = RunFolder(run).best
    provenance = read_codes(codes).provenance or {}
    if kind_of(best) == "file" and "model_sha256" in provenance:
        models = {load(path).model_hash for path in (best, RunFolder(run).last)}
        if provenance["model_sha256"] not in models:
            raise InputError(f"{codes} is older than the run: {hint} --force makes it anew")
    return codes


def _map(path: Path, labels: Path | None) -> "Figure":
    from aecli.codes import read_codes
    from aecli.plot import map_figure

    return map_figure(read_codes(path, labels), path.name)


def _history(run: Path) -> "Figure":
    from aecli.checkpoint import load
    from aecli.plot import history_figure
    from aecli.runs import RunFolder, find_checkpoint

    find_checkpoint(run)
    checkpoint = load(RunFolder(run).last)
    title = f"{checkpoint.data.name}, {checkpoint.config.recipe} recipe: loss by epoch"
    return history_figure(checkpoint.history, checkpoint.config.loss, title)


def _reconstructions(run: Path, count: int) -> "Figure":
    from aecli.checkpoint import load
    from aecli.runs import find_checkpoint

    checkpoint = load(find_checkpoint(run))
    dataset = reopen(checkpoint)

    from aecli.encode import reconstruct
    from aecli.plot import reconstructions_figure

    originals, reconstructions = reconstruct(checkpoint, dataset, count)
    title = (
        f"{dataset.name} test: the first {len(originals)} images and their reconstructions from "
        f"{checkpoint.config.latent} numbers"
    )
    return reconstructions_figure(originals, reconstructions, title)
