"""Measures of codes and reconstructions: plain functions on arrays."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def pca_projection(values: Floats, dimensions: int) -> tuple[Floats, float]:
    """Project rows on their first principal components.

    `values`: float (n, p). Returns float32 (n, dimensions) and the share of the variance that it
    keeps, 0..1. Dimensions beyond min(n, p) are 0; rows that are all the same keep all of it.
    """
    pca = _fit_pca(values, dimensions)
    projected = np.zeros((len(values), dimensions), np.float32)
    projected[:, : pca.n_components_] = pca.transform(values)
    kept = float(pca.explained_variance_ratio_.sum())
    return projected, kept if np.isfinite(kept) else 1.0


def pca_reconstruction_errors(
    train: Floats, others: Sequence[Iterable[Floats]], dimensions: int
) -> list[float]:
    """Return the mean squared error over each of `others` of PCA fitted on `train`.

    All are float (n, p), each of `others` in parts. Dimensions beyond min(n, p) add nothing.
    """
    pca = _fit_pca(train, dimensions)

    def squared_errors(rows: Floats) -> Floats:
        errors: Floats = np.square(pca.inverse_transform(pca.transform(rows)) - rows).mean(axis=1)
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


def _fit_pca(values: Floats, dimensions: int) -> Any:
    from sklearn.decomposition import PCA

    # The randomized solver, which large images take, draws numbers.
    pca = PCA(min(dimensions, *values.shape), random_state=0)
    # Of rows that are all the same it divides no variance by none.
    with np.errstate(all="ignore"):
        return pca.fit(values)
