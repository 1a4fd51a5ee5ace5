"""Options that several commands share, and what they mean."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from aecli.config import CHOICES, DEFAULT_DATASET, DEFAULT_RECIPE, RECIPES, SplitName, flag
from aecli.errors import InputError

if TYPE_CHECKING:
    from aecli.data import Source

RUNS = Path("runs")
DEFAULT_RUN = RUNS / DEFAULT_DATASET

RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Folder of a run, or one of its checkpoints (.safetensors)."
    ),
]


def force_option(panel: str | None = None) -> Any:
    """Return `--force`, in a panel of the help."""
    return typer.Option("--force", help="Replace what exists.", rich_help_panel=panel)


def json_option(panel: str | None = None) -> Any:
    """Return `--json`, in a panel of the help."""
    return typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=panel)


def quiet_option(panel: str | None = None) -> Any:
    """Return `--quiet`, in a panel of the help."""
    return typer.Option(
        "--quiet", "-q", help="Print results and errors only.", rich_help_panel=panel
    )


def memory_option(panel: str | None = None) -> Any:
    """Return `--memory`, in a panel of the help."""
    return typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory that pixels may take, as 2GB; data that need more are streamed.",
        envvar="AECLI_MEMORY",
        show_envvar=False,
        show_default="half of what is free",
        rich_help_panel=panel,
    )


def setting_option(name: str, panel: str, text: str) -> Any:
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


ForceOption = Annotated[bool, force_option()]
JsonOption = Annotated[bool, json_option()]
QuietOption = Annotated[bool, quiet_option()]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Labels of a DATASET that is one array: .npy or IDX.",
        rich_help_panel="Data",
    ),
]
RescaleOption = Annotated[
    str | None,
    typer.Option(
        "--rescale",
        metavar="LOW,HIGH",
        help="Pixel values that mean 0 and 1, where their type does not say.",
        rich_help_panel="Data",
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="HxW",
        help="Stretch image files to this size: 28, or 32x48.",
        rich_help_panel="Data",
    ),
]
GrayscaleOption = Annotated[
    bool,
    typer.Option("--grayscale", help="Take the colours from image files.", rich_help_panel="Data"),
]
SplitOption = Annotated[
    SplitName | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help=f"Which rows: {', '.join(get_args(SplitName))}.",
        show_default="test; all of a DATASET without splits",
    ),
]


def source_from(
    dataset: str | None,
    *,
    labels: Path | None = None,
    validation: float | None = None,
    test: float | None = None,
    split_seed: int | None = None,
    rescale: str | None = None,
    size: str | None = None,
    grayscale: bool = False,
    like: "Source | None" = None,
    as_split: bool = False,
) -> "Source | None":
    """Return what the options say of the data, or None where DATASET was left out.

    What they do not say is as in the source `like`: how images are treated, and with `as_split`
    how they are split too.

    Raises:
        InputError: a value is out of range, or is about a DATASET that was left out.

    """
    from aecli.data import Source, parse_rescale, parse_size

    given: dict[str, Any] = {
        "labels": None if labels is None else str(labels),
        "validation": validation,
        "test": test,
        "split_seed": split_seed,
        "rescale": None if rescale is None else parse_rescale(rescale),
        "size": None if size is None else parse_size(size),
        "grayscale": grayscale or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if dataset is not None:
        if like is not None:
            kept = asdict(like)
            names = ["rescale", "size", "grayscale"]
            if as_split:
                names += ["labels", "validation", "test", "split_seed"]
            given = {name: kept[name] for name in names} | given
        return Source(dataset, **given)
    if given:
        flags = ", ".join(flag(name) for name in given)
        raise InputError(f"{flags} without a DATASET: expected the data that this is about")
    return None
