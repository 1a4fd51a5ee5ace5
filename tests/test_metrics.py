import numpy as np
import pytest
from numpy.testing import assert_allclose

from aecli.metrics import (
    knn_accuracy,
    pca_projection,
    pca_reconstruction_errors,
    trustworthiness,
)

GENERATOR = np.random.default_rng(0)
TRAIN = (GENERATOR.normal(size=(200, 6)) * [9, 5, 3, 1, 1, 1] + 4).astype(np.float32)
TEST = (GENERATOR.normal(size=(50, 6)) * [9, 5, 3, 1, 1, 1] + 4).astype(np.float32)


@pytest.mark.parametrize("dimensions", [1, 2, 5, 6])
def test_pca_error_equals_the_singular_value_decomposition(dimensions: int) -> None:
    mean = TRAIN.mean(axis=0)
    _, _, components = np.linalg.svd(TRAIN - mean)
    kept = components[:dimensions]
    expected = np.mean(((TEST - mean) @ kept.T @ kept + mean - TEST) ** 2)
    own, other = pca_reconstruction_errors(TRAIN, [[TRAIN], [TEST]], dimensions)
    assert_allclose(other, expected, atol=1e-5)
    assert own < other or dimensions == 6


def test_more_dimensions_than_pixels_lose_nothing() -> None:
    assert max(pca_reconstruction_errors(TRAIN, [[TEST]], 99)) < 1e-6


def test_pca_projection_keeps_the_widest_directions() -> None:
    projected, kept = pca_projection(TRAIN, 2)
    variances = np.sort(np.linalg.eigvalsh(np.cov(TRAIN.T)))[::-1]
    assert projected.shape == (200, 2)
    assert_allclose(kept, variances[:2].sum() / variances.sum(), rtol=1e-4)


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


def test_few_or_equal_rows_have_a_projection_too() -> None:
    projected, kept = pca_projection(TRAIN[:1], 2)
    assert projected.tolist() == [[0, 0]]
    assert kept == 1
    projected, kept = pca_projection(np.ones((5, 4), np.float32), 2)
    assert not projected.any()
    assert kept == 1
