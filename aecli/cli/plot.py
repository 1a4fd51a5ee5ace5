"""`aecli plot`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aecli.cli.options import DEFAULT_RUN, ForceOption, JsonOption, QuietOption
from aecli.files import PICTURE_SUFFIXES, refuse_existing, refuse_inputs, require_suffix
from aecli.plot.kinds import DEFAULT_KIND, PLOTS, ColorBy, PlotOptions
from aecli.run.points import PER_POINT

if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[*PLOTS]


def _kinds_help() -> str:
    """Return the help of `--kind`: the kinds that draw codes, and those that draw a run."""
    kinds = {
        draws: "; ".join(
            f"{plot.name}, {plot.help}" for plot in PLOTS.values() if plot.draws == draws
        )
        for draws in ("codes", "run")
    }
    return f"Of codes: {kinds['codes']}. Of a run: {kinds['run']}."


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
    kind: Annotated[Kind, typer.Option(metavar="NAME", help=_kinds_help())] = DEFAULT_KIND,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Labels of the codes, as for aecli train, or numbers.",
            show_default="CODES.labels.npy",
        ),
    ] = None,
    color_by: Annotated[
        ColorBy,
        typer.Option(
            metavar="NAME",
            help=f"label; or what aecli score --per-point wrote: {', '.join(PER_POINT)}.",
        ),
    ] = PlotOptions.color_by,
    count: Annotated[int, typer.Option(help="How many reconstructions.")] = PlotOptions.count,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw codes as a map coloured by label, or a picture of a run.

    Codes of 1 number give a histogram for each label, of 2 or 3 a scatter, of more a scatter of
    the first two principal components.

    [bold]Examples[/bold]

      aecli plot runs/mnist/codes.npy -o map.png

      aecli plot runs/mnist --color-by trust -o trust.png

      aecli plot runs/mnist --kind reconstructions

      aecli plot runs/mnist --kind history -o losses.svg
    """
    from aecli.cli.console import Reporter
    from aecli.data.source import located

    chosen = PLOTS[kind]
    out = out or chosen.default_picture(source)
    require_suffix(out, *PICTURE_SUFFIXES)
    refuse_existing(out, force=force)
    named = [located(str(labels))[0]] if labels else []
    refuse_inputs([out], [*chosen.inputs(source), *named])
    reporter = Reporter(quiet, as_json)
    options = PlotOptions(labels, color_by, count, reporter.bar, out, reporter.say)
    figure = chosen.draw(source, options)

    from aecli.plot.save import save_figure

    save_figure(figure, out, replace=force)
    reporter.say(f"drew {out}")
    reporter.result([out], {"picture": str(out)})
