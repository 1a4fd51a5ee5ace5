"""`aecli explore`."""

from pathlib import Path
from typing import Annotated

import typer

from aecli.addresses import is_address
from aecli.cli.options import (
    DEFAULT_RUN,
    ForceOption,
    JsonOption,
    QuietOption,
    SplitOption,
)
from aecli.files import refuse_existing, refuse_inputs, require_suffix


def explore(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN|CODES", help="A run, one of its checkpoints, or codes (.npy)."),
    ] = DEFAULT_RUN,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The page: .html.", show_default="RUN/map.html, beside the codes"
        ),
    ] = None,
    split: SplitOption = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Labels of CODES, as for aecli train, or numbers.",
            show_default="CODES.labels.npy",
        ),
    ] = None,
    thumbnails: Annotated[
        str | None,
        typer.Option(
            metavar="N|none",
            help="At most how many images have a picture in the page.",
            show_default="100000",
        ),
    ] = None,
    color_by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Colour by a number or class for each code too: FILE.npy, FILE.csv:COLUMN; may be "
            "given several times.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Title of the page.", show_default="the data set and split")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the living map: one HTML file to look into, offline, in any browser.

    It shows the codes as dots, nearer as their images, and what the decoder makes of the place
    under the cursor. New images can be dropped or drawn; images can be selected and exported.
    Nothing leaves the page.

    [bold]Examples[/bold]

      aecli explore runs/mnist --open

      aecli explore runs/mnist --split train -o train.html

      aecli explore codes.npy --thumbnails none

      aecli explore runs/mnist --color-by ages.csv:age --color-by clusters.npy
    """
    from aecli.cli.console import Reporter
    from aecli.data import refuse_data_files
    from aecli.data.source import located
    from aecli.explore.job import MOST_THUMBNAILS, PageOptions, write_page
    from aecli.remote.output import output_at
    from aecli.run.codes import codes_files, is_codes, point_files
    from aecli.run.folder import folder_of
    from aecli.run.part import find_codes
    from aecli.subject import find_subject

    reporter = Reporter(quiet, as_json)
    source = find_codes(source)
    of_codes = is_codes(source)
    name = "map.html" if split in (None, "test") else f"map-{split}.html"
    default = source.with_suffix(".html") if of_codes else folder_of(source).path / name
    out = out or default
    require_suffix(out, ".html", ".htm")
    with output_at(out, force=force) as target:
        refuse_existing(target.place, force=force)
        most = MOST_THUMBNAILS if thumbnails is None else _parse_thumbnails(thumbnails)
        subject = find_subject(source, split, labels, reporter.say, reporter.bar)
        own = [] if of_codes else folder_of(source).files
        named = [
            located(name)[0] for name in [*([str(labels)] if labels else []), *(color_by or ())]
        ]
        read = [*own, *named, *codes_files(subject.path), *point_files(subject.path)]
        refuse_inputs([target.place], read)
        if subject.dataset is not None:
            refuse_data_files([target.place], subject.dataset)
        options = PageOptions(most, title, tuple(color_by or ()), reporter.bar, reporter.say)
        written = write_page(subject, target.place, options, replace=force)
    for note in written.notes:
        reporter.say(note)
    has = f"{written.codes:,} codes, {written.thumbnails:,} of them with their images"
    model = "" if written.decodes else ", without a decoder"
    opened = "" if show else "; open it in a browser, or add --open"
    reporter.say(f"wrote {target.name} ({written.size / 1e6:.1f} MB): {has}{model}{opened}")
    if show and not _open(target.name):
        reporter.say(f"no browser could be started: open {out} in one")
    reporter.result(
        [target.name],
        {
            "page": target.name,
            "codes": written.codes,
            "thumbnails": written.thumbnails,
            "decodes": written.decodes,
            "bytes": written.size,
            "notes": list(written.notes),
        },
    )


def _parse_thumbnails(text: str) -> int:
    if text == "none":
        return 0
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) <= 10_000_000):
        raise typer.BadParameter(
            f"--thumbnails {text!r}: expected a number in 1..10000000, or none"
        )
    return int(text)


def _open(page: str) -> bool:
    import webbrowser

    return webbrowser.open(page if is_address(page) else Path(page).resolve().as_uri())
