"""Runs that place images by features: what must be at hand of the images that are placed."""

from aecli.data import Dataset, Source
from aecli.errors import InputError
from aecli.model.references import COMPONENTS
from aecli.run.checkpoint import Checkpoint


def check_source(checkpoint: Checkpoint, source: Source) -> None:
    """Raise `InputError` where a run needs features of new images, or knows none, and not so here.

    One that found neighbours by features, but places images by pixels, takes a source with either.
    """
    if checkpoint.places_by_features and source.features is None:
        raise InputError(
            f"the run places images by features, not by pixels: expected --features FILE.npy, a "
            f"row of {_numbers(checkpoint)} numbers for each image of {source.location}"
        )
    if source.features is not None and checkpoint.data.source.features is None:
        raise InputError(
            "--features does not fit: the run was trained without, and places images by pixels; "
            "leave it out"
        )


def features_note(checkpoint: Checkpoint, source: Source) -> str | None:
    """Return in a line that features of new images mean nothing to a run; None where they do."""
    if source.features is None or checkpoint.places_by_features:
        return None
    return "--features not used: the run's encoder alone places images, by their pixels"


def check_features(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Raise `InputError` where a run places images by features, and not by such as a data set has.

    The features that it was trained on must be the same as then.
    """
    if not checkpoint.places_by_features:
        return
    check_source(checkpoint, dataset.source)
    path = dataset.source.features
    try:
        features = dataset.features
    except InputError as error:
        own = path == checkpoint.data.source.features
        again = "; put it back, or: aecli encode RUN DATASET --features FILE.npy" if own else ""
        raise InputError(f"the run places images by features: {error}{again}") from error
    expected = _numbers(checkpoint)
    if features is not None and features.shape[1] != expected:
        raise InputError(
            f"--features {path} has rows of {features.shape[1]:,} numbers, those of the run have "
            f"{expected:,}: expected features of the same kind"
        )
    check_same_features(checkpoint, dataset)


def check_same_features(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Raise `InputError` where the file of features that a run was trained on has changed."""
    data = checkpoint.data
    path = data.source.features
    if path is None or (dataset.source.features, dataset.fingerprint) != (path, data.fingerprint):
        return
    if data.features_digest not in (None, dataset.features_digest):
        raise InputError(
            f"{path} has changed since the run was trained with these features: put the file back "
            "as it was"
        )


def _numbers(checkpoint: Checkpoint) -> int:
    return int(checkpoint.tensors[COMPONENTS].shape[1])
