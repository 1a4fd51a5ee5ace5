"""Options that several commands share, and what they mean."""

from pathlib import Path
from typing import Annotated, get_args

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
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what exists.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
SplitOption = Annotated[
    SplitName,
    typer.Option("--split", metavar="NAME", help=f"Which rows: {', '.join(get_args(SplitName))}."),
]
