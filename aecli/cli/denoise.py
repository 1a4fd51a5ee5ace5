"""`aecli denoise`."""

import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aecli.cli.options import (
    DEFAULT_RUN,
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
from aecli.noise import NO_NOISE
from aecli.printable import plural, significant

if TYPE_CHECKING:
    from aecli.denoise import DenoiseJob, Quality


def denoise(
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
    split: SplitOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The images: .npy, or a picture of the first ones beside what they were: .png, "
            ".svg, .pdf.",
            show_default="RUN/clean.npy",
        ),
    ] = None,
    uint8: Annotated[
        bool, typer.Option("--uint8", help="Write 0..255 instead of float32 in 0..1.")
    ] = False,
    count: Annotated[int, typer.Option(help="Images in a picture.")] = 10,
    add_noise: Annotated[
        str,
        typer.Option(
            metavar="NOISE",
            help="Spoil the images first, as --noise of aecli train does, and say how much of it "
            "goes: gaussian:0.3, mask:0.25 or salt:0.1.",
        ),
    ] = NO_NOISE,
    seed: Annotated[int, typer.Option(help="Seed of this noise.")] = 0,
    batch_size: Annotated[
        int, typer.Option(help="Images at a time; the result does not depend on it.")
    ] = DEFAULT_ROWS_AT_A_TIME,
    memory: Annotated[str | None, memory_option()] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Clean images: encode them, and decode their codes.

    A run that was trained with --noise has learned to clean; any other gives back what its codes
    hold of an image. Writes float32 (n, h, w, c) in the order of the images, vectors in their own
    units. The encoder alone gives the codes, whatever --placing says.

    [bold]Examples[/bold]

      aecli train mnist --recipe plain --latent 32 --hidden 512 --noise gaussian:0.3 -o runs/clean

      aecli denoise runs/clean noisy.npy -o clean.npy

      aecli denoise runs/clean noisy.npy -o clean.png

      aecli denoise runs/clean --add-noise gaussian:0.3 -o shown.png
    """
    started = time.perf_counter()
    from aecli.cli.console import Reporter, force_if_there
    from aecli.data import option_words
    from aecli.denoise import denoise as clean
    from aecli.denoise import denoise_job
    from aecli.memory import default_memory, parse_memory
    from aecli.remote.output import output_at
    from aecli.run.folder import find_checkpoint, folder_of
    from aecli.run.reopen import notes

    reporter = Reporter(quiet, as_json)
    options = source_options(
        labels=labels,
        no_labels=no_labels,
        rescale=rescale,
        size=size,
        grayscale=grayscale,
        skip_broken=skip_broken,
    )
    find_checkpoint(run)
    out = out or folder_of(run).path / "clean.npy"
    with output_at(out, force=force, reads=[dataset]) as target:
        job = denoise_job(
            run,
            dataset,
            options,
            split,
            target.place,
            reporter.bar,
            noise=add_noise,
            seed=seed,
            count=count,
            force=force,
        )
        reporter.say(job.headline)
        for note in notes(job.dataset, job.split, named=dataset is not None):
            reporter.say(note)
        with reporter.bar("cleaning", job.count) as advance:
            qualities = clean(
                job,
                batch_size=batch_size,
                memory=default_memory() if memory is None else parse_memory(memory),
                as_uint8=uint8,
                report=advance,
            )
    seconds = time.perf_counter() - started
    if qualities is not None:
        reporter.say(_quality(job, *qualities, add_noise))
    what = f"{plural(job.count, 'image')} of {'x'.join(map(str, job.dataset.image_shape))}"
    if job.dataset.standardised:
        what = f"{plural(job.count, 'vector')} of {plural(job.numbers, 'number')}"
    other = out.with_suffix(".npy" if job.draws else ".png")
    words = [str(run), *([] if dataset is None else [dataset]), *option_words(options)]
    words += ["--split", split] if split else []
    words += ["--add-noise", add_noise] if job.noise else []
    following = shlex.join(["aecli", "denoise", *words, "-o", str(other), *force_if_there(other)])
    written = out if target.place == out else target.name
    reporter.say(f"wrote {what} in {seconds:.1f} s to {written}; next: {following}")
    values: dict[str, Any] = {"images": str(written), "rows": job.count, "noise": add_noise}
    if qualities is not None:
        values |= dict(zip(("before", "after"), map(asdict, qualities), strict=True))
    reporter.result([written], values | {"seconds": seconds})


def _quality(job: "DenoiseJob", before: "Quality", after: "Quality", noise: str) -> str:
    """Return how far images with noise, and what was made of them, are from the clean ones."""
    if job.dataset.standardised:
        return (
            f"mean squared error, columns in deviations: {significant(before.mse)} with {noise}, "
            f"{significant(after.mse)} cleaned"
        )
    return (
        f"PSNR, mean of {plural(job.count, 'image')}: {before.psnr:.2f} dB with {noise}, "
        f"{after.psnr:.2f} dB cleaned"
    )
