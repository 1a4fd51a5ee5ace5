"""`aecli data`."""

from pathlib import Path
from typing import Annotated

import typer

from aecli.cli.options import (
    CheckedCommand,
    ForceOption,
    GrayscaleOption,
    JsonOption,
    LabelsOption,
    NoLabelsOption,
    QuietOption,
    RescaleOption,
    SizeOption,
    SkipBrokenOption,
    source_options,
)
from aecli.config import DEFAULT_DATASET
from aecli.files import PICTURE_SUFFIXES, refuse_existing, require_suffix

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PICTURE_IMAGES = 100


@app.callback()
def data() -> None:
    """List, fetch and inspect data sets."""


@app.command("list", cls=CheckedCommand)
def list_(as_json: JsonOption = False) -> None:
    """List the data sets that have a name, their size, and where they are on this machine.

    [bold]Examples[/bold]

      aecli data list
    """
    from aecli.cli.console import Reporter, print_table
    from aecli.data import list_named

    listed = list_named()
    if as_json:
        Reporter(json=True).result([], {one.name: one.place for one in listed})
        return
    rows = [
        (
            one.name,
            f"{one.images:,}",
            f"{one.size / 10**6:,.1f} MB",
            one.place or f"not here; aecli data fetch {one.name}",
        )
        for one in listed
    ]
    print_table(("name", "images", "size", "where"), rows)


@app.command(cls=CheckedCommand)
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the data set, as in aecli data list.")
    ],
    quiet: QuietOption = False,
) -> None:
    """Fetch a data set by its name, unless it is here already, and check its content.

    It goes into $AECLI_DATA_DIR if that is set, else into the cache folder. AECLI_MIRROR sets
    another address to fetch from.

    [bold]Examples[/bold]

      aecli data fetch fashion-mnist
    """
    from aecli.cli.console import Reporter
    from aecli.data import fetch_named

    reporter = Reporter(quiet)
    folder = fetch_named(name, reporter.bar)
    reporter.say(f"{name} is in {folder}; next: aecli train {name}")
    reporter.result([folder], {})


@app.command(cls=CheckedCommand)
def show(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="Name, folder, file or address, as for aecli train."
        ),
    ] = DEFAULT_DATASET,
    labels: LabelsOption = None,
    no_labels: NoLabelsOption = False,
    rescale: RescaleOption = None,
    size: SizeOption = None,
    grayscale: GrayscaleOption = False,
    skip_broken: SkipBrokenOption = False,
    picture: Annotated[
        Path | None,
        typer.Option(help=f"Draw the first {_PICTURE_IMAGES} training images: .png, .svg or .pdf."),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is in a data set: shape, type of pixel, range, splits, classes, fingerprint.

    [bold]Examples[/bold]

      aecli data show mnist

      aecli data show images.npy --labels labels.npy --picture grid.png
    """
    from aecli.cli.console import Reporter, print_facts
    from aecli.data import choose_source, open_dataset, refuse_data_files
    from aecli.data.describe import describe, facts, first_images

    if picture is not None:
        require_suffix(picture, *PICTURE_SUFFIXES)
        refuse_existing(picture, force=force)
    options = source_options(
        labels=labels,
        no_labels=no_labels,
        rescale=rescale,
        size=size,
        grayscale=grayscale,
        skip_broken=skip_broken,
    )
    reporter = Reporter(json=as_json)
    opened = open_dataset(choose_source(dataset, options) or dataset, reporter.bar)
    if picture is not None:
        refuse_data_files([picture], opened)
    description = describe(opened)
    if picture is not None:
        from aecli.plot.images import grid_figure, lines_figure, plan_grid
        from aecli.plot.save import save_figure

        opened.check_splits("train")
        count = min(_PICTURE_IMAGES, opened.count("train"))
        grid = plan_grid(count, *opened.image_shape[:2])
        if opened.standardised:
            figure = lines_figure(first_images(opened, count), count)
        else:
            figure = grid_figure(first_images(opened, grid.count), grid)
        save_figure(figure, picture, replace=force)
        if grid.note and not opened.standardised:
            reporter.say(grid.note)
    if as_json:
        reporter.result([], description)
    else:
        print_facts(facts(description))
