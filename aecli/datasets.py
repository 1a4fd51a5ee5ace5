"""Data sets for Python programs."""

import os
from typing import Literal

from aecli import data
from aecli.config import DEFAULT_SHARE, DEFAULT_SPLIT_SEED
from aecli.data import Dataset, Source
from aecli.python_errors import python_errors


def open_dataset(
    location: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    validation: float = DEFAULT_SHARE,
    test: float = DEFAULT_SHARE,
    split_seed: int = DEFAULT_SPLIT_SEED,
    rescale: tuple[float, float] | Literal["auto"] | None = "auto",
    size: tuple[int, int] | None = None,
    grayscale: bool = False,
) -> Dataset:
    """Read the data set at a path or of a name, as `aecli train` reads it.

    `Dataset.split(name)` reads the `images`, the `labels` and the `row_ids` (file names) of
    `train`, `validation`, `test` or `all`; `class_names` is what labels index, where they have
    names.

    Args:
        location: a path, a name that `aecli data list` knows, or an address.
        labels: a file of labels.
        validation: share of the images to validate on, where the data have no splits.
        test: share of the images to test on; 0 tests on the validation images.
        split_seed: seed of these splits.
        rescale: (low, high), the pixel values that become 0 and 1; `auto` finds them.
        size: (height, width) that images are stretched to.
        grayscale: whether to convert images to grayscale.

    Raises:
        ValueError: there is no such data set, or it is damaged.
        RuntimeError: it could not be fetched, or memory is short.

    """
    with python_errors():
        source = Source(
            os.fspath(location),
            labels=None if labels is None else os.fspath(labels),
            validation=validation,
            test=test,
            split_seed=split_seed,
            rescale=rescale,
            size=size,
            grayscale=grayscale,
        )
        return data.open_dataset(source)
