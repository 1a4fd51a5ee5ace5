"""Options that several commands share, and what they mean."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from aecli.config import DEFAULT_DATASET, SplitName

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


ForceOption = Annotated[bool, force_option()]
JsonOption = Annotated[bool, json_option()]
QuietOption = Annotated[bool, quiet_option()]
SplitOption = Annotated[
    SplitName,
    typer.Option("--split", metavar="NAME", help=f"Which rows: {', '.join(get_args(SplitName))}."),
]
