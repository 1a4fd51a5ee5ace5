"""Measures of codes and reconstructions: plain functions on arrays."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


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
