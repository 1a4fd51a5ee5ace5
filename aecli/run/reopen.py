"""The data of a run: opened again, checked to be the same, and its default split."""

from aecli.config import SplitName
from aecli.data import Bar, Dataset, Source, no_bar, open_dataset, reopen_dataset
from aecli.errors import InputError
from aecli.run.checkpoint import Checkpoint


def open_for(checkpoint: Checkpoint, source: Source | None, bar: Bar = no_bar) -> Dataset:
    """Return the data set of `source`; where that is None, the one a checkpoint was trained on.

    Raises:
        InputError: there is no such data set, it is damaged, or the run's own has changed.
        AecliError: it could not be fetched.

    """
    return reopen(checkpoint, bar) if source is None else open_dataset(source, bar)


def reopen(checkpoint: Checkpoint, bar: Bar = no_bar) -> Dataset:
    """Return the data set that a checkpoint was trained on.

    Raises:
        InputError: it is no longer there, or its pixels have changed.

    """
    dataset = reopen_dataset(checkpoint.data.source, bar)
    check_same_data(checkpoint, dataset, "; name the DATASET to take it all the same")
    return dataset


def default_split(dataset: Dataset, *, named: bool) -> SplitName:
    """Return the split to encode or score where none is asked for: test.

    Of a data set that was `named` and has no splits of its own it is all rows: splits drawn at
    random say nothing about it.
    """
    return "all" if named and not dataset.has_own_splits else "test"


def check_same_data(checkpoint: Checkpoint, dataset: Dataset, advice: str = "") -> None:
    """Raise `InputError` where a data set is not the one that a checkpoint was trained on."""
    if dataset.fingerprint != checkpoint.data.fingerprint:
        raise InputError(
            f"{dataset.source.location} is not the data that the run was trained on, "
            f"{checkpoint.data.name}: its pixels differ{advice}"
        )
    if checkpoint.data.splits_digest not in (None, dataset.splits_digest):
        raise InputError(
            f"{dataset.source.location} is not split as when the run was trained: its labels or "
            f"the options of its splits differ{advice}"
        )
    if checkpoint.data.labels_digest not in (None, dataset.labels_digest):
        raise InputError(
            f"{dataset.source.location} has other labels than when the run was trained, or other "
            f"names of its classes{advice}"
        )
