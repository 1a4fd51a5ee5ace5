"""`aecli decode`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from aecli.cli.options import (
    DEFAULT_RUN,
    ForceOption,
    JsonOption,
    QuietOption,
    RunArgument,
)
from aecli.config import DEFAULT_ROWS_AT_A_TIME
from aecli.errors import InputError
from aecli.files import PICTURE_SUFFIXES, refuse_existing, refuse_inputs, require_suffix


def decode(
    run: RunArgument = DEFAULT_RUN,
    codes: Annotated[
        Path | None,
        typer.Argument(
            metavar="CODES", help="Any codes (n, d), .npy.", show_default="RUN/codes.npy"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The images: .npy, or one picture of them all: .png, .svg, .pdf.",
            show_default="RUN/images.npy, of new images RUN/samples.npy",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(metavar="N", help="Draw N new images, in place of CODES: of a vae alone."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of these new images.", show_default="0")] = None,
    uint8: Annotated[
        bool, typer.Option("--uint8", help="Write 0..255 instead of float32 in 0..1.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(help="Codes at a time; the images do not depend on it.")
    ] = DEFAULT_ROWS_AT_A_TIME,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn codes back into images: codes of a run, codes made by hand, or drawn by chance.

    [bold]Examples[/bold]

      aecli decode runs/mnist runs/mnist/codes.npy -o images.npy

      python -c "import numpy as np; np.save('line.npy', np.linspace([-50, 0], [50, 9], 10))"

      aecli decode runs/mnist line.npy -o line.png

      aecli decode runs/vae --sample 100 -o new.png
    """
    started = time.perf_counter()
    from aecli.cli.console import Reporter
    from aecli.model.vae import prior_codes
    from aecli.printable import plural
    from aecli.run.checkpoint import load
    from aecli.run.codes import codes_files, default_codes_path
    from aecli.run.folder import find_checkpoint, folder_of
    from aecli.run.part import find_codes
    from aecli.run.parts import part_files, parts_note, read_codes_or_parts

    if codes is not None and sample is not None:
        raise InputError("--sample draws codes, and CODES has them: leave one of both out")
    if seed is not None and sample is None:
        raise InputError("--seed is of the images that --sample N draws: add it")
    folder = folder_of(run).path
    out = out or folder / ("images.npy" if sample is None else "samples.npy")
    require_suffix(out, ".npy", *PICTURE_SUFFIXES)
    checkpoint = load(find_checkpoint(run))
    refuse_existing(out, force=force)
    reporter = Reporter(quiet, as_json)
    if sample is not None:
        refuse_inputs([out], folder_of(run).files)
        values = prior_codes(checkpoint.config, sample, seed or 0)
    else:
        codes = find_codes(codes or default_codes_path(folder))
        refuse_inputs([out], [*codes_files(codes), *part_files(codes), *folder_of(run).files])
        read = read_codes_or_parts(codes)
        read.refuse_other_model(codes, checkpoint.model_hash)
        if (note := parts_note(codes, read)) is not None:
            reporter.say(note)
        values = read.values

    from aecli.encode import decode_blocks, load_model, write_images

    model, grid = load_model(checkpoint), None
    if out.suffix.lower() != ".npy":
        from aecli.plot.images import grid_figure, plan_grid
        from aecli.plot.save import save_figure

        grid = plan_grid(len(values), *model.image_shape[:2])
        values = values[: grid.count]
    shape: tuple[int, ...] = (len(values), *model.image_shape)
    columns = checkpoint.data.source.columns
    if columns is not None and (uint8 or out.suffix.lower() != ".npy"):
        raise InputError(
            f"{run} was trained on vectors, which are no images: decode them to a .npy file, "
            "without --uint8"
        )
    with reporter.bar("decoding", len(values)) as advance:
        blocks = decode_blocks(model, values, batch_size=batch_size, report=advance)
        if columns is not None:
            from aecli.encode import in_units

            shape = (len(values), len(columns[0]))
            write_images(out, in_units(blocks, columns), shape, replace=force)
        elif grid is None:
            write_images(out, blocks, shape, as_uint8=uint8, replace=force)
        else:
            figure = grid_figure((image for block in blocks for image in block), grid)
    if grid is not None:
        save_figure(figure, out, replace=force)
    seconds = time.perf_counter() - started
    if grid is not None and grid.note:
        reporter.say(grid.note)
    what = f"{plural(len(values), 'image')} of {'x'.join(map(str, model.image_shape))}"
    if columns is not None:
        what = f"{plural(len(values), 'vector')} of {plural(len(columns[0]), 'number')}"
    reporter.say(f"wrote {what} in {seconds:.1f} s to {out}")
    reporter.result([out], {"images": str(out), "rows": len(values), "seconds": seconds})
