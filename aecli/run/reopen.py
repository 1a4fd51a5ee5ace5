"""The data of a run: opened again, checked to be the same, and its default split."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aecli.config import SplitName
from aecli.data import (
    Bar,
    Dataset,
    Source,
    choose_source,
    counted,
    no_bar,
    open_dataset,
    refuse_data_files,
    reopen_dataset,
)
from aecli.data.describe import broken_note
from aecli.data.ranges import contrast_note
from aecli.data.source import MOST_SIDE, located
from aecli.errors import InputError
from aecli.files import refuse_inputs
from aecli.run.by_features import check_source, features_note
from aecli.run.checkpoint import Checkpoint
from aecli.run.folder import folder_of

_UNENDED = (
    "the training has not ended: until aecli train --resume ends it the encoder alone places "
    "images, without their neighbours"
)


def open_for(
    checkpoint: Checkpoint, source: Source | None, bar: Bar = no_bar, *, pixels: bool = True
) -> Dataset:
    """Return the data set of `source`; where that is None, the one a checkpoint was trained on.

    Without `pixels` the run's own are not compared with those that it was trained on.

    Images are converted as those of the run were: they get its size, its channels, its bits and its
    range. `Dataset.converted` says how many were not like that. Vectors must have its length.

    Raises:
        InputError: there is no such data set, it is damaged, the run's own has changed, or `source`
            asks for images that the run does not take.
        AecliError: it could not be fetched.

    """
    if source is None:
        return reopen(checkpoint, bar, pixels=pixels)
    check_source(checkpoint, source)
    dataset = open_dataset(_as_in(checkpoint, source), bar)
    _check_shape(checkpoint, dataset)
    return dataset


def open_beside(
    checkpoint: Checkpoint,
    run: Path,
    location: str | None,
    options: Mapping[str, Any] | None,
    outputs: Sequence[Path],
    bar: Bar = no_bar,
    *,
    pixels: bool = True,
) -> tuple[Dataset, bool]:
    """Return the images to apply the model of a run to, and whether they were named.

    Args:
        checkpoint: of the `run`, which is its folder or one of its checkpoints.
        run: whose files no output may replace.
        location: name, folder or file of the images; None for those that it was trained on.
        options: fields of `Source`; the images are treated as the run's where these leave it open.
        outputs: what is to be written, none of which may be read; the cheap checks come first.
        bar: shows the reading.
        pixels: as of `open_for`.

    Raises:
        InputError: an output would replace what is read, or as `open_for` says.
        AecliError: the data could not be fetched.

    """
    source = choose_source(location, options or {}, like=checkpoint.data.source)
    read = source or checkpoint.data.source
    named = [located(name)[0] for name in (read.location, read.labels, read.features) if name]
    refuse_inputs(outputs, [*named, *folder_of(run).files])
    dataset = open_for(checkpoint, source, bar, pixels=pixels)
    refuse_data_files(outputs, dataset)
    return dataset, source is not None


def _as_in(checkpoint: Checkpoint, source: Source) -> Source:
    """Return a source whose images are converted to those that a run takes."""
    height, width, channels = checkpoint.data.image_shape
    takes = f"the run was trained on images of {height}x{width}x{channels}"
    if source.size not in (None, (height, width)):
        raise InputError(
            f"--size {'x'.join(map(str, source.size or ()))} does not fit: {takes}, to which "
            "others are converted; leave it out"
        )
    if source.grayscale and channels != 1:
        raise InputError(f"--grayscale does not fit: {takes}; leave it out")
    if checkpoint.data.source.columns is not None and source.columns is None:
        raise InputError(
            "--rescale does not fit: the run was trained on vectors whose columns are "
            "standardised; leave it out"
        )
    # Images one pixel high are vectors, which nothing can be stretched to.
    can_be_stretched_to = 1 < height <= MOST_SIDE and width <= MOST_SIDE
    return replace(
        source,
        size=(height, width) if can_be_stretched_to else None,
        grayscale=channels == 1,
        color=channels == 3,
        # Where none of the run's images was transparent, nothing was chosen yet.
        ground=source.ground or "auto",
    )


def _check_shape(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Raise `InputError` where images or vectors are of another shape than a run's."""
    expected, got = ("x".join(map(str, data.image_shape)) for data in (checkpoint.data, dataset))
    if got != expected:
        raise InputError(
            f"{dataset.name} has images of {got}, the run was trained on {expected} "
            f"({checkpoint.data.name}): name images or vectors of that shape, or train a run on "
            "these"
        )


def notes(
    dataset: Dataset, split: SplitName, checkpoint: Checkpoint | None = None, *, named: bool
) -> list[str]:
    """Return what was made of the images of a split, a line each.

    How they were converted, where the data set was `named`: of a run's own the training has said
    it. And how many lie outside the range of the training images, which files are broken, and
    whether the run of a `checkpoint` has no use for their features, or has not ended.
    """
    ground = dataset.source.ground
    texts = [counted(dataset.converted)] if dataset.converted else []
    texts += [f"transparent images lie on {ground}"] if ground else []
    said = [f"images converted as the run's: {'; '.join(texts)}"] if named and texts else []
    outside = dataset.outside_note(split)
    contrast = contrast_note(dataset, split) if named else None
    unended = _UNENDED if checkpoint is not None and checkpoint.lacks_references else None
    unread = features_note(checkpoint, dataset.source) if named and checkpoint else None
    found = (unread, outside, contrast, broken_note(dataset), unended)
    return said + [note for note in found if note]


def reopen(checkpoint: Checkpoint, bar: Bar = no_bar, *, pixels: bool = True) -> Dataset:
    """Return the data set that a checkpoint was trained on; `pixels` as in `check_same_data`.

    Raises:
        InputError: it is no longer there, or its pixels have changed.

    """
    dataset = reopen_dataset(checkpoint.data.source, bar)
    check_same_data(
        checkpoint, dataset, "; name the DATASET to take it all the same", pixels=pixels
    )
    return dataset


def default_split(dataset: Dataset, *, named: bool) -> SplitName:
    """Return the split to encode or score where none is asked for: test.

    Of a data set that was `named` and has no splits of its own it is all rows: splits drawn at
    random say nothing about it.
    """
    return "all" if named and not dataset.has_own_splits else "test"


def check_same_data(
    checkpoint: Checkpoint, dataset: Dataset, advice: str = "", *, pixels: bool = True
) -> None:
    """Raise `InputError` where a data set is not the one that a checkpoint was trained on.

    Without `pixels`, which are all read for it, splits and labels alone are compared.
    """
    if pixels and dataset.fingerprint != checkpoint.data.fingerprint:
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
