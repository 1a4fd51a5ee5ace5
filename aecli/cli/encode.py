"""`aecli encode`."""

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from aecli.background_import import importing
from aecli.cli.options import (
    DEFAULT_RUN,
    ForceOption,
    JsonOption,
    LabelsOption,
    QuietOption,
    RunArgument,
    SplitOption,
    memory_option,
    source_options,
)
from aecli.config import DEFAULT_ROWS_AT_A_TIME
from aecli.files import refuse_inputs, require_suffix


def encode(
    run: RunArgument = DEFAULT_RUN,
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET",
            help="Name, folder or file of the images.",
            show_default="what the run was trained on",
        ),
    ] = None,
    labels: LabelsOption = None,
    split: SplitOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The codes.", show_default="RUN/codes[-SPLIT].npy"),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(help="Images at a time; the codes do not depend on it.")
    ] = DEFAULT_ROWS_AT_A_TIME,
    memory: Annotated[str | None, memory_option()] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn images into codes with a run's best checkpoint.

    Writes float32 (n, d) to NAME.npy, the labels to NAME.labels.npy where there are any, and
    where the codes came from to NAME.json.

    [bold]Examples[/bold]

      aecli encode runs/mnist

      aecli encode runs/mnist --split train -o train.npy

      aecli encode runs/mnist ~/data/fashion -o fashion.npy
    """
    started = time.perf_counter()
    from aecli.cli.console import Reporter
    from aecli.data import choose_source
    from aecli.memory import default_memory, parse_memory
    from aecli.run.checkpoint import load
    from aecli.run.codes import (
        default_codes_path,
        labels_path,
        provenance_path,
        refuse_existing_codes,
        write_codes,
    )
    from aecli.run.folder import find_checkpoint, folder_of
    from aecli.run.reopen import default_split, open_for

    out = out or default_codes_path(folder_of(run).path, split)
    require_suffix(out, ".npy")
    checkpoint = load(find_checkpoint(run))
    refuse_existing_codes(out, force=force)
    # New images are treated as those were that the run was trained on.
    options = source_options(labels=labels)
    source = choose_source(dataset, options, like=checkpoint.data.source)
    read = source or checkpoint.data.source
    for path in (out, labels_path(out), provenance_path(out)):
        refuse_inputs(path, *[Path(name) for name in (read.location, read.labels) if name])
    reporter = Reporter(quiet, as_json)
    with importing("aecli.encode"):
        data = open_for(checkpoint, source, reporter.bar)
    split = split or default_split(data, named=source is not None)

    from aecli.encode import encode_split

    with reporter.bar("encoding", data.count(split)) as advance:
        codes = encode_split(
            checkpoint,
            data,
            split,
            batch_size=batch_size,
            memory=default_memory() if memory is None else parse_memory(memory),
            report=advance,
        )
        written = write_codes(out, codes)
    rows, dimensions = codes.shape
    seconds = time.perf_counter() - started
    reporter.say(
        f"wrote {rows:,} codes of {dimensions} numbers in {seconds:.1f} s: "
        f"{', '.join(path.name for path in written)}; next: aecli plot {shlex.quote(str(out))}"
    )
    reporter.result(
        [out],
        {"codes": str(out), "rows": rows, "dimensions": dimensions, "seconds": seconds},
    )
