"""`aecli export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aecli.cli.options import DEFAULT_RUN, ForceOption, JsonOption, QuietOption, SplitOption
from aecli.export.formats import DEFAULT_FORMAT, FORMATS

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[*FORMATS]

_FORMATS_HELP = "; ".join(f"{form.name}, {form.help}" for form in FORMATS.values())


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|CODES",
            help="A run, one of its checkpoints, or codes (.npy) for projector and csv.",
        ),
    ] = DEFAULT_RUN,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder of the files.", show_default="RUN/FORMAT, beside the codes"
        ),
    ] = None,
    form: Annotated[
        FormatName, typer.Option("--format", metavar="NAME", help=f"{_FORMATS_HELP}.")
    ] = DEFAULT_FORMAT,
    input_type: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="TYPE",
            help="Type of the pixels that go into the ONNX encoder: uint8, uint16 or float32.",
            show_default="the run's own",
        ),
    ] = None,
    split: SplitOption = None,
    sample: Annotated[
        int | None,
        typer.Option(
            help="At most how many codes for the projector, drawn at random.", show_default="100000"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of this draw.", show_default="0")] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a trained map in the files of other programs.

    ONNX files have the scaling of the pixels inside. They are compared with aecli encode and decode
    on images of the run before they are written.

    [bold]Examples[/bold]

      aecli export runs/mnist

      aecli export runs/mnist -o mobile --input float32

      aecli export runs/mnist --format projector --split train --sample 20000

      aecli export runs/mnist --format csv

      aecli export runs/mnist --format torch

      aecli export runs/mnist --format hub -o ~/models/mnist-map
    """
    from aecli.cli.console import Reporter
    from aecli.export.formats import default_folder
    from aecli.export.formats import export as export_as
    from aecli.export.options import ExportOptions

    reporter = Reporter(quiet, as_json)
    options = ExportOptions(
        input=input_type,
        split=split,
        sample=sample,
        seed=seed,
        replace=force,
        bar=reporter.bar,
        say=reporter.say,
    )
    exported = export_as(source, form, out or default_folder(source, form), options)
    reporter.say(exported.line)
    files = [str(path) for path in exported.files]
    reporter.result(exported.files, {"format": form, "files": files, **exported.facts})
