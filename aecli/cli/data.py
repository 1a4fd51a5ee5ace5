"""`aecli data`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aecli.cli.options import (
    ForceOption,
    GrayscaleOption,
    JsonOption,
    LabelsOption,
    RescaleOption,
    SizeOption,
    source_from,
)
from aecli.config import DEFAULT_DATASET
from aecli.files import PICTURE_SUFFIXES, refuse_existing, require_suffix

if TYPE_CHECKING:
    from aecli.data import Dataset

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SAMPLES = 100


@app.callback()
def data() -> None:
    """Look at data sets: which there are, and what is in one."""


@app.command("list")
def list_() -> None:
    """List the data sets that have a name, and where they are.

    [bold]Examples[/bold]

      aecli data list
    """
    from aecli.console import print_table
    from aecli.data import dataset_names, mnist_folder

    places = {"digits": "comes with scikit-learn", "mnist": str(mnist_folder() or "not here")}
    print_table(("name", "where"), [(name, places[name]) for name in dataset_names()])


@app.command()
def show(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Name, folder or file, as for aecli train.")
    ] = DEFAULT_DATASET,
    labels: LabelsOption = None,
    rescale: RescaleOption = None,
    size: SizeOption = None,
    grayscale: GrayscaleOption = False,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw the first 100 training images: .png, .svg or .pdf."),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is in a data set: shape, type of pixel, range, splits, classes, fingerprint.

    [bold]Examples[/bold]

      aecli data show mnist

      aecli data show images.npy --labels labels.npy --picture grid.png
    """
    from aecli.console import Reporter, print_facts
    from aecli.data import open_dataset, rows_between

    if picture is not None:
        require_suffix(picture, *PICTURE_SUFFIXES)
        refuse_existing(picture, force=force)
    source = source_from(
        dataset,
        labels=labels,
        rescale=rescale,
        size=size,
        grayscale=grayscale,
    )
    opened = open_dataset(source or dataset)
    about = _describe(opened)
    if picture is not None:
        from aecli.pixels import unit_range
        from aecli.plot import grid_figure, save_figure

        samples = opened.images[rows_between(opened.rows("train"), 0, _SAMPLES)]
        save_figure(grid_figure(unit_range(samples)), picture)
    if as_json:
        Reporter(json=True).result([], about)
    else:
        print_facts(_facts(about))


def _describe(dataset: "Dataset") -> dict[str, Any]:
    import numpy as np

    from aecli.data import extremes

    lowest, highest = extremes(dataset.images)
    classes: dict[str, int] | None = None
    if dataset.labels is not None:
        values, counts = np.unique(dataset.labels, return_counts=True)
        names = dataset.class_names
        classes = {
            names[value] if names else str(value): int(count)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True)
        }
    return {
        **dataset.describe().to_json(),
        "lowest": lowest,
        "highest": highest,
        "own_splits": dataset.has_own_splits,
        "classes": classes,
    }


def _facts(about: dict[str, Any]) -> list[tuple[str, str]]:
    drawn = "" if about["own_splits"] else ", drawn at random"
    classes = about["classes"]
    return [
        ("name", about["name"]),
        ("source", about["source"]["location"]),
        ("images", "x".join(str(length) for length in about["image_shape"])),
        ("pixels", f"{about['pixels']}, from {about['lowest']:g} to {about['highest']:g}"),
        (
            "splits",
            ", ".join(f"{rows:,} {split}" for split, rows in about["rows"].items()) + drawn,
        ),
        (
            "classes",
            ", ".join(f"{name}: {count:,}" for name, count in classes.items())
            if classes
            else "no labels",
        ),
        ("fingerprint", about["fingerprint"]),
    ]
