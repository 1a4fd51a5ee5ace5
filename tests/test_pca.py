import numpy as np
import pytest
from numpy.testing import assert_allclose

from aecli import pca
from aecli.data import Dataset
from aecli.pca import fit_on_training, fit_pca, pca_projection, rows_to_fit
from aecli.pixels import unit_rows

GENERATOR = np.random.default_rng(0)
TRAIN = (GENERATOR.normal(size=(200, 6)) * [9, 5, 3, 1, 1, 1] + 4).astype(np.float32)
TEST = (GENERATOR.normal(size=(50, 6)) * [9, 5, 3, 1, 1, 1] + 4).astype(np.float32)


@pytest.mark.parametrize("dimensions", [1, 2, 5, 6])
def test_pca_error_equals_the_singular_value_decomposition(dimensions: int) -> None:
    mean = TRAIN.mean(axis=0)
    _, _, components = np.linalg.svd(TRAIN - mean)
    kept = components[:dimensions]
    expected = np.mean(((TEST - mean) @ kept.T @ kept + mean - TEST) ** 2)
    fitted = fit_pca(TRAIN, dimensions)
    own, other = fitted.error([TRAIN]), fitted.error([TEST[:20], TEST[20:]])
    assert_allclose(other, expected, atol=1e-5)
    assert own < other or dimensions == 6


def test_more_dimensions_than_pixels_lose_nothing() -> None:
    fitted = fit_pca(TRAIN, 99)
    assert fitted.error([TEST]) < 1e-6
    assert_allclose(fitted.back(fitted.project(TEST)), TEST, atol=1e-4)


@pytest.mark.parametrize("columns", [6, 1_100])
def test_pca_projection_keeps_the_widest_directions(columns: int) -> None:
    rows = TRAIN @ GENERATOR.normal(size=(6, columns)).astype(np.float32)
    projected, kept = pca_projection(rows, 2)
    variances = np.square(np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)) / 200
    assert projected.shape == (200, 2)
    assert_allclose(kept, variances[:2].sum() / variances.sum(), rtol=1e-4)
    # By falling variance.
    assert_allclose(projected.var(axis=0), variances[:2], rtol=1e-3)


def test_the_fit_does_not_depend_on_how_many_rows_are_summed_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = fit_pca(TRAIN, 3)
    monkeypatch.setattr(pca, "_ROWS_AT_A_TIME", 70)
    fitted = fit_pca(TRAIN, 3)
    assert_allclose(np.abs(fitted.directions), np.abs(expected.directions), atol=1e-5)


def test_the_fit_of_large_images_gives_the_same_each_time() -> None:
    rows = GENERATOR.random((600, 1_100), np.float32)
    first, second = (fit_pca(rows, 3) for _ in range(2))
    np.testing.assert_array_equal(first.directions, second.directions)


@pytest.mark.parametrize("columns", [4, 1_100])
def test_few_or_equal_rows_have_a_projection_too(columns: int) -> None:
    projected, kept = pca_projection(GENERATOR.random((1, columns), np.float32), 2)
    assert projected.tolist() == [[0, 0]]
    assert kept == 1
    projected, kept = pca_projection(np.ones((5, columns), np.float32), 2)
    assert not projected.any()
    assert kept == 1


@pytest.mark.parametrize("columns", [60, 1_100])
def test_the_variance_is_the_mean_over_the_columns(columns: int) -> None:
    rows = GENERATOR.random((100, columns), np.float32)
    fitted = fit_pca(rows, 3)
    assert_allclose(fitted.variance, rows.var(axis=0).mean(), rtol=1e-4)
    assert_allclose(fitted.directions @ fitted.directions.T, np.eye(3), atol=1e-4)


def test_memory_bounds_the_rows_of_a_fit(digits: Dataset) -> None:
    assert rows_to_fit(digits, 100 * 16 * 64) == 100
    assert rows_to_fit(digits, 1) == 1
    assert rows_to_fit(digits, 10**12) == 100_000


def test_a_fit_on_little_memory_takes_rows_from_everywhere(digits: Dataset) -> None:
    some = digits.sample("train", 100).images
    expected = fit_pca(unit_rows(some), 5)
    assert len(some) == 100
    fitted = fit_on_training(digits, 5, memory=100 * 16 * 64)
    np.testing.assert_array_equal(fitted.directions, expected.directions)
