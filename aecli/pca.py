"""Principal components: the linear map that learned maps are compared with."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset
from aecli.pixels import unit_rows

Floats = npt.NDArray[np.float32]

# Memory that a fit on training images may take, and how many images it takes at most: more would
# hardly change the components, and take longer than training.
FIT_BYTES = 2_000_000_000
_FIT_ROWS = 100_000
_NUMPY_COLUMNS = 1_024
_ROWS_AT_A_TIME = 5_000
# The squares of numbers beyond, added up, do not fit float32; nor do those of their inverses.
_LARGE = 1e12


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """The directions in which rows (n, p) vary most.

    `mean`: float32 (p,). `directions`: float32 (k, p), orthonormal, by falling variance. `kept`:
    the share of the variance along them, 0..1. `variance`: the mean over the columns of their
    variance.
    """

    mean: Floats
    directions: Floats
    kept: float
    variance: float

    def project(self, rows: Floats) -> Floats:
        """Project rows (n, p) onto the directions; returns float32 (n, k)."""
        return np.asarray((rows - self.mean) @ self.directions.T, np.float32)

    def back(self, codes: Floats) -> Floats:
        """Return the rows (n, p) that codes (n, k) stand for."""
        return np.asarray(codes @ self.directions + self.mean, np.float32)

    def error(self, parts: Iterable[Floats]) -> float:
        """Return the mean squared error of the reconstructions of rows (n, p), given in parts."""
        errors = []
        for rows in parts:
            centred = rows - self.mean
            lost = centred @ self.directions.T @ self.directions - centred
            errors.append(np.square(lost).mean(axis=1))
        return float(np.concatenate(errors).mean())


def fit_on_training(
    dataset: Dataset, dimensions: int, memory: int = FIT_BYTES
) -> PrincipalComponents:
    """Fit PCA on training images: all, or as many as fit into `memory` bytes, evenly spread."""
    sample = dataset.sample("train", rows_to_fit(dataset, memory))
    return fit_pca(unit_rows(sample.images), dimensions)


def rows_to_fit(dataset: Dataset, memory: int = FIT_BYTES) -> int:
    """Return how many images PCA is fitted on at most, in `memory` bytes."""
    # The fit needs about four times the images as float32.
    fitting = memory // (4 * 4 * math.prod(dataset.image_shape))
    return max(1, min(fitting, _FIT_ROWS))


def pca_projection(
    values: Floats, dimensions: int, fitted_to: Floats | None = None
) -> tuple[npt.NDArray[np.floating[Any]], float]:
    """Project rows onto the first principal components, their own or those of other rows.

    `values`: float (n, p). `fitted_to`: float (m, p). Returns float (n, dimensions) and the share
    of the variance that is kept, 0..1; of equal rows that is 1. Dimensions beyond min(n, p), or
    min(m, p), are 0.
    """
    fitted_to = values if fitted_to is None else fitted_to
    largest = float(max(np.abs(values).max(), np.abs(fitted_to).max()))
    if not (largest == 0 or 1 / _LARGE < largest < _LARGE):
        values, fitted_to = (
            (rows / np.float64(largest)).astype(np.float32) for rows in (values, fitted_to)
        )
        projected, kept = pca_projection(values, dimensions, fitted_to)
        return projected * np.float64(largest), kept
    components = fit_pca(fitted_to, dimensions)
    projected = np.zeros((len(values), dimensions), np.float32)
    projected[:, : len(components.directions)] = components.project(values)
    return projected, components.kept


def fit_pca(values: Floats, dimensions: int) -> PrincipalComponents:
    """Fit PCA of at most `dimensions`, and of at most min(n, p), to rows, float32 (n, p).

    With few columns numpy solves the eigenvalue problem: importing scikit-learn would take longer.
    With many, its time would grow with p cubed, and that of scikit-learn's randomized solver does
    not.
    """
    rows, columns = values.shape
    dimensions = min(dimensions, rows, columns)
    if columns <= _NUMPY_COLUMNS:
        mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        variances, vectors = np.linalg.eigh(_scatter(values, mean))
        total = float(variances.sum())
        kept = float(variances[-dimensions:].sum()) / total if total > 0 else 1.0
        directions = vectors[:, : -dimensions - 1 : -1].T.astype(np.float32)
        return PrincipalComponents(mean, directions, kept, total / rows / columns)
    from sklearn.decomposition import PCA

    # The randomized solver, which is used for large images, draws random numbers.
    pca = PCA(dimensions, random_state=0)
    # Of equal rows it divides a variance of 0 by 0.
    with np.errstate(all="ignore"):
        pca.fit(values)
    kept = float(pca.explained_variance_ratio_.sum())
    total = float(values.var(axis=0, dtype=np.float64).mean())
    return PrincipalComponents(
        pca.mean_, pca.components_, kept if np.isfinite(kept) else 1.0, total
    )


def _scatter(values: Floats, mean: Floats) -> npt.NDArray[np.float64]:
    """Return the covariance, times n, of rows (n, p) around their mean (p,).

    A few rows at a time: a second copy of all of them might not fit into memory.
    """
    scatter = np.zeros((values.shape[1], values.shape[1]))
    for start in range(0, len(values), _ROWS_AT_A_TIME):
        centred = values[start : start + _ROWS_AT_A_TIME] - mean
        scatter += centred.T @ centred
    return scatter
