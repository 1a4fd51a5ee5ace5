import numpy as np
import pytest
from numpy.testing import assert_allclose

from aecli.score.metrics import (
    _ranked,
    centroid_correlation,
    knn_accuracy,
    neighborhood_scores,
    peak_signal_to_noise,
    silhouette,
    trustworthiness,
)

GENERATOR = np.random.default_rng(0)
TRAIN = (GENERATOR.normal(size=(200, 6)) * [9, 5, 3, 1, 1, 1] + 4).astype(np.float32)
TEST = (GENERATOR.normal(size=(50, 6)) * [9, 5, 3, 1, 1, 1] + 4).astype(np.float32)


def test_knn_accuracy_equals_counting_by_hand() -> None:
    labels, test_labels = GENERATOR.integers(0, 3, 200), GENERATOR.integers(0, 3, 50)
    right = 0
    for code, label in zip(TEST, test_labels, strict=True):
        nearest = np.argsort(np.sum((TRAIN - code) ** 2, axis=1))[:5]
        right += int(np.bincount(labels[nearest], minlength=3).argmax() == label)
    assert knn_accuracy(TRAIN, labels, TEST, test_labels) == right / 50


def test_trustworthiness_of_the_same_and_of_shuffled_points() -> None:
    assert trustworthiness(TRAIN, TRAIN) == 1.0
    assert trustworthiness(TRAIN, GENERATOR.permutation(TRAIN)) < 0.6


@pytest.mark.parametrize("block", [8_000_000, 1_000])
def test_trustworthiness_and_continuity_equal_scikit_learn(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.manifold import trustworthiness as reference

    monkeypatch.setattr("aecli.score.metrics._BLOCK", block)
    codes = (TRAIN[:, :2] + GENERATOR.normal(size=(200, 2)) * 3).astype(np.float32)
    scores = neighborhood_scores(TRAIN, codes, (5, 15))
    for count in (5, 15):
        expected = reference(TRAIN, codes, n_neighbors=count)
        assert_allclose(scores.trustworthiness[count], expected, atol=1e-6)
        expected = reference(codes, TRAIN, n_neighbors=count)
        assert_allclose(scores.continuity[count], expected, atol=1e-6)
    near = [
        np.argsort(np.square(v[:, None] - v[None]).sum(axis=2))[:, 1:16] for v in (TRAIN, codes)
    ]
    shared = [len(set(a) & set(b)) / 15 for a, b in zip(*map(np.ndarray.tolist, near), strict=True)]
    assert_allclose(scores.recall, np.mean(shared), atol=1e-9)


def test_the_same_points_keep_all_their_neighbours() -> None:
    scores = neighborhood_scores(TRAIN, TRAIN)
    assert scores.recall == 1
    assert set(scores.continuity.values()) == {1.0}
    with pytest.raises(ValueError, match="30 rows are too few for 15 neighbours"):
        neighborhood_scores(TRAIN[:30], TRAIN[:30])


def test_psnr_of_an_error_of_a_hundredth_is_20_db() -> None:
    assert peak_signal_to_noise(0.01) == pytest.approx(20)
    assert peak_signal_to_noise(0) == np.inf


def test_classes_that_lie_apart_have_a_silhouette_near_1() -> None:
    labels = np.repeat(np.arange(4), 50)
    apart = (TRAIN[:, :2] / 100 + 50 * np.stack([labels % 2, labels // 2], axis=1)).astype(
        np.float32
    )
    high = silhouette(apart, labels)
    assert high is not None
    assert high > 0.95
    assert silhouette(apart, np.zeros(200, np.int64)) is None
    assert silhouette(apart, np.arange(200)) is None


def test_distances_of_classes_are_compared() -> None:
    labels = np.repeat(np.arange(4), 50)
    places = np.array([[0, 0], [1, 0], [0, 5], [9, 9]])[labels].astype(np.float32)
    assert centroid_correlation(places, 3 * places[:, ::-1], labels) == pytest.approx(1)
    assert centroid_correlation(places, places, labels % 2) is None
    assert centroid_correlation(places, places, labels * 0) is None
    assert centroid_correlation(places, np.zeros_like(places), labels) is None
    low = centroid_correlation(places, places[:, :1] ** 2, labels)
    assert low is not None
    assert low < 0.99


def test_distances_of_classes_are_those_of_their_means() -> None:
    labels = GENERATOR.integers(0, 5, 200)
    pairs = [(i, j) for i in range(5) for j in range(i)]
    distances = []
    for values in (TRAIN, TRAIN[:, 2:4]):
        means = [values[labels == label].mean(axis=0) for label in range(5)]
        distances.append([np.linalg.norm(means[i] - means[j]) for i, j in pairs])
    expected = np.corrcoef(distances)[0, 1]
    assert centroid_correlation(TRAIN, TRAIN[:, 2:4], labels) == pytest.approx(expected)


def test_rows_at_the_same_distance_are_ranked_in_their_order() -> None:
    # The same on every machine: sorts that are not stable differ.
    order, rank = _ranked(np.zeros((200, 2), np.float32), np.array([3]))
    assert order[0].tolist() == [*range(3), *range(4, 200), 3]
    assert rank[0, 3] == 0
