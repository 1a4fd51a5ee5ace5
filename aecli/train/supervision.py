"""The labels that training pulls together. Importing this imports no jax."""

import numpy as np
import numpy.typing as npt

from aecli.config import Config
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.labels import UNKNOWN, Labels


def training_labels(dataset: Dataset, config: Config) -> npt.NDArray[np.int32] | None:
    """Return the class of each training image, int32 (n,), counted from 0, `UNKNOWN` for none.

    None where the config asks for no label loss.

    Raises:
        InputError: there are not two classes, one of them of two images.

    """
    if not config.label_weight:
        return None
    labels = dataset.labels_of("train")
    known = np.zeros(0, np.int64) if labels is None else labels[labels != UNKNOWN]
    classes, counts = np.unique(known, return_counts=True)
    if labels is None or len(classes) < 2 or counts.max() < 2:
        raise InputError(
            f"--label-weight needs labels of two classes or more, and the training images of "
            f"{dataset.source.location} have {_found(counts)}: --labels takes them from a file"
        )
    return np.where(labels == UNKNOWN, UNKNOWN, np.searchsorted(classes, labels)).astype(np.int32)


def _found(counts: npt.NDArray[np.int64]) -> str:
    """Return what labels there are, by how many images each class has."""
    if len(counts) == 0:
        return "none"
    return "those of one class" if len(counts) == 1 else "another one each"


def labelled_count(labels: Labels | npt.NDArray[np.int32]) -> int:
    """Return how many images of labels (n,) have one."""
    return int(np.count_nonzero(labels != UNKNOWN))
