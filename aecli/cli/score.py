"""`aecli score`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    SizeOption,
    SkipBrokenOption,
    SplitOption,
    source_options,
)
from aecli.config import DEFAULT_SAMPLE
from aecli.files import PICTURE_SUFFIXES, refuse_existing, refuse_inputs, require_suffix
from aecli.score.baselines import BASELINES, known_baselines

if TYPE_CHECKING:
    from aecli.cli.console import Reporter
    from aecli.score.job import ScoreJob
    from aecli.score.report import Report


def score(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN|CODES", help="A run, one of its checkpoints, or codes (.npy)."),
    ] = DEFAULT_RUN,
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET",
            help="Name, folder, file or address of the images.",
            show_default="what the run was trained on, or the codes were made of",
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
    train_codes: Annotated[
        Path | None,
        typer.Option(
            help="Codes of the training images (.npy), which predict the labels of CODES."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Compare with other methods too, separated by commas: {', '.join(BASELINES)}.",
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(help="Maximum number of images whose neighbourhoods are compared.")
    ] = DEFAULT_SAMPLE,
    per_point: Annotated[
        bool,
        typer.Option(
            "--per-point",
            help="Write per-image scores: a table (CSV), and files for aecli plot --color-by.",
        ),
    ] = False,
    worst: Annotated[
        int,
        typer.Option(
            metavar="N", help="Show the N worst images: largest errors, without a run least trust."
        ),
    ] = 0,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Find equal and nearly equal images, by pixels.")
    ] = False,
    stability: Annotated[
        int | None,
        typer.Option(metavar="SEEDS", help="Train with this many seeds and compare their maps."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Estimate the likelihood that a vae gives to the images, by N codes of each.",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the maps side by side: .png, .svg or .pdf.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say how good a map is, compared with PCA and other methods on the same images.

    The errors of the reconstructions, the neighbours that are kept, the labels that the nearest
    codes predict, and how the classes lie. The codes may come from any program.

    [bold]Examples[/bold]

      aecli score runs/mnist

      aecli score runs/mnist --against umap,tsne --picture maps.png

      aecli score runs/mnist --per-point --worst 20

      aecli score runs/mnist --split all --duplicates

      aecli score runs/vae --samples 1000

      aecli score codes.npy ~/data/fashion --split test
    """
    if picture:
        require_suffix(picture, *PICTURE_SUFFIXES)
    baselines = known_baselines(map(str.strip, against.split(",") if against else []))
    options = source_options(
        labels=labels,
        no_labels=no_labels,
        rescale=rescale,
        size=size,
        grayscale=grayscale,
        skip_broken=skip_broken,
        features=features,
    )

    from aecli.cli.console import Reporter
    from aecli.data import refuse_data_files
    from aecli.run.codes import codes_files, point_files, write_point_values
    from aecli.run.folder import folder_of
    from aecli.run.parts import parts_note
    from aecli.run.reopen import notes
    from aecli.score.job import CodesJob, score_job

    reporter = Reporter(quiet, as_json)
    job = score_job(source, dataset, options, split, train_codes, stability, reporter.bar)

    for note in notes(job.dataset, job.split, job.checkpoint, named=dataset is not None):
        reporter.say(note)

    of_parts = parts_note(job.codes_path, job.codes) if isinstance(job, CodesJob) else None
    if of_parts is not None:
        reporter.say(of_parts)

    if job.labels_beside is not None:
        reporter.say(f"the data have no labels: those of {job.labels_beside} are taken")

    from aecli.score.comparison import score_map
    from aecli.score.points import point_metrics

    outputs = [picture] if picture else []
    codes_sha256 = ""
    if per_point:
        codes_sha256 = job.read_codes().sha256
        outputs += point_files(job.codes_path, point_metrics(job, stability=stability is not None))
    refuse_existing(*outputs, force=force)
    read = [*folder_of(source).files, *codes_files(job.codes_path)]
    read += codes_files(train_codes) if train_codes else []
    refuse_inputs(outputs, read)
    refuse_data_files(outputs, job.dataset)
    found = score_map(
        job,
        against=baselines,
        sample=sample,
        per_point=per_point,
        worst=worst,
        duplicates=duplicates,
        seeds=stability,
        samples=samples,
        bar=reporter.bar,
        say=reporter.say,
    )
    written: list[Path] = []
    if per_point:
        table = found.known.to_csv() if found.known else None
        written += write_point_values(
            job.codes_path, codes_sha256, found.points, replace=force, table=table
        )
    if picture:
        _draw(job, found, picture, replace=force)
        written.append(picture)
    _print(reporter, job, found, written)


def _draw(job: "ScoreJob", report: "Report", picture: Path, *, replace: bool) -> None:
    """Draw the maps side by side."""
    from aecli.plot.maps import maps_figure
    from aecli.plot.save import save_figure

    maps = [(one.title, one.embedding.codes) for one in report.maps]
    data = job.dataset
    figure = maps_figure(maps, data.labels_of(job.split), data.class_names)
    save_figure(figure, picture, replace=replace)


def _print(reporter: "Reporter", job: "ScoreJob", report: "Report", written: list[Path]) -> None:
    """Print the numbers of all maps, for people or for programs."""
    from aecli.cli.console import force_if_there, print_table
    from aecli.cli.stdout import print_lines

    for note in (
        report.few_note,
        report.sample_note,
        report.labels_note,
        report.training_labels_note,
    ):
        if note:
            reporter.say(note)
    if reporter.json:
        reporter.result([], {**report.to_json(), "written": [str(path) for path in written]})
        return
    print_table(report.header, report.table)
    for head, *rows in filter(None, (report.worst_table, report.duplicates_table)):
        print_lines([""])
        print_table(head, rows)
    if report.likelihood is not None:
        reporter.say(report.likelihood.bound.note)
    if report.duplicates_note:
        reporter.say(report.duplicates_note)
    if report.stability_note:
        reporter.say(report.stability_note)
    if written:
        reporter.say(f"wrote {', '.join(str(path) for path in written)}")
    drawn = next(iter(report.points), None)
    if drawn and job.codes_path.with_suffix(f".{drawn}.npy") in written and job.dimensions > 1:
        picture = Path(f"{drawn}.png")
        words = ["aecli", "plot", str(job.codes_path), "--color-by", drawn, "-o", str(picture)]
        reporter.say(f"next: {shlex.join(words + force_if_there(picture))}")
