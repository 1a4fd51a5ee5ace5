import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose

from aecli.score.metrics import (
    NoNumber,
    _ranked,
    centroid_correlation,
    equal_rows,
    knn_accuracy,
    neighborhood_scores,
    peak_signal_to_noise,
    possible_neighbors,
    predict_labels,
    silhouette,
    trustworthiness,
)

Floats = npt.NDArray[np.float32]
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
    assert high > 0.95
    for values, classes, why in (
        (apart, np.zeros(200, np.int64), "one class"),
        (apart, np.arange(200), "each image is a class"),
        (np.zeros_like(apart), labels, "all codes are equal"),
    ):
        with pytest.raises(NoNumber, match=why):
            silhouette(values, classes)


def test_distances_of_classes_are_compared() -> None:
    labels = np.repeat(np.arange(4), 50)
    places = np.array([[0, 0], [1, 0], [0, 5], [9, 9]])[labels].astype(np.float32)
    assert centroid_correlation(places, 3 * places[:, ::-1], labels) == pytest.approx(1)
    for classes in (labels % 2, labels * 0):
        with pytest.raises(NoNumber, match="fewer than 3 classes"):
            centroid_correlation(places, places, classes)
    with pytest.raises(NoNumber, match="all distances are equal"):
        centroid_correlation(places, np.zeros_like(places), labels)
    assert centroid_correlation(places, places[:, :1] ** 2, labels) < 0.99


def test_distances_of_classes_are_those_of_their_means() -> None:
    labels = GENERATOR.integers(0, 5, 200)
    pairs = [(i, j) for i in range(5) for j in range(i)]
    distances = []
    for values in (TRAIN, TRAIN[:, 2:4]):
        means = [values[labels == label].mean(axis=0) for label in range(5)]
        distances.append([np.linalg.norm(means[i] - means[j]) for i, j in pairs])
    expected = np.corrcoef(distances)[0, 1]
    assert centroid_correlation(TRAIN, TRAIN[:, 2:4], labels) == pytest.approx(expected)


def test_equal_distances_share_the_best_of_their_ranks() -> None:
    rank, ties = _ranked(np.array([[3, 1, np.inf, 3, 0, 3], [5, 4, 3, 2, 1, 0]], np.float32))
    assert rank.tolist() == [[3, 2, 6, 3, 1, 3], [6, 5, 4, 3, 2, 1]]
    assert ties.tolist() == [[3, 1, 1, 3, 1, 3], [1] * 6]


def test_groups_of_equal_rows_are_numbered_in_their_order() -> None:
    rows = np.array([[1, 0], [0, 0], [1, -0.0], [0, 1], [0, -0.0]], np.float32)
    assert equal_rows(rows).tolist() == [0, 1, 0, 2, 1]
    assert equal_rows(TRAIN).tolist() == list(range(200))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(1, (5, 15)), (2, (5, 15)), (3, (1,)), (10, (4,)), (12, (5,)), (30, (5, 14)), (31, (5, 15))],
)
def test_there_are_fewer_neighbours_than_half_of_the_rows(
    rows: int, expected: tuple[int, ...]
) -> None:
    assert possible_neighbors(rows, (5, 15)) == expected


@pytest.mark.parametrize("rows", [3, 8, 11, 30])
def test_scores_of_few_images_equal_scikit_learn(rows: int) -> None:
    from sklearn.manifold import trustworthiness as reference

    images, codes = TRAIN[:rows], TRAIN[:rows, ::2].copy()
    counts = possible_neighbors(rows, (5, 15))
    scores = neighborhood_scores(images, codes, counts)
    assert list(scores.trustworthiness) == list(counts)
    for count in counts:
        expected = reference(images, codes, n_neighbors=count)
        assert_allclose(scores.trustworthiness[count], expected, atol=1e-6)
        expected = reference(codes, images, n_neighbors=count)
        assert_allclose(scores.continuity[count], expected, atol=1e-6)


def _mean_of_scikit_learn(values: Floats, mapped: Floats, count: int) -> tuple[float, float]:
    """Return the mean, and its standard error, over orders of the rows: they break the ties."""
    from sklearn.manifold import trustworthiness as reference

    found = []
    for _ in range(300):
        order = GENERATOR.permutation(len(values))
        found.append(reference(values[order], mapped[order], n_neighbors=count))
    return float(np.mean(found)), float(np.std(found) / len(found) ** 0.5)


def test_ties_of_the_nearest_are_what_scikit_learn_has_on_average() -> None:
    grid = np.round(TRAIN[:60, :2] / 4).astype(np.float32)
    # Places among the nearest are shared in the space that has ties; ranks are of the other one.
    mean, error = _mean_of_scikit_learn(TRAIN[:60], grid, 5)
    assert error > 0
    scores = neighborhood_scores(TRAIN[:60], grid, (5,))
    assert abs(scores.trustworthiness[5] - mean) < 5 * error
    mean, error = _mean_of_scikit_learn(TRAIN[:60], grid, 5)
    scores = neighborhood_scores(grid, TRAIN[:60], (5,))
    assert abs(scores.continuity[5] - mean) < 5 * error


def _by_the_definition(images: Floats, codes: Floats, count: int) -> tuple[float, float, float]:
    """Return trustworthiness, continuity and recall with ties, from the definition, slowly."""
    rows = len(images)
    far = [np.sqrt(np.square(v[:, None] - v[None]).sum(axis=2)) for v in (images, codes)]
    trust = continuity = kept = 0.0
    for i in range(rows):
        others = [j for j in range(rows) if j != i]
        for j in others:
            shares, nearer, tied = [], [], []
            for distances in far:
                nearer.append(sum(distances[i, o] < distances[i, j] for o in others))
                tied.append([o for o in others if distances[i, o] == distances[i, j]])
                shares.append(min(max((count - nearer[-1]) / len(tied[-1]), 0), 1))
            twins = [
                (images[o] == images[j]).all() and (codes[o] == codes[j]).all() for o in tied[1]
            ]
            apart = 1 + len(twins) - sum(twins)
            trust += shares[1] * max(nearer[0] + 1 - count, 0)
            continuity += shares[0] * max(nearer[1] + 1 + (apart - 1) / 2 - count, 0)
            kept += shares[0] * min(max((count - nearer[1]) / apart, 0), 1)
    scale = 2 / (rows * count * (2 * rows - 3 * count - 1))
    return 1 - scale * trust, 1 - scale * continuity, kept / (rows * count)


def test_scores_with_ties_equal_their_definition() -> None:
    # Whole numbers: distances that are equal are so in every arithmetic.
    images = GENERATOR.integers(0, 3, (40, 3)).astype(np.float32)
    codes = GENERATOR.integers(0, 4, (40, 2)).astype(np.float32)
    # Some equal images have equal codes.
    images[10:25], codes[10:25] = images[0], codes[0]
    scores = neighborhood_scores(images, codes, (5, 15))
    for count in (5, 15):
        trust, continuity, kept = _by_the_definition(images, codes, count)
        assert scores.trustworthiness[count] == pytest.approx(trust, abs=1e-6)
        assert scores.continuity[count] == pytest.approx(continuity, abs=1e-6)
    assert scores.recall == pytest.approx(kept, abs=1e-6)


def test_equal_images_are_each_others_neighbours() -> None:
    images = np.concatenate([TRAIN, np.repeat(TRAIN[:1], 90, 0), np.repeat(TRAIN[:40], 2, 0)])
    for codes in (images, images * np.float32(2)):
        scores = neighborhood_scores(images, codes)
        assert scores.recall == pytest.approx(1)
        assert set(scores.trustworthiness.values()) == {1.0}
        assert set(scores.continuity.values()) == {1.0}


def test_a_map_that_lays_all_on_two_spots_has_kept_nothing() -> None:
    codes = np.repeat(np.eye(2, dtype=np.float32), 100, 0)
    scores = neighborhood_scores(TRAIN, codes, (5, 15))
    for share in (*scores.trustworthiness.values(), *scores.continuity.values()):
        assert 0.4 < share < 0.6
    assert scores.recall < 0.2


@pytest.mark.parametrize(
    ("images", "codes", "why"),
    [
        (TRAIN[:2], TRAIN[:2], "fewer than 3 images"),
        (np.ones((40, 3), np.float32), TRAIN[:40], "all images are equal"),
        (TRAIN[:40], np.ones((40, 3), np.float32), "all codes are equal"),
    ],
)
def test_why_there_is_no_number_of_neighbours(images: Floats, codes: Floats, why: str) -> None:
    with pytest.raises(NoNumber, match=why):
        neighborhood_scores(images, codes, (1,))


@pytest.mark.parametrize("neighbors", [1, 4, 5])
def test_predicted_labels_equal_scikit_learn(neighbors: int) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    labels = GENERATOR.integers(-5, 5, 200)
    classifier = KNeighborsClassifier(neighbors).fit(TRAIN, labels)
    found = predict_labels(TRAIN, labels, TEST, neighbors)
    assert found.tolist() == classifier.predict(TEST).tolist()
    for row in (0, 7, 199):
        others = np.arange(200) != row
        classifier = KNeighborsClassifier(neighbors).fit(TRAIN[others], labels[others])
        expected = classifier.predict(TRAIN[[row]])
        found = predict_labels(TRAIN, labels, TRAIN[[row]], neighbors, np.array([row]))
        assert found.tolist() == expected.tolist()


def test_equal_voters_share_the_last_places() -> None:
    # At 0 two of class 1; at 1 nine, six of class 2: three places are left for them.
    voters = np.array([0, 0, *[1] * 9, 5], np.float32)[:, np.newaxis]
    labels = np.array([1, 1, *[2] * 6, *[1] * 3, 7])
    # 2 + 3 * 3/9 = 3 votes for 1, and 3 * 6/9 = 2 for 2, in whatever order they stand.
    here = np.zeros((1, 1), np.float32)
    for order in (np.arange(12), np.arange(12)[::-1], GENERATOR.permutation(12)):
        assert predict_labels(voters[order], labels[order], here).tolist() == [1]
    # From 5 itself one of class 7, and four places for the nine: 2 2/3 for 2.
    assert predict_labels(voters, labels, here + 5).tolist() == [2]
    # Without its own vote there are five places for the nine.
    assert predict_labels(voters, labels, here + 5, own=np.array([11])).tolist() == [2]
    alone = predict_labels(voters[:3], labels[:3], voters[:3], 1, np.array([0, -1, 2]))
    assert alone.tolist() == [1, 1, 1]
