"""Measures of codes and reconstructions: plain functions on arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def pca_projection(values: Floats, dimensions: int) -> tuple[Floats, float]:
    """Project rows on their first principal components.

    `values`: float (n, p). Returns float32 (n, dimensions) and the share of the variance that it
    keeps, 0..1.
    """
    pca = _fit_pca(values, dimensions)
    return pca.transform(values).astype(np.float32), float(pca.explained_variance_ratio_.sum())


def pca_reconstruction_error(train: Floats, test: Floats, dimensions: int) -> float:
    """Return the mean squared error over `test` of PCA fitted on `train`, both float (n, p).

    `dimensions` beyond min(n, p) add nothing, so that they count as that many.
    """
    pca = _fit_pca(train, min(dimensions, *train.shape))
    return float(np.mean(np.square(pca.inverse_transform(pca.transform(test)) - test)))


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
    return PCA(dimensions, random_state=0).fit(values)
