"""`aecli encode`."""

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from aecli.cli.options import (
    DEFAULT_RUN,
    FeaturesOption,
    ForceOption,
    GrayscaleOption,
    JsonOption,
    LabelsOption,
    NoLabelsOption,
    QuietOption,
    RescaleOption,
    RunArgument,
    SizeOption,
    SkipBrokenOption,
    SplitOption,
    memory_option,
    source_options,
)
from aecli.config import DEFAULT_ROWS_AT_A_TIME


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
    no_labels: NoLabelsOption = False,
    rescale: RescaleOption = None,
    size: SizeOption = None,
    grayscale: GrayscaleOption = False,
    skip_broken: SkipBrokenOption = False,
    features: FeaturesOption = None,
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
    where the codes came from to NAME.json. New images get the size, the channels and the range of
    those that the run was trained on, and the command says so; --rescale names another range.

    [bold]Examples[/bold]

      aecli encode runs/mnist

      aecli encode runs/mnist --split train -o train.npy

      aecli encode runs/mnist ~/data/fashion -o fashion.npy
    """
    started = time.perf_counter()
    from aecli.cli.console import Reporter, force_if_there
    from aecli.encode_job import encode_job
    from aecli.memory import default_memory, parse_memory
    from aecli.plot.kinds import DEFAULT_KIND, PLOTS
    from aecli.printable import plural
    from aecli.run.codes import write_codes
    from aecli.run.reopen import notes

    reporter = Reporter(quiet, as_json)
    options = source_options(
        labels=labels,
        no_labels=no_labels,
        rescale=rescale,
        size=size,
        grayscale=grayscale,
        skip_broken=skip_broken,
        features=features,
    )
    job = encode_job(run, dataset, options, split, out, reporter.bar, force=force)

    from aecli.encode import encode_split

    for note in notes(job.dataset, job.split, job.checkpoint, named=dataset is not None):
        reporter.say(note)
    with reporter.bar("encoding", job.dataset.count(job.split)) as advance:
        codes = encode_split(
            job.checkpoint,
            job.dataset,
            job.split,
            batch_size=batch_size,
            memory=default_memory() if memory is None else parse_memory(memory),
            report=advance,
        )
        written = write_codes(job.out, codes, replace=force)
    rows, dimensions = codes.shape
    seconds = time.perf_counter() - started
    picture = PLOTS[DEFAULT_KIND].default_picture(job.out)
    plot = shlex.join(["aecli", "plot", str(job.out), *force_if_there(picture)])
    reporter.say(
        f"wrote {plural(rows, 'code')} of {plural(dimensions, 'number')} in {seconds:.1f} s: "
        f"{', '.join(path.name for path in written)}; next: {plot}"
    )
    reporter.result(
        [job.out],
        {
            "codes": str(job.out),
            "rows": rows,
            "dimensions": dimensions,
            "converted": dict(job.dataset.converted),
            "outside": job.dataset.outside_count(job.split),
            "seconds": seconds,
        },
    )
