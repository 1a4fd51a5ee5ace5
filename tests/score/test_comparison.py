from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_array_equal

from aecli.config import with_settings
from aecli.data import Dataset, no_bar
from aecli.encode import encode_split, image_errors
from aecli.errors import InputError
from aecli.features import TrainingFeatures
from aecli.run.codes import Codes
from aecli.run.folder import RunFolder
from aecli.score.baselines import BASELINES, Baseline, place_with_pca
from aecli.score.comparison import score_map
from aecli.score.job import CodesJob, run_job
from aecli.score.scores import embed_run, make_scorer
from aecli.score.stability import Stability
from aecli.train.prepare import Prepared

Floats = npt.NDArray[np.float32]
CODES = np.random.default_rng(0).normal(size=(360, 3)).astype(np.float32)


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a method that is installed, whose codes are the first pixels."""

    def fit(rows: Floats, dimensions: int) -> tuple[Floats, Callable[[Floats], Floats]]:
        return rows[:, :dimensions], lambda others: others[:, :dimensions]

    row = Baseline("First pixels", "first-pixels", "json", fit, dimensions=(2,))
    monkeypatch.setitem(BASELINES, "first", row)


@pytest.fixture
def codes(digits: Dataset) -> CodesJob:
    return CodesJob(Path("codes.npy"), Codes(CODES), digits, "test")


def test_a_run_is_compared_with_pca_and_others(
    digits_run: Path, digits: Dataset, first: None
) -> None:
    job = run_job(digits_run)
    said: list[str] = []
    report = score_map(job, against=["first", "first"], sample=100, say=said.append)
    names = [one.embedding.name for one in report.maps]
    assert names == ["aecli plain", "PCA", "First pixels"]
    assert said == ["fitting First pixels"]
    assert (report.data, report.split, report.rows, report.sample) == ("digits", "test", 360, 100)
    assert report.stability is None
    assert report.points == {}
    own, _ = embed_run(job.checkpoint, digits, "test", fit_seconds=job.fit_seconds)
    expected = make_scorer(digits, "test", 100).score(own)
    assert job.fit_seconds is not None
    assert replace(report.maps[0].scores, place_seconds=own.place_seconds) == expected
    pca = place_with_pca(digits, "test", 2)
    assert_array_equal(report.maps[1].embedding.codes, pca.codes)


def test_numbers_of_each_code_of_a_run(
    digits_run: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = np.linspace(0, 1, 360, dtype=np.float32)
    asked: list[tuple[object, ...]] = []

    def measure(*arguments: object, **named: object) -> Stability:
        asked.append(arguments)
        return Stability((0, 1, 2), moved, 0.5, 0.5)

    monkeypatch.setattr("aecli.score.seeds.measure_stability", measure)
    job = run_job(digits_run)
    report = score_map(job, per_point=True, seeds=3)
    *others, prepared = asked[0]
    assert others == [job.checkpoint, job.dataset, "test", 3]
    assert isinstance(prepared, Prepared)
    assert prepared.graph is None
    assert report.stability is not None
    assert report.stability.seeds == (0, 1, 2)
    assert set(report.points) == {"trust", "error", "moved"}
    assert_array_equal(report.points["error"], image_errors(job.checkpoint, digits, "test"))
    assert_array_equal(report.points["moved"], moved)


def test_seeds_are_trained_with_the_neighbours_of_the_run(
    digits_run: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = run_job(digits_run)
    config = with_settings(job.checkpoint.config, {"neighbor_weight": 1.0})
    checkpoint = replace(job.checkpoint, config=config)
    prepared = Prepared(TrainingFeatures(job.dataset))

    def find(*arguments: object) -> Prepared:
        assert arguments == (job.dataset, config, RunFolder(digits_run), no_bar)
        return prepared

    monkeypatch.setattr("aecli.train.prepare.prepare", find)
    given: list[object] = []

    def measure(*arguments: object, **named: object) -> Stability:
        given.extend(arguments)
        return Stability((0, 1), np.zeros(360, np.float32), 0.5, 0.5)

    monkeypatch.setattr("aecli.score.seeds.measure_stability", measure)
    score_map(replace(job, checkpoint=checkpoint), seeds=2)
    assert given[-1] is prepared


def test_codes_have_no_decoder(codes: CodesJob, digits: Dataset) -> None:
    report = score_map(codes, per_point=True)
    own, pca = report.maps
    assert own.embedding.name == "codes.npy"
    assert_array_equal(own.embedding.codes, CODES)
    assert own.embedding.train_codes is None
    assert own.scores.mse is None
    assert pca.embedding.codes.shape == (360, 3)
    assert set(report.points) == {"trust"}


def test_training_codes_predict_the_labels_of_codes(codes: CodesJob, digits: Dataset) -> None:
    labels, train_labels = digits.labels_of("test"), digits.labels_of("train")
    assert labels is not None
    assert train_labels is not None
    perfect = np.stack([labels] * 3, axis=1).astype(np.float32)
    train = np.stack([train_labels] * 3, axis=1).astype(np.float32)
    job = replace(codes, codes=Codes(perfect), train_codes=Codes(train))
    assert score_map(job).maps[0].scores.knn_accuracy == 1
    job = replace(codes, codes=Codes(perfect), train_codes=Codes((train + 1) % 10))
    assert score_map(job).maps[0].scores.knn_accuracy == 0


def test_what_cannot_be_had_is_refused(codes: CodesJob, digits_run: Path, first: None) -> None:
    run = run_job(digits_run)
    with pytest.raises(InputError, match="'pca' is unknown"):
        score_map(run, against=["pca"])
    with pytest.raises(InputError, match="first makes maps of 2 dimensions, these codes have 3"):
        score_map(codes, against=["first"])
    with pytest.raises(InputError, match="--stability trains again: expected a RUN, got codes"):
        score_map(codes, seeds=2)
    with pytest.raises(InputError, match="--stability must be at least 2 seeds, got 1"):
        score_map(run, seeds=1)
    with pytest.raises(InputError, match="--sample must be at least 31, got 30"):
        score_map(run, sample=30)


def test_seeds_and_memory_are_checked_before_the_work(
    codes: CodesJob, digits_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_job(digits_run)
    monkeypatch.setattr("aecli.memory.default_memory", lambda: 1)
    monkeypatch.setattr("aecli.score.comparison.make_scorer", lambda *arguments: 1 / 0)
    with pytest.raises(InputError, match="leave out --per-point"):
        score_map(codes, per_point=True)
    with pytest.raises(InputError, match="must be at least 2 seeds"):
        score_map(run, seeds=1)


def test_the_map_of_a_training_with_labels_says_so(digits_run: Path, codes: CodesJob) -> None:
    job = run_job(digits_run)
    assert score_map(job).label_weight == 0
    config = with_settings(job.checkpoint.config, {"label_weight": 0.5})
    with_labels = replace(job, checkpoint=replace(job.checkpoint, config=config))
    report = score_map(with_labels)
    assert report.label_weight == 0.5
    assert report.maps[0].embedding.name == "aecli plain with labels"
    # Codes say what their provenance does, and nothing where there is none.
    assert score_map(codes).label_weight is None
    about = encode_split(with_labels.checkpoint, job.dataset, "test").provenance
    report = score_map(replace(codes, codes=Codes(CODES, provenance=about)))
    assert report.label_weight == 0.5
    assert report.maps[0].embedding.name == "codes.npy with labels"
