"""A map scored, and compared with PCA and other methods on the same images."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aecli.config import DEFAULT_SAMPLE, Range
from aecli.data import Bar, no_bar
from aecli.errors import InputError
from aecli.labels import UNKNOWN
from aecli.run.points import PerPointMetric
from aecli.score.baselines import (
    BASELINES,
    Embedding,
    check_installed,
    known_baselines,
    place_with,
    place_with_pca,
)
from aecli.score.duplicates import Duplicates, find_duplicates
from aecli.score.job import STABILITY_NEEDS_RUN, CodesJob, RunJob, ScoreJob
from aecli.score.likelihood import Likelihood, check_samples, measure_likelihood
from aecli.score.metrics import NoNumber
from aecli.score.points import check_memory, point_values
from aecli.score.report import Report, ScoredMap
from aecli.score.scores import Predicted, Scorer, embed_run, make_scorer
from aecli.score.stability import Stability, check_seeds
from aecli.score.table import PointTable

Floats = npt.NDArray[np.float32]

_MOST_WORST = Range("at least 0", 0, 1_000_000)


def score_map(
    job: ScoreJob,
    *,
    against: Iterable[str] = (),
    sample: int = DEFAULT_SAMPLE,
    per_point: bool = False,
    worst: int = 0,
    duplicates: bool = False,
    seeds: int | None = None,
    samples: int | None = None,
    bar: Bar = no_bar,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Score the map of a job, and the maps that other methods make of the same images.

    Args:
        job: what to score.
        against: names of `BASELINES`; PCA is always there.
        sample: how many images' neighbourhoods are compared at most, all with all.
        per_point: whether to find numbers of each code too.
        worst: how many of the worst codes to show, for which these numbers are found.
        duplicates: whether to look for equal and nearly equal images.
        seeds: with how many seeds to train the run again, to measure its stability; None for none.
        samples: by how many codes of each image to estimate its likelihood; None for none.
        bar: shows the progress.
        say: called with a line before each method that is fitted.

    Raises:
        InputError: what is asked for cannot be had of this job.
        AecliError: a training of another seed diverged, or memory is short.

    """
    baselines = known_baselines(against)
    _MOST_WORST.check("--worst", worst)
    per_point = per_point or worst > 0
    _check(job, baselines, seeds, per_point=per_point)
    if samples is not None:
        check_samples(job.checkpoint, samples)
    scorer = make_scorer(job.dataset, job.split, sample)
    own, errors = _embed(job, bar)
    if job.label_weight:
        own = replace(own, name=f"{own.name} with labels")
    embeddings = [own, place_with_pca(job.dataset, job.split, job.dimensions)]
    for name in baselines:
        say(f"fitting {BASELINES[name].name}")
        embeddings.append(place_with(name, job.dataset, job.split, job.dimensions))
    maps = [ScoredMap(embedding, scorer.score(embedding)) for embedding in embeddings]
    stability = _stability(job, seeds, bar)
    points = point_values(job.dataset, job.split, own, errors, stability) if per_point else {}
    copies = find_duplicates(job.dataset, job.split, bar) if duplicates else None
    return Report(
        job.dataset.name,
        job.split,
        job.dataset.count(job.split),
        len(scorer.sampled),
        maps,
        stability,
        points,
        0 if scorer.labels is None else int(np.count_nonzero(scorer.labels != UNKNOWN)),
        _table(job, scorer, own, points, copies) if per_point or duplicates else None,
        worst,
        copies,
        label_weight=job.label_weight,
        likelihood=_likelihood(job, samples, bar),
    )


def _likelihood(job: ScoreJob, samples: int | None, bar: Bar) -> Likelihood | None:
    """Return how likely a variational model finds its images; None for what is none."""
    if isinstance(job, CodesJob) or job.checkpoint.config.kind != "vae":
        return None
    return measure_likelihood(job.checkpoint, job.dataset, job.split, samples, bar)


def _table(
    job: ScoreJob,
    scorer: Scorer,
    own: Embedding,
    points: dict[PerPointMetric, Floats],
    copies: Duplicates | None,
) -> PointTable:
    """Return what is known of each code of a job."""
    predicted: Predicted | None = None
    with suppress(NoNumber):
        predicted = scorer.predicted(own)
    rows = job.dataset.count(job.split)
    return PointTable(
        rows,
        job.dataset.row_ids_of(job.split),
        scorer.labels,
        None if predicted is None else predicted.labels,
        job.dataset.class_names,
        points,
        None if copies is None else copies.first_of(rows),
    )


def _check(
    job: ScoreJob, baselines: tuple[str, ...], seeds: int | None, *, per_point: bool
) -> None:
    """Raise `InputError` where a job cannot be scored like this, before anything takes long."""
    check_installed(baselines, job.dimensions)
    if seeds is not None:
        if isinstance(job, CodesJob):
            raise InputError(STABILITY_NEEDS_RUN)
        check_seeds(job.checkpoint, seeds)
        # It imports all of training.
        from aecli.train.step import TrainStep

        step = TrainStep(job.checkpoint.config, job.dataset.image_shape, job.dataset.count("train"))
        step.refuse_beyond_memory(seeds=seeds)
    if per_point:
        check_memory(job.dataset, job.split)


def _embed(job: ScoreJob, bar: Bar) -> tuple[Embedding, Floats | None]:
    """Return the map of a job, and the error of each reconstruction where there is a decoder."""
    if isinstance(job, RunJob):
        return embed_run(
            job.checkpoint, job.dataset, job.split, fit_seconds=job.fit_seconds, bar=bar
        )
    train = job.train_codes
    embedding = Embedding(
        job.codes_path.name,
        job.codes.values,
        None if train is None else train.values,
        None if train is None else job.dataset.labels_of("train"),
    )
    return embedding, None


def _stability(job: ScoreJob, seeds: int | None, bar: Bar) -> Stability | None:
    """Train a run with several seeds and compare their maps; None where that is not asked for."""
    if seeds is None or isinstance(job, CodesJob):
        return None
    # It imports all of training.
    from aecli.score.seeds import measure_stability
    from aecli.train.prepare import prepare

    config = job.checkpoint.config
    prepared = prepare(job.dataset, config, job.folder, bar)
    with bar(f"training {seeds} seeds", config.epochs) as advance:
        return measure_stability(
            job.checkpoint, job.dataset, job.split, seeds, prepared, report=advance
        )
