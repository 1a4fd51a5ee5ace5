"""Measures of codes and reconstructions: plain functions on arrays."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_PCA_COLUMNS = 1_024
_PCA_ROWS_AT_A_TIME = 5_000


def pca_projection(values: Floats, dimensions: int) -> tuple[Floats, float]:
    """Project rows on their first principal components.

    `values`: float (n, p). Returns float32 (n, dimensions) and the share of the variance that it
    keeps, 0..1. Dimensions beyond min(n, p) are 0; rows that are all the same keep all of it.
    """
    mean, components, kept = _fit_pca(values, dimensions)
    projected = np.zeros((len(values), dimensions), np.float32)
    projected[:, : len(components)] = (values - mean) @ components.T
    return projected, kept


def pca_reconstruction_errors(
    train: Floats, others: Sequence[Iterable[Floats]], dimensions: int
) -> list[float]:
    """Return the mean squared error over each of `others` of PCA fitted on `train`.

    All are float (n, p), each of `others` in parts. Dimensions beyond min(n, p) add nothing.
    """
    mean, components, _ = _fit_pca(train, dimensions)

    def squared_errors(rows: Floats) -> Floats:
        rows = rows - mean
        errors: Floats = np.square(rows @ components.T @ components - rows).mean(axis=1)
        return errors

    return [
        float(np.concatenate([squared_errors(rows) for rows in parts]).mean()) for parts in others
    ]


def knn_accuracy(
    train_codes: Floats,
    train_labels: npt.NDArray[np.int64],
    test_codes: Floats,
    test_labels: npt.NDArray[np.int64],
    neighbors: int = 5,
) -> float:
    """Return the share of test codes whose label the majority of their nearest train codes has.

    Codes: float (n, d); labels: int (n,). Distances are Euclidean.
    """
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(neighbors).fit(train_codes, train_labels)
    return float(classifier.score(test_codes, test_labels))


def trustworthiness(images: Floats, codes: Floats, neighbors: int = 5) -> float:
    """Return how far the neighbours of codes (n, d) are neighbours of images (n, p) too, 0..1.

    Source: Venna and Kaski, *Neighborhood preservation in nonlinear projection methods* (2001).
    Memory grows with n squared.
    """
    from sklearn.manifold import trustworthiness as score

    return float(score(images, codes, n_neighbors=neighbors))


def _fit_pca(values: Floats, dimensions: int) -> tuple[Floats, Floats, float]:
    """Return mean (p,), components (k, p) and the share of variance kept of PCA of rows (n, p).

    Few columns take an eigenvalue problem of numpy's: importing scikit-learn for it would take
    longer. Many would take p cubed, where scikit-learn's randomized solver does not.
    """
    dimensions = min(dimensions, *values.shape)
    if values.shape[1] <= _PCA_COLUMNS:
        mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        covariance = _covariance(values, mean)
        variances, vectors = np.linalg.eigh(covariance)
        total = variances.sum()
        kept = variances[-dimensions:].sum() / total if total > 0 else 1.0
        return mean, vectors[:, : -dimensions - 1 : -1].T.astype(np.float32), float(kept)
    from sklearn.decomposition import PCA

    # The randomized solver, which large images take, draws numbers.
    pca = PCA(dimensions, random_state=0)
    # Of rows that are all the same it divides no variance by none.
    with np.errstate(all="ignore"):
        pca.fit(values)
    kept = float(pca.explained_variance_ratio_.sum())
    return pca.mean_, pca.components_, kept if np.isfinite(kept) else 1.0


def _covariance(values: Floats, mean: Floats) -> npt.NDArray[np.float64]:
    """Return the covariance, times n, of rows (n, p) around their mean (p,).

    Some rows at a time: as many float32 again would not fit where these just do.
    """
    covariance = np.zeros((values.shape[1], values.shape[1]))
    for start in range(0, len(values), _PCA_ROWS_AT_A_TIME):
        centred = values[start : start + _PCA_ROWS_AT_A_TIME] - mean
        covariance += centred.T @ centred
    return covariance
