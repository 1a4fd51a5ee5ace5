"""The data set that a run was trained on, opened again."""

from typing import TYPE_CHECKING

from aecli.errors import InputError

if TYPE_CHECKING:
    from aecli.data import Bar, Dataset
    from aecli.run.checkpoint import Checkpoint


def reopen(checkpoint: "Checkpoint", bar: "Bar") -> "Dataset":
    """Return the data set that a checkpoint was trained on.

    Raises:
        InputError: it is no longer there, or its pixels have changed.

    """
    from aecli.data import reopen_dataset

    dataset = reopen_dataset(checkpoint.data.source, bar)
    check_same_data(checkpoint, dataset, "; name the DATASET to take it all the same")
    return dataset


def check_same_data(checkpoint: "Checkpoint", dataset: "Dataset", advice: str = "") -> None:
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
