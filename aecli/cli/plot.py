"""`aecli plot`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aecli.cli.options import DEFAULT_RUN, ForceOption, JsonOption, QuietOption
from aecli.errors import InputError
from aecli.files import PICTURE_SUFFIXES, kind_of, refuse_existing, refuse_inputs, require_suffix
from aecli.run.reopen import reopen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aecli.data import Bar
    from aecli.run.codes import Codes

Kind = Literal["map", "reconstructions", "history"]
ColorBy = Literal["label", "trust", "error", "moved"]
# What the numbers of each code are.
_MEANINGS = {
    "trust": "share of the true neighbours kept",
    "error": "squared error of the reconstruction, a pixel",
    "moved": "distance from the mean place over the seeds",
}


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
    color_by: Annotated[
        ColorBy,
        typer.Option(
            metavar="NAME",
            help="label; or of aecli score --per-point: trust, error or moved.",
        ),
    ] = "label",
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

      aecli plot runs/mnist --color-by trust -o trust.png

      aecli plot runs/mnist --kind reconstructions

      aecli plot runs/mnist --kind history -o losses.svg
    """
    from aecli.cli.console import Reporter

    if kind == "map":
        run = source if kind_of(source) == "folder" else None
        codes = source / "codes.npy" if run else source
        out = out or codes.with_suffix(".png")
    else:
        out = out or source / f"{kind}.png"
        if kind_of(source) == "file":
            raise InputError(f"--kind {kind} draws a run: expected its folder, got {source}")
    require_suffix(out, *PICTURE_SUFFIXES)
    refuse_existing(out, force=force)
    reporter = Reporter(quiet, as_json)
    if kind == "map":
        refuse_inputs(out, codes, *([labels] if labels else []))
        figure = _map(codes, labels, run, color_by)
    elif kind == "reconstructions":
        figure = _reconstructions(source, count, reporter.bar)
    else:
        figure = _history(source)

    from aecli.plot.save import save_figure

    save_figure(figure, out)
    reporter.say(f"drew {out}")
    reporter.result([out], {"picture": str(out)})


def _map(path: Path, labels: Path | None, run: Path | None, color_by: ColorBy) -> "Figure":
    """Draw codes; `run` is the folder whose codes they have to be, if they were named by it."""
    from aecli.plot.colors import ContinuousColors
    from aecli.plot.maps import map_figure
    from aecli.run.codes import read_codes, read_point_values

    hint = f"aecli encode {shlex.quote(str(run))}"
    if run is not None and kind_of(path) != "file":
        raise InputError(f"{run} has no {path.name}: {hint} makes it")
    codes = read_codes(path, labels)
    if run is not None and not _made_by(run, codes):
        raise InputError(f"{path} is older than the run: {hint} --force makes it anew")
    if color_by == "label":
        return map_figure(codes, path.name)
    values = read_point_values(path, color_by, len(codes.values))
    return map_figure(codes, path.name, ContinuousColors(_MEANINGS[color_by], values))


def _made_by(run: Path, codes: "Codes") -> bool:
    """Return whether a run's best or last parameters made these codes, as far as they tell."""
    from aecli.run.checkpoint import load
    from aecli.run.folder import RunFolder

    folder = RunFolder(run)
    made_by = (codes.provenance or {}).get("model_sha256")
    if made_by is None or kind_of(folder.best) != "file":
        return True
    return made_by in {load(path).model_hash for path in (folder.best, folder.last)}


def _history(run: Path) -> "Figure":
    from aecli.plot.history import history_figure
    from aecli.run.checkpoint import load
    from aecli.run.folder import RunFolder, find_checkpoint

    find_checkpoint(run)
    checkpoint = load(RunFolder(run).last)
    title = f"{checkpoint.data.name}, {checkpoint.config.recipe} recipe: loss by epoch"
    return history_figure(checkpoint.history, checkpoint.config.loss, title)


def _reconstructions(run: Path, count: int, bar: "Bar") -> "Figure":
    from aecli.run.checkpoint import load
    from aecli.run.folder import find_checkpoint

    checkpoint = load(find_checkpoint(run))
    dataset = reopen(checkpoint, bar)

    from aecli.encode import reconstruct
    from aecli.plot.images import reconstructions_figure

    originals, reconstructions = reconstruct(checkpoint, dataset, count)
    title = (
        f"{dataset.name} test: the first {len(originals)} images and their reconstructions from "
        f"{checkpoint.config.latent} numbers"
    )
    return reconstructions_figure(originals, reconstructions, title)
