"""`aecli score`."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from aecli.background_import import importing
from aecli.cli.options import (
    DEFAULT_RUN,
    ForceOption,
    GrayscaleOption,
    JsonOption,
    LabelsOption,
    QuietOption,
    RescaleOption,
    SizeOption,
    SplitOption,
    source_options,
)
from aecli.config import DEFAULT_SAMPLE, SplitName
from aecli.errors import InputError
from aecli.files import PICTURE_SUFFIXES, kind_of, refuse_existing, refuse_inputs, require_suffix
from aecli.run.reopen import reopen

if TYPE_CHECKING:
    from aecli.cli.console import Reporter
    from aecli.data import Bar, Dataset
    from aecli.run.checkpoint import Checkpoint
    from aecli.run.codes import Codes, PerPointMetric
    from aecli.score.baselines import Baseline, Embedding
    from aecli.score.scores import Floats, Scores
    from aecli.score.stability import Stability


def score(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN|CODES", help="A run, one of its checkpoints, or codes (.npy)."),
    ] = DEFAULT_RUN,
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET",
            help="Name, folder or file of the images.",
            show_default="what the run was trained on, or the codes were made of",
        ),
    ] = None,
    labels: LabelsOption = None,
    rescale: RescaleOption = None,
    size: SizeOption = None,
    grayscale: GrayscaleOption = False,
    split: SplitOption = None,
    train_codes: Annotated[
        Path | None,
        typer.Option(
            help="Codes of the training images (.npy), which predict the labels of CODES."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Other methods, fitted beside: umap, tsne."),
    ] = None,
    sample: Annotated[
        int, typer.Option(help="Images whose neighbourhoods are compared, all with all.")
    ] = DEFAULT_SAMPLE,
    per_point: Annotated[
        bool,
        typer.Option("--per-point", help="Write numbers for each code, for aecli plot --color-by."),
    ] = False,
    stability: Annotated[
        int | None,
        typer.Option(metavar="SEEDS", help="Train with so many seeds and compare their maps."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the maps side by side: .png, .svg or .pdf.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say how good a map is, beside PCA and other methods on the same images.

    Reconstruction, neighbourhoods kept, labels predicted by the nearest codes, and how the classes
    lie. Any codes will do, whatever made them.

    [bold]Examples[/bold]

      aecli score runs/mnist

      aecli score runs/mnist --against umap,tsne --picture maps.png

      aecli score runs/mnist --per-point

      aecli score codes.npy ~/data/fashion --split test
    """
    from aecli.cli.console import Reporter

    outputs = [picture] if picture else []
    if picture:
        require_suffix(picture, *PICTURE_SUFFIXES)
    rivals = _rivals(against)
    is_run = kind_of(source) == "folder" or source.suffix != ".npy"
    if not is_run and stability is not None:
        raise InputError("--stability trains anew: expected a RUN, got codes")
    if is_run and train_codes is not None:
        raise InputError("--train-codes goes with CODES: a run encodes its training images itself")
    reporter = Reporter(quiet, as_json)
    options = {"dataset": dataset} | source_options(
        labels=labels, rescale=rescale, size=size, grayscale=grayscale
    )
    if is_run:
        job = _of_run(source, options, split, reporter.bar, per_point=per_point)
    else:
        job = _of_codes(source, options, split, train_codes, reporter.bar)
    points: list[PerPointMetric] = ["trust"]
    points += ["error"] if is_run else []
    points += ["moved"] if stability is not None else []
    if per_point:
        from aecli.run.codes import point_path

        outputs += [point_path(job.codes_path, what) for what in points]
    refuse_existing(*outputs, force=force)
    refuse_inputs(*outputs[:1], source, *([train_codes] if train_codes else []))

    from aecli.memory import refuse_beyond_memory
    from aecli.score.baselines import check_installed, place_with, place_with_pca
    from aecli.score.scores import make_scorer, per_point_trust

    check_installed(rivals, job.dimensions)
    if stability is not None and job.checkpoint is not None:
        from aecli.score.stability import check_seeds

        check_seeds(job.checkpoint, stability)
    if per_point:
        # As pixels, as float32, and once more in the search.
        pixels = 12 * job.dataset.count(job.split) * math.prod(job.dataset.image_shape)
        refuse_beyond_memory(pixels, f"{job.dataset.name} {job.split}", "leave out --per-point")
    judge = make_scorer(job.dataset, job.split, sample)
    own, errors = job.place(reporter.bar)
    placed = [own, place_with_pca(job.dataset, job.split, job.dimensions)]
    for rival in rivals:
        reporter.say(f"fitting {rival} on the training images")
        placed.append(place_with(rival, job.dataset, job.split, job.dimensions))
    scores = [judge.scores(one) for one in placed]
    stable = None if stability is None else _stability(job, stability, reporter)

    written: list[Path] = []
    if per_point:
        from aecli.pixels import unit_rows
        from aecli.run.codes import write_point_values

        images = unit_rows(job.dataset.split(job.split).images)
        values: dict[PerPointMetric, Floats] = {"trust": per_point_trust(images, own.codes)}
        if errors is not None:
            values["error"] = errors
        if stable is not None:
            values["moved"] = stable.moved
        written += [write_point_values(job.codes_path, *item) for item in values.items()]
    if picture:
        from aecli.plot.maps import maps_figure
        from aecli.plot.save import save_figure

        labels_of_rows = job.dataset.labels_of(job.split)
        titled = [(_title(one, its), one.codes) for one, its in zip(placed, scores, strict=True)]
        save_figure(maps_figure(titled, labels_of_rows, job.dataset.class_names), picture)
        written.append(picture)
    _report(reporter, job, placed, scores, stable, len(judge.sampled), written)


@dataclass(frozen=True)
class _Job:
    """What is scored: codes of a split of a data set, of a run or from a file."""

    dataset: "Dataset"
    split: SplitName
    codes_path: Path
    dimensions: int
    checkpoint: "Checkpoint | None" = None
    fit_seconds: float | None = None
    codes: "Codes | None" = None
    train_codes: "Codes | None" = None

    def place(self, bar: "Bar") -> "tuple[Embedding, Floats | None]":
        """Return the codes, and the error of each reconstruction where there is a decoder."""
        from aecli.score.baselines import Embedding
        from aecli.score.scores import embed_run

        if self.checkpoint is not None:
            return embed_run(
                self.checkpoint, self.dataset, self.split, fit_seconds=self.fit_seconds, bar=bar
            )
        if self.codes is None:
            raise ValueError("neither a run nor codes")
        train = None if self.train_codes is None else self.train_codes.values
        return (
            Embedding(
                self.codes_path.name,
                self.codes.values,
                train,
                None if train is None else self.dataset.labels_of("train"),
            ),
            None,
        )


def _rivals(against: str | None) -> "list[Baseline]":
    from aecli.score.baselines import Baseline

    names = [name.strip() for name in against.split(",")] if against else []
    for name in names:
        if name not in get_args(Baseline):
            raise InputError(
                f"--against {name!r} is unknown: expected some of {', '.join(get_args(Baseline))}"
            )
    return list(dict.fromkeys(names))  # type: ignore[arg-type]


def _of_run(
    run: Path,
    options: dict[str, Any],
    split: SplitName | None,
    bar: "Bar",
    *,
    per_point: bool,
) -> _Job:
    from aecli.data import choose_source, open_dataset
    from aecli.run.checkpoint import load
    from aecli.run.codes import read_codes
    from aecli.run.folder import find_checkpoint, folder_of

    checkpoint = load(find_checkpoint(run))
    source = choose_source(options.pop("dataset"), options, like=checkpoint.data.source)
    with importing("aecli.score.scores"):
        data = open_dataset(source, bar) if source else reopen(checkpoint, bar)
    folder = folder_of(run)
    # As aecli encode calls them.
    codes = folder.path / ("codes.npy" if split in (None, "test") else f"codes-{split}.npy")
    split = split or ("test" if data.has_own_splits or source is None else "all")
    if per_point:
        words = [str(run), *([source.location] if source else []), "--split", split]
        again = f"aecli encode {shlex.join([*words, '-o', str(codes)])}"
        if kind_of(codes) != "file":
            raise InputError(f"--per-point writes beside {codes}, which is not there: {again}")
        provenance = read_codes(codes).provenance or {}
        told = [provenance.get(name) for name in ("model_sha256", "fingerprint", "split", "rows")]
        if told != [checkpoint.model_hash, data.fingerprint, split, data.count(split)]:
            raise InputError(f"{codes} is not of this run and these images: {again} --force")
    summary = folder.read_summary() or {}
    seconds = summary.get("seconds") if source is None else None
    if seconds is not None and kind_of(folder.last) == "file":
        # A run that was resumed tells of its last part alone.
        epochs = sum(epoch.seconds for epoch in load(folder.last).history)
        seconds = max(seconds, epochs)
    return _Job(data, split, codes, checkpoint.config.latent, checkpoint, seconds)


def _of_codes(
    path: Path,
    options: dict[str, Any],
    split: SplitName | None,
    train_codes: Path | None,
    bar: "Bar",
) -> _Job:
    from aecli.data import Source, choose_source, open_dataset, reopen_dataset
    from aecli.run.codes import read_codes
    from aecli.score.baselines import has_separate_train_split

    codes = read_codes(path)
    about = codes.provenance or {}
    # New images are treated as those were that the codes are of.
    like = Source.from_json(about["source"]) if about else None
    source = choose_source(options.pop("dataset"), options, like=like)
    with importing("aecli.score.scores"):
        if source is not None:
            data = open_dataset(source, bar)
        elif like is not None:
            data = reopen_dataset(like, bar)
        else:
            raise InputError(f"{path} does not say what images it is of: name the DATASET")
    default: SplitName = "test" if data.has_own_splits else "all"
    split = split or about.get("split", default)
    if source is None and about["fingerprint"] != data.fingerprint:
        raise InputError(
            f"{data.source.location} has changed since {path} was made: name the DATASET to take "
            "it all the same"
        )
    train = None if train_codes is None else read_codes(train_codes)
    expected: list[tuple[Path | None, SplitName, Codes | None]]
    expected = [(path, split, codes), (train_codes, "train", train)]
    for name, part, rows in expected:
        if rows is not None and len(rows.values) != data.count(part):
            raise InputError(
                f"{name} has {len(rows.values):,} codes, {data.name} has {data.count(part):,} "
                f"images in its {part} split: expected a code for each; --split names another"
            )
    if train is not None and not has_separate_train_split(data, split):
        raise InputError(
            f"--train-codes cannot vote on {path}, whose {split} split has the training images"
        )
    if train is not None and train.values.shape[1] != codes.values.shape[1]:
        raise InputError(
            f"{train_codes} has {train.values.shape[1]} numbers a code, {path} has "
            f"{codes.values.shape[1]}: expected codes of one map"
        )
    return _Job(data, split, path, codes.values.shape[1], codes=codes, train_codes=train)


def _stability(job: _Job, count: int, reporter: "Reporter") -> "Stability":
    from aecli.neighbors import find_neighbors
    from aecli.run.folder import RunFolder
    from aecli.score.stability import measure_stability

    checkpoint = job.checkpoint
    if checkpoint is None:
        raise ValueError("--stability needs a run")
    config = checkpoint.config
    found = find_neighbors(job.dataset, config, RunFolder(job.codes_path.parent), reporter.bar)
    graph = None if found is None else found.graph
    with reporter.bar(f"training {count} seeds", config.epochs) as advance:
        return measure_stability(checkpoint, job.dataset, job.split, count, graph, report=advance)


def _title(placed: "Embedding", scores: "Scores") -> str:
    trust = scores.trustworthiness[min(scores.trustworthiness)]
    parts = [f"trust {trust:.3f}"]
    if scores.knn_accuracy is not None:
        parts.insert(0, f"5-NN {scores.knn_accuracy:.3f}")
    if scores.mse is not None:
        parts.append(f"mse {scores.mse:.4f}")
    return f"{placed.name}\n{', '.join(parts)}"


def _report(
    reporter: "Reporter",
    job: _Job,
    placed: "Sequence[Embedding]",
    scores: "Sequence[Scores]",
    stable: "Stability | None",
    sampled: int,
    written: list[Path],
) -> None:
    """Print the numbers of all maps, for people and for programs."""
    import numpy as np

    from aecli.cli.console import print_table

    rows = job.dataset.count(job.split)
    if sampled < rows:
        reporter.say(
            f"neighbourhoods, silhouette and class distances are of {sampled:,} of the "
            f"{rows:,} images, spread evenly; --sample takes more"
        )
    about_stability: dict[str, Any] | None = None
    if stable is not None:
        middle, high = (float(np.quantile(stable.moved, share)) for share in (0.5, 0.9))
        about_stability = {
            "seeds": list(stable.seeds),
            "disparity": stable.disparity,
            "neighbors_kept": stable.kept,
            "moved_median": middle,
            "moved_90_percent": high,
        }
    if reporter.json:
        maps = {one.name: asdict(its) for one, its in zip(placed, scores, strict=True)}
        values = {
            "data": job.dataset.name,
            "split": job.split,
            "rows": rows,
            "sample": sampled,
            "maps": maps,
            "stability": about_stability,
            "written": [str(path) for path in written],
        }
        reporter.result([], values)
        return
    table = [_rows_of(its) for its in scores]
    names = [name for name, _ in table[0]]
    lines = [[names[i], *(column[i][1] for column in table)] for i in range(len(names))]
    where = f"{job.dataset.name} {job.split}"
    print_table([where, *(one.name for one in placed)], lines)
    if about_stability is not None and stable is not None:
        reporter.say(
            f"over {len(stable.seeds)} seeds: {stable.kept:.0%} of the 15 nearest codes are the "
            f"same; laid over each other, the median code moves by {middle:.2f} of the map's "
            f"radius, 90 % by less than {high:.2f}"
        )
    if written:
        reporter.say(f"wrote {', '.join(str(path) for path in written)}")
        if job.dimensions > 1 and any(path.suffix == ".npy" for path in written):
            codes = shlex.quote(str(job.codes_path))
            reporter.say(f"next: aecli plot {codes} --color-by trust -o trust.png")


def _rows_of(scores: "Scores") -> list[tuple[str, str]]:
    """Return the numbers of one map by name, as text."""

    def text(value: float | None, pattern: str = "{:.3f}", none: str = "-") -> str:
        return none if value is None or not math.isfinite(value) else pattern.format(value)

    rows = [
        ("reconstruction mse", text(scores.mse, "{:.4f}", "cannot")),
        ("psnr, dB", text(scores.psnr, "{:.2f}", "cannot")),
        ("5-NN accuracy", text(scores.knn_accuracy)),
    ]
    for name, shares in (
        ("trustworthiness", scores.trustworthiness),
        ("continuity", scores.continuity),
    ):
        rows += [(f"{name}, {count} neighbours", text(shares[count])) for count in shares]
    most = max(scores.trustworthiness)
    return [
        *rows,
        (f"of {most} neighbours kept", text(scores.recall)),
        ("silhouette of the classes", text(scores.silhouette)),
        ("class distances, correlation", text(scores.centroid_correlation)),
        ("seconds to fit", text(scores.fit_seconds, "{:.3g}")),
        ("seconds to place", text(scores.place_seconds, "{:.3g}")),
    ]
