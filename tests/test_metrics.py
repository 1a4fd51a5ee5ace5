import numpy as np

from aecli.metrics import knn_accuracy, trustworthiness

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
