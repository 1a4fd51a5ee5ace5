from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aecli.config import SplitName
from aecli.data import Dataset
from aecli.encode import decode, encode, load_model
from aecli.errors import InputError
from aecli.labels import UNKNOWN
from aecli.pixels import unit_range, unit_rows
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import RunFolder
from aecli.score.baselines import Embedding
from aecli.score.metrics import (
    NoNumber,
    centroid_correlation,
    knn_accuracy,
    neighborhood_scores,
    silhouette,
)
from aecli.score.scores import embed_run, make_scorer, per_point_trust
from tests.helpers import tiny_dataset

Floats = npt.NDArray[np.float32]
CODES = np.random.default_rng(0).normal(size=(360, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(digits_run: Path) -> Checkpoint:
    return load(RunFolder(digits_run).best)


def _others_nearest(codes: Floats, count: int) -> npt.NDArray[np.int64]:
    distances = np.square(codes[:, None] - codes[None]).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :count]


def test_too_small_a_sample_is_refused() -> None:
    with pytest.raises(InputError, match="--sample must be at least 31, got 30"):
        make_scorer(tiny_dataset(), "test", 30)


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 30])
def test_few_images_have_the_scores_that_they_can_have(rows: int) -> None:
    dataset = replace(tiny_dataset(240 + rows), labels=np.arange(240 + rows) % 2)
    scores = make_scorer(dataset, "test").score(Embedding("some", CODES[:rows], mse=0.5))
    assert scores.mse == 0.5
    assert (scores.knn_accuracy is not None) == (rows > 2)
    assert (scores.recall is not None) == (rows > 2)
    assert (scores.silhouette is not None) == (rows > 2)
    assert scores.why["centroid_correlation"] == "fewer than 3 classes"
    if rows == 1:
        assert scores.why["knn_accuracy"] == scores.why["silhouette"] == "one class"
        assert scores.why["recall"] == "fewer than 3 images"
    if rows == 3:
        assert (scores.voters, list(scores.trustworthiness)) == (2, [1])


def test_the_smallest_split_and_sample_are_scored() -> None:
    scorer = make_scorer(tiny_dataset(271), "test", 31)
    scores = scorer.score(Embedding("some", CODES[:31]))
    assert set(scores.trustworthiness) == {5, 15}


def test_all_maps_are_scored_on_the_same_sample(digits: Dataset) -> None:
    scorer = make_scorer(digits, "test", 100)
    labels = digits.labels_of("test")
    assert labels is not None
    images = unit_rows(digits.split("test").images)
    rows = scorer.sampled
    assert len(set(rows.tolist())) == 100
    assert_array_equal(scorer.images, images[rows])
    scores = scorer.score(Embedding("some", CODES, mse=0.01, fit_seconds=3.0, place_seconds=2.0))
    near = neighborhood_scores(images[rows], CODES[rows])
    assert scores.trustworthiness == near.trustworthiness
    assert scores.continuity == near.continuity
    assert scores.recall == near.recall
    assert scores.silhouette == silhouette(CODES[rows], labels[rows])
    expected = centroid_correlation(images[rows], CODES[rows], labels[rows])
    assert scores.centroid_correlation == expected
    assert scores.psnr == pytest.approx(20)
    assert (scores.mse, scores.fit_seconds, scores.place_seconds) == (0.01, 3.0, 2.0)


def test_training_codes_vote_on_all_codes(digits: Dataset) -> None:
    labels, train_labels = digits.labels_of("test"), digits.labels_of("train")
    assert labels is not None
    assert train_labels is not None
    train = np.random.default_rng(1).normal(size=(len(train_labels), 2)).astype(np.float32)
    scores = make_scorer(digits, "test", 50).score(Embedding("some", CODES, train, train_labels))
    assert scores.knn_accuracy == knn_accuracy(train, train_labels, CODES, labels)
    assert scores.voters == 5
    few = make_scorer(digits, "test", 50).score(
        Embedding("some", CODES, train[:4], train_labels[:4])
    )
    assert few.knn_accuracy == knn_accuracy(train[:4], train_labels[:4], CODES, labels, 4)
    assert few.voters == 4


def test_without_training_codes_the_others_vote(digits: Dataset) -> None:
    labels = digits.labels_of("test")
    assert labels is not None
    # Near others of their kind, but not always: votes are split.
    codes = CODES + np.stack([labels, labels], axis=1).astype(np.float32) / np.float32(2)
    scores = make_scorer(digits, "test", 50).score(Embedding("some", codes))
    voted = [np.bincount(labels[nearest]).argmax() for nearest in _others_nearest(codes, 5)]
    assert scores.knn_accuracy == pytest.approx(np.mean(voted == labels))


def test_images_without_labels_have_no_scores_of_classes() -> None:
    scores = make_scorer(tiny_dataset(), "test").score(Embedding("some", CODES[:60]))
    assert scores.knn_accuracy is scores.silhouette is scores.centroid_correlation is None
    assert scores.mse is scores.psnr is None


def test_a_run_places_the_images_that_it_encodes(checkpoint: Checkpoint, digits: Dataset) -> None:
    embedding, errors = embed_run(checkpoint, digits, "test", fit_seconds=7.0)
    model, images = load_model(checkpoint), digits.split("test").images
    codes = encode(model, images)
    assert embedding.name == f"aecli {checkpoint.config.recipe}"
    assert_array_equal(embedding.codes, codes)
    assert embedding.train_codes is not None
    assert_array_equal(embedding.train_codes, encode(model, digits.split("train").images))
    assert embedding.train_labels is not None
    train_labels = digits.labels_of("train")
    assert train_labels is not None
    assert_array_equal(embedding.train_labels, train_labels)
    expected = np.square(decode(model, codes) - unit_range(images)).mean(axis=(1, 2, 3))
    assert_allclose(errors, expected, rtol=1e-4)
    assert embedding.mse == pytest.approx(errors.mean())
    assert embedding.fit_seconds == 7
    assert embedding.place_seconds is not None
    assert 0 < embedding.place_seconds < 5


@pytest.mark.parametrize("split", ["train", "all"])
def test_training_images_of_a_run_do_not_vote_for_themselves(
    split: SplitName, checkpoint: Checkpoint, digits: Dataset
) -> None:
    embedding, errors = embed_run(checkpoint, digits, split)
    assert len(embedding.codes) == len(errors) == digits.count(split)
    assert embedding.train_codes is None
    assert embedding.train_labels is None
    assert embedding.fit_seconds is None


def test_training_images_are_not_encoded_where_there_are_no_labels(
    checkpoint: Checkpoint, digits: Dataset
) -> None:
    embedding, _ = embed_run(checkpoint, replace(digits, labels=None), "test")
    assert embedding.train_codes is None


def test_the_time_to_place_is_that_of_the_whole_split(
    checkpoint: Checkpoint, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("aecli.score.scores.time.perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr("aecli.score.scores._TIMED", 36)
    embedding, _ = embed_run(checkpoint, digits, "test")
    # One second for each tenth of the 360 images.
    assert embedding.place_seconds == pytest.approx(10)


def test_trust_of_each_code_equals_counting_by_hand() -> None:
    images = np.random.default_rng(2).normal(size=(360, 5)).astype(np.float32)
    codes = images[:, :2] + CODES / np.float32(2)
    near = [_others_nearest(values, 15).tolist() for values in (images, codes)]
    expected = [len(set(a) & set(b)) / 15 for a, b in zip(*near, strict=True)]
    trust = per_point_trust(images, codes)
    assert trust.dtype == np.float32
    assert_allclose(trust, expected, atol=1e-6)
    assert 0 <= trust.min() < trust.max() < 1


def test_trust_of_few_codes_takes_fewer_neighbours() -> None:
    for rows in (3, 15, 16):
        assert per_point_trust(CODES[:rows], CODES[:rows]).tolist() == [1] * rows
    near = [_others_nearest(values, 3).tolist() for values in (CODES[:8], CODES[8:16])]
    expected = [len(set(a) & set(b)) / 3 for a, b in zip(*near, strict=True)]
    assert_allclose(per_point_trust(CODES[:8], CODES[8:16]), expected, atol=1e-6)
    with pytest.raises(NoNumber, match="fewer than 3 images"):
        per_point_trust(CODES[:2], CODES[:2])
    with pytest.raises(NoNumber, match="all codes are equal"):
        per_point_trust(CODES, CODES * np.float32(0))


def test_equal_images_are_near_each_other_in_the_trust_of_each_code() -> None:
    images = np.random.default_rng(4).normal(size=(300, 5)).astype(np.float32)
    codes = images[:, :2] + CODES[:300] / np.float32(2)
    alone = per_point_trust(images, codes, 15)
    for array in (images, codes):
        # Two more of one image, and twenty of another.
        array[270:272], array[280:300] = array[3], array[4]
    trust = per_point_trust(images, codes, 15)
    assert trust[[4, *range(280, 300)]].tolist() == [1] * 21
    assert trust[3] == trust[270] == trust[271] > 2 / 15
    assert abs(trust[:270].mean() - alone[:270].mean()) < 0.1


def test_trust_with_copies_that_lie_apart_on_the_map() -> None:
    images = np.repeat(np.eye(3, dtype=np.float32), 20, 0)
    assert per_point_trust(images, CODES[:60]).max() < 1


@pytest.mark.parametrize("sample", [100_001, 10**30])
def test_a_sample_has_an_end(sample: int) -> None:
    with pytest.raises(InputError, match="--sample must be at most 100,000, got"):
        make_scorer(tiny_dataset(), "test", sample)


@pytest.mark.parametrize("size", [1e-42, 1e30, 3e38])
@pytest.mark.filterwarnings("error")
def test_scores_do_not_depend_on_the_size_of_codes(digits: Dataset, size: float) -> None:
    codes = np.random.default_rng(0).uniform(-1, 1, (360, 2)).round(2)
    scorer = make_scorer(digits, "test", 100)
    train = np.random.default_rng(1).uniform(-1, 1, (1257, 2)).round(2)
    expected, scores = (
        scorer.score(
            Embedding(
                "some",
                (codes * scale).astype(np.float32),
                (train * scale).astype(np.float32),
                digits.labels_of("train"),
            )
        )
        for scale in (1, size)
    )
    for name, value in vars(expected).items():
        got = getattr(scores, name)
        assert got == value or got == pytest.approx(value, abs=0.02), name


@pytest.mark.parametrize("value", [0, 3, 1e38])
@pytest.mark.filterwarnings("error")
def test_equal_codes_have_no_neighbours(digits: Dataset, value: float) -> None:
    codes = np.full((360, 2), value, np.float32)
    scores = make_scorer(digits, "test", 100).score(Embedding("some", codes))
    assert scores.trustworthiness == scores.continuity == {5: None, 15: None}
    found = (scores.recall, scores.knn_accuracy, scores.silhouette, scores.centroid_correlation)
    assert found == (None, None, None, None)
    assert scores.why["knn_accuracy"] == scores.why["recall"] == "all codes are equal"


def test_one_class_alone_has_no_accuracy() -> None:
    one = replace(tiny_dataset(), labels=np.full(300, 2**62))
    scores = make_scorer(one, "test", 31).score(Embedding("some", CODES[:60]))
    assert scores.knn_accuracy is None
    assert scores.why["knn_accuracy"] == "one class"


def test_images_whose_label_nobody_knows_count_in_no_number_of_classes(digits: Dataset) -> None:
    labels, train_labels = digits.labels_of("test"), digits.labels_of("train")
    assert labels is not None
    assert train_labels is not None
    train = np.random.default_rng(1).normal(size=(len(train_labels), 2)).astype(np.float32)
    scorer = make_scorer(digits, "test")
    known, known_train = np.arange(360) % 3 > 0, np.arange(len(train)) % 2 > 0
    scorer = replace(scorer, labels=np.where(known, labels, UNKNOWN))
    voters = np.where(known_train, train_labels, UNKNOWN)
    scores = scorer.score(Embedding("some", CODES, train, voters))
    expected = knn_accuracy(
        train[known_train], train_labels[known_train], CODES[known], labels[known]
    )
    assert scores.knn_accuracy == expected
    assert scores.silhouette == silhouette(CODES[known], labels[known])
    assert scores.centroid_correlation == centroid_correlation(
        scorer.images[known], CODES[known], labels[known]
    )
    # Where no voter has a label the others of the split vote.
    alone = scorer.score(Embedding("some", CODES, train, np.full(len(train), UNKNOWN)))
    near = _others_nearest(CODES[known], 5)
    voted = [np.bincount(labels[known][nearest]).argmax() for nearest in near]
    assert alone.knn_accuracy == pytest.approx(np.mean(voted == labels[known]))
    assert alone.trustworthiness == scores.trustworthiness


@pytest.mark.parametrize("labelled", [0, 1, 5])
def test_too_few_labels_give_no_numbers_of_classes(digits: Dataset, labelled: int) -> None:
    labels = np.where(np.arange(360) < labelled, np.arange(360), UNKNOWN)
    scores = replace(make_scorer(digits, "test"), labels=labels).score(Embedding("some", CODES))
    assert scores.knn_accuracy is scores.silhouette is None
    why = {0: "no labels", 1: "one class", 5: "each image is a class"}[labelled]
    assert scores.why["knn_accuracy"] == scores.why["silhouette"] == why
    assert scores.trustworthiness[5] is not None
