"""`aecli encode`."""

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from aecli.errors import InputError
from aecli.printable import plural

if TYPE_CHECKING:
    from aecli.cli.console import Reporter
    from aecli.encode_job import EncodeJob
    from aecli.run.part import Part


def encode(
    context: typer.Context,
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
    spread: Annotated[
        bool,
        typer.Option(
            "--spread",
            help="Write the standard deviations of a vae's codes to NAME.spread.npy too.",
        ),
    ] = False,
    force: ForceOption = False,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="I/N|auto",
            help="Encode one of N parts of the images, counted from 0, to NAME-I-of-N.npy. auto "
            "takes both numbers from an array job, auto/N the task's alone.",
            rich_help_panel="Parts",
        ),
    ] = None,
    merge: Annotated[
        Path | None,
        typer.Option(
            metavar="NAME.npy",
            help="Put the parts of NAME.npy together, without a RUN; into -o, if it is given.",
            rich_help_panel="Parts",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn images into codes with a run's best checkpoint.

    Writes float32 (n, d) to NAME.npy, the labels to NAME.labels.npy where there are any, and
    where the codes came from to NAME.json. New images get the size, the channels and the range of
    those that the run was trained on, and the command says so; --rescale names another range.

    Many processes or machines may share the images: each makes a --part, and --merge proves that
    all parts are there, whole, and of one model and one data set. A whole part is not made again.

    [bold]Examples[/bold]

      aecli encode runs/mnist

      aecli encode runs/mnist --split train -o train.npy

      aecli encode runs/mnist ~/data/fashion -o fashion.npy

      aecli encode runs/mnist all.npy -o codes.npy --part 3/16

      aecli encode runs/mnist all.npy -o codes.npy --part auto

      aecli encode --merge codes.npy

      aecli encode runs/vae --spread

      aecli encode runs/mnist s3://bucket/new.npy -o s3://bucket/codes.npy
    """
    started = time.perf_counter()
    from aecli.addresses import address_of, is_address
    from aecli.cli.console import Reporter
    from aecli.encode_job import encode_job
    from aecli.memory import default_memory, parse_memory
    from aecli.remote.output import output_at
    from aecli.run.array_job import parse_part
    from aecli.run.codes import (
        codes_and_spread_files,
        codes_files,
        default_codes_path,
        write_codes,
    )
    from aecli.run.folder import find_checkpoint, folder_of
    from aecli.run.reopen import notes

    reporter = Reporter(quiet, as_json)
    if merge is not None:
        _refuse_beside_merge(context)
        _merge(merge, out, reporter, started, force=force)
        return
    one, variable = (None, None) if part is None else parse_part(part, os.environ)
    if variable is not None:
        reporter.say(f"part {one}, from {variable}={os.environ[variable]}")
    options = source_options(
        labels=labels,
        no_labels=no_labels,
        rescale=rescale,
        size=size,
        grayscale=grayscale,
        skip_broken=skip_broken,
        features=features,
    )
    find_checkpoint(run)
    out = out or default_codes_path(folder_of(run).path, split)
    if one is not None and is_address(out):
        raise InputError(f"--part writes to a folder, not to {address_of(out)}: name a path")
    files = codes_and_spread_files if spread else codes_files
    with output_at(out, force=force, reads=[dataset], files=files) as target:
        job = encode_job(
            run,
            dataset,
            options,
            split,
            target.place,
            reporter.bar,
            force=force,
            part=one,
            spread=spread,
        )
        if job.done:
            reporter.say(f"{job.out} is there, whole and of these images: skipped")
            _report(reporter, job, job.out, started)
            return
        if job.part is not None and job.replace and not force:
            reporter.say(f"{job.out} is there, but not whole: encoding it again")

        from aecli.encode import encode_split

        for note in notes(job.dataset, job.split, job.checkpoint, named=dataset is not None):
            reporter.say(note)
        with reporter.bar("encoding", job.rows) as advance:
            codes = encode_split(
                job.checkpoint,
                job.dataset,
                job.split,
                batch_size=batch_size,
                memory=default_memory() if memory is None else parse_memory(memory),
                report=advance,
                provenance=job.provenance,
                spread=spread,
            )
            written = write_codes(job.out, codes, replace=job.replace)
    _say_written(reporter, written, codes.shape, started, job.part, here=target.place == out)
    _report(reporter, job, job.out if target.place == out else target.name, started)


def _refuse_beside_merge(context: typer.Context) -> None:
    """Raise `InputError` where something is given that means nothing to `--merge`."""
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        given = source is not None and source.name == "COMMANDLINE"
        if given and name not in ("merge", "out", "force", "as_json", "quiet"):
            shown = parameter.opts[0] if parameter.opts[0].startswith("-") else name.upper()
            raise InputError(
                f"{shown} means nothing to --merge, whose parts say all of it: leave it out"
            )


def _merge(
    codes: Path, out: Path | None, reporter: "Reporter", started: float, *, force: bool
) -> None:
    from aecli.merge import merge_codes
    from aecli.run.part import Part, find_codes

    codes = find_codes(codes)
    merged = merge_codes(codes, out, reporter.bar, replace=force)
    names = Part(0, merged.parts).path(codes).name.replace("00000-of", "*-of").removesuffix("npy")
    reporter.say(
        f"merged {plural(merged.parts, 'part')} of one model and one data set, none missing; they "
        f"stay: {codes.parent / names}* are no longer needed"
    )
    if merged.note:
        reporter.say(merged.note)
    shape = merged.rows, merged.dimensions
    _say_written(reporter, merged.written, shape, started)
    reporter.result(
        [merged.written[0]],
        {
            "codes": str(merged.written[0]),
            "rows": merged.rows,
            "dimensions": merged.dimensions,
            "parts": merged.parts,
            "seconds": time.perf_counter() - started,
        },
    )


def _say_written(
    reporter: "Reporter",
    written: Sequence[Path],
    shape: tuple[int, int],
    started: float,
    part: "Part | None" = None,
    *,
    here: bool = True,
) -> None:
    """Say what was written, and what to do next with codes that are `here`, not at an address."""
    from aecli.cli.console import force_if_there
    from aecli.plot.kinds import DEFAULT_KIND, PLOTS

    out, following = written[0], ""
    if part is not None:
        merge = shlex.join(["aecli", "encode", "--merge", str(part.whole(out))])
        following = f"; next, once all {part.count} are there: {merge}"
    elif here:
        picture = PLOTS[DEFAULT_KIND].default_picture(out)
        plot = shlex.join(["aecli", "plot", str(out), *force_if_there(picture)])
        following = f"; next: {plot}"
    reporter.say(
        f"wrote {plural(shape[0], 'code')} of {plural(shape[1], 'number')} in "
        f"{time.perf_counter() - started:.1f} s: {', '.join(path.name for path in written)}"
        f"{following}"
    )


def _report(reporter: "Reporter", job: "EncodeJob", codes: Path | str, started: float) -> None:
    """Print the result: where the codes are, and of a part which it is."""
    part: dict[str, Any] = {}
    if job.part is not None:
        part = {"part": job.part.index, "parts": job.part.count, "skipped": job.done}
    reporter.result(
        [codes],
        {
            "codes": str(codes),
            "rows": job.rows,
            "dimensions": job.checkpoint.config.latent,
            "converted": dict(job.dataset.converted),
            "outside": job.dataset.outside_count(job.split, job.bounds),
            **part,
            "seconds": time.perf_counter() - started,
        },
    )
