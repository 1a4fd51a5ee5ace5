"""`aecli plot`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aecli.cli.options import DEFAULT_RUN, ForceOption, JsonOption, QuietOption
from aecli.files import PICTURE_SUFFIXES, refuse_existing, refuse_inputs, require_suffix
from aecli.plot.kinds import DEFAULT_KIND, PLOTS
from aecli.plot.options import BY_LABEL, LIMITS, PlotOptions
from aecli.run.points import PER_POINT

if TYPE_CHECKING:
    Kind = str
    Limits = str
else:
    Kind = Literal[*PLOTS]
    Limits = Literal[*LIMITS]


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
        str,
        typer.Option(
            metavar="NAME|FILE",
            help=f"{BY_LABEL}; what aecli score --per-point wrote ({', '.join(PER_POINT)}); or a "
            "number or class for each code: FILE.npy, FILE.csv:COLUMN.",
        ),
    ] = PlotOptions.color_by,
    highlight: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="The only classes in colour; the others are gray."),
    ] = None,
    over: Annotated[
        Path | None,
        typer.Option(metavar="CODES|RUN", help="Draw the codes over these, which are gray."),
    ] = None,
    limits: Annotated[
        Limits,
        typer.Option(
            metavar="|".join(LIMITS),
            help="auto leaves a few codes far out at the border; all shows everything.",
        ),
    ] = LIMITS[0],
    title: Annotated[
        str | None, typer.Option(help="The title.", show_default="what is drawn")
    ] = None,
    no_names: Annotated[
        bool, typer.Option("--no-names", help="Leave the names of classes to the legend.")
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Size of the map's picture in inches.",
            show_default="8x7, wider for a long legend",
        ),
    ] = None,
    dpi: Annotated[
        int | None, typer.Option(help="Dots an inch of the map's picture.", show_default="160")
    ] = None,
    dot_size: Annotated[
        float | None,
        typer.Option(help="Diameter of a dot in points.", show_default="by the number of codes"),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            help="How many images: in a row, or along a side of grid and thumbnails.",
            show_default="by kind",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="CODE", help="Where a walk begins: a row, a file name, or a code."
        ),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="CODE", help="Where it ends.")] = None,
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

      aecli plot runs/mnist --color-by ages.csv:age --title "Age in years"

      aecli plot runs/mnist --highlight 3,8 -o threes.svg

      aecli plot new.npy --over runs/mnist/codes-train.npy

      aecli plot runs/mnist --kind grid

      aecli plot runs/mnist --kind thumbnails --count 40

      aecli plot runs/mnist --kind walk --from 0 --to 3

      aecli plot runs/mnist --kind worst

      aecli plot runs/mnist --kind history -o losses.svg
    """
    from aecli.cli.console import Reporter
    from aecli.remote.output import output_at

    chosen = PLOTS[kind]
    out = out or chosen.default_picture(source)
    require_suffix(out, *PICTURE_SUFFIXES)
    reporter = Reporter(quiet, as_json)
    with output_at(out, force=force) as target:
        refuse_existing(target.place, force=force)
        options = PlotOptions(
            labels=labels,
            color_by=color_by,
            over=over,
            highlight=highlight,
            limits=limits,
            size=size,
            dpi=dpi,
            dot_size=dot_size,
            no_names=no_names,
            title=title,
            count=count,
            start=start,
            end=end,
            bar=reporter.bar,
            out=target.place,
            say=reporter.say,
        )
        refuse_inputs([target.place], [*chosen.inputs(source), *options.inputs()])
        figure = chosen.draw(source, options)

        from aecli.plot.save import save_figure

        save_figure(figure, target.place, replace=force)
    reporter.say(f"drew {target.name}")
    reporter.result([target.name], {"picture": target.name})
