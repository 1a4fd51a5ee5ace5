"""What to score: the map of a run, or codes from a file. Importing this imports no jax."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from aecli.background_import import importing
from aecli.config import SplitName
from aecli.data import (
    Bar,
    Dataset,
    Source,
    choose_source,
    no_bar,
    open_dataset,
    option_words,
    reopen_dataset,
)
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import UNKNOWN, Labels
from aecli.printable import plural
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.codes import Codes, default_codes_path, is_codes, labels_path
from aecli.run.folder import RunFolder, find_checkpoint, folder_of
from aecli.run.part import codes_are_there, find_codes
from aecli.run.parts import are_of, read_codes_or_parts, refuse_single_part, same_images
from aecli.run.reopen import default_split, open_for
from aecli.score.baselines import has_separate_train_split

# What is imported while the data are read.
_SCORING = "aecli.score.comparison"
STABILITY_NEEDS_RUN = "--stability trains again: expected a RUN, got codes"


@dataclass(frozen=True, eq=False)
class RunJob:
    """A run, and the images whose map it makes.

    `run` is its folder or a checkpoint in it, `location` the DATASET that was named, None for the
    run's own. `codes_path` is where `aecli encode` puts the codes of these images. `fit_seconds` is
    the wall time of the training; None where it is not known, or was on other data. `options` are
    those that the data are read with, fields of `Source`.
    """

    run: Path
    checkpoint: Checkpoint
    dataset: Dataset
    split: SplitName
    codes_path: Path
    location: str | None = None
    fit_seconds: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> RunFolder:
        """The folder of the run."""
        return folder_of(self.run)

    @property
    def dimensions(self) -> int:
        """How many numbers a code has."""
        return self.checkpoint.config.latent

    @property
    def labels_beside(self) -> None:
        """No file: the labels are those of the data."""
        return None

    @property
    def label_weight(self) -> float:
        """The weight of labels in the training; 0 where none were used."""
        return self.checkpoint.config.label_weight

    def read_codes(self) -> Codes:
        """Return the codes at `codes_path`.

        Raises:
            InputError: there are none, or they are not this run's of these images.

        """
        named = [] if self.location is None else [self.location, *option_words(self.options)]
        words = [str(self.run), *named, "--split", self.split, "-o", str(self.codes_path)]
        encode = f"aecli encode {shlex.join(words)}"
        if not codes_are_there(self.codes_path):
            raise InputError(
                f"--per-point writes next to {self.codes_path}, which does not exist: {encode}"
            )
        codes = read_codes_or_parts(self.codes_path)
        provenance = codes.provenance
        if (
            provenance is None
            or provenance.get("model_sha256") != self.checkpoint.model_hash
            or not are_of(provenance, self.dataset, self.split)
        ):
            raise InputError(
                f"{self.codes_path} does not hold this run's codes of these images: "
                f"{encode} --force"
            )
        return codes


@dataclass(frozen=True, eq=False)
class CodesJob:
    """Codes from a file, and the images that they are of.

    `train_codes` are those of the training images, which predict labels; None without them.
    `labels_beside` is the file that the labels come from where the data have none.
    """

    codes_path: Path
    codes: Codes
    dataset: Dataset
    split: SplitName
    train_codes: Codes | None = None
    labels_beside: Path | None = None

    @property
    def checkpoint(self) -> None:
        """No run is needed."""
        return None

    @property
    def dimensions(self) -> int:
        """How many numbers a code has."""
        return int(self.codes.values.shape[1])

    @property
    def label_weight(self) -> float | None:
        """The weight of labels in the training of their run; None where that is not known."""
        weight: float | None = (self.codes.provenance or {}).get("label_weight")
        return weight

    def read_codes(self) -> Codes:
        """Return the codes."""
        return self.codes


ScoreJob = RunJob | CodesJob


def score_job(
    path: Path,
    location: str | None = None,
    options: Mapping[str, Any] | None = None,
    split: SplitName | None = None,
    train_codes: Path | None = None,
    seeds: int | None = None,
    bar: Bar = no_bar,
) -> ScoreJob:
    """Return the job of a run or of codes, whichever `path` is: codes are a file called `.npy`.

    The arguments are those of `run_job` and `codes_job`; with `seeds` it is to be trained again.

    Raises:
        InputError: there is no such run, there are no such codes, or the data do not belong to it.

    """
    path = find_codes(path)
    if is_codes(path):
        if seeds is not None:
            raise InputError(STABILITY_NEEDS_RUN)
        if (options or {}).get("features") is not None:
            raise InputError("--features goes with a RUN: codes are made already")
        return codes_job(path, location, options, split, train_codes, bar)
    if train_codes is not None:
        raise InputError("--train-codes goes with CODES: a run encodes its training images itself")
    return run_job(path, location, options, split, bar)


def run_job(
    run: Path,
    location: str | None = None,
    options: Mapping[str, Any] | None = None,
    split: SplitName | None = None,
    bar: Bar = no_bar,
) -> RunJob:
    """Return the job that scores the map of a run.

    Args:
        run: its folder, or one of its checkpoints.
        location: name, folder or file of the images; None for those that it was trained on.
        options: fields of `Source`; the images are treated as the run's where these leave it open.
        split: of the images; None for `default_split`.
        bar: shows the reading.

    Raises:
        InputError: there is no such run, or the data cannot be read or have changed.

    """
    checkpoint = load(find_checkpoint(run))
    source = choose_source(location, options or {}, like=checkpoint.data.source)
    with importing(_SCORING):
        data = open_for(checkpoint, source, bar)
    folder = folder_of(run)
    return RunJob(
        run,
        checkpoint,
        data,
        split or default_split(data, named=source is not None),
        default_codes_path(folder.path, split),
        source.location if source else None,
        _seconds_to_fit(folder) if source is None else None,
        options or {},
    )


def codes_job(
    path: Path,
    location: str | None = None,
    options: Mapping[str, Any] | None = None,
    split: SplitName | None = None,
    train_codes: Path | None = None,
    bar: Bar = no_bar,
) -> CodesJob:
    """Return the job that scores codes from a file, whatever made them.

    Args:
        path: the codes, `.npy`.
        location: name, folder or file of the images; None for those that the codes say.
        options: fields of `Source`; the images are treated as the codes say where these leave it
            open.
        split: of the images; None for the one that the codes say, or else `default_split`.
        train_codes: codes of the training images, `.npy`.
        bar: shows the reading.

    Raises:
        InputError: the codes or the data cannot be read, or do not belong together.

    """
    path = find_codes(path)
    codes = read_codes_or_parts(path)
    refuse_single_part(path, codes)
    provenance = codes.provenance or {}
    own = Source.from_json(provenance["source"]) if provenance else None
    source = choose_source(location, options or {}, like=own)
    if source is None and own is None:
        raise InputError(f"{path} does not say what images it is of: name the DATASET")
    with importing(_SCORING):
        data = open_dataset(source, bar) if source else _reopen(path, provenance, bar)
    split = split or provenance.get("split") or default_split(data, named=source is not None)
    check_count(path, codes, data, split, "; --split names another")
    if source is None and codes.labels is not None and split == provenance["split"]:
        _check_labels(path, codes.labels, data.labels_of(split))
    job = CodesJob(path, codes, data, split)
    if source is not None and source.own_labels:
        job = _with_labels_beside(job)
    if train_codes is None:
        return job
    voters = _read_voters(train_codes, job)
    if job.labels_beside is not None and voters.labels is not None:
        job = replace(job, dataset=_labelled(job.dataset, "train", voters))
    return replace(job, train_codes=voters)


def _with_labels_beside(job: CodesJob) -> CodesJob:
    """Return a job with the labels that lie beside its codes, where the data have none of them."""
    labels = job.dataset.labels_of(job.split)
    known = labels is not None and (labels != UNKNOWN).any()
    if known or job.codes.labels is None:
        return job
    dataset = _labelled(replace(job.dataset, labels=None), job.split, job.codes)
    return replace(job, dataset=dataset, labels_beside=labels_path(job.codes_path))


def _labelled(data: Dataset, split: SplitName, codes: Codes) -> Dataset:
    """Return data whose images of a split have the labels of their codes."""
    labels, names = data.labels, codes.class_names
    found = np.asarray(codes.labels)
    if labels is None:
        labels = np.full(len(data.images), UNKNOWN)
    elif names and data.class_names:
        # Each file counts the names that it has.
        both = sorted({*names, *data.class_names})
        labels = _renumbered(labels, data.class_names, both)
        found, names = _renumbered(found, names, both), both
    labels[data.rows(split)] = found
    return replace(data, labels=labels, class_names=tuple(names) if names else None)


def _renumbered(labels: Labels, names: Sequence[str], among: Sequence[str]) -> Labels:
    """Return labels that index `names` as those that index `among`; unknown ones stay."""
    # The last place is that of UNKNOWN.
    places = np.array([*(among.index(name) for name in names), UNKNOWN])
    return places[labels]


def _reopen(path: Path, provenance: Mapping[str, Any], bar: Bar) -> Dataset:
    """Return the data set that codes are of; `InputError` where it has changed."""
    data = reopen_dataset(Source.from_json(provenance["source"]), bar)
    if not same_images(provenance, data):
        raise InputError(
            f"{data.source.location} has changed since {path} was made: name the DATASET to take "
            "it all the same"
        )
    return data


def _check_labels(path: Path, labels: Labels, now: Labels | None) -> None:
    """Raise `InputError` where the labels of images are no longer those beside their codes."""
    if now is None or not np.array_equal(labels, now):
        raise InputError(
            f"the labels of the images have changed since {path} was made: name the DATASET to "
            "take those that it has now, or encode again"
        )


def check_count(
    path: Path, codes: Codes, data: Dataset, split: SplitName, advice: str = ""
) -> None:
    """Raise `InputError` where there is not one code for each image of a split."""
    if len(codes.values) != data.count(split):
        raise InputError(
            f"{path} has {plural(len(codes.values), 'code')}, {data.name} has "
            f"{plural(data.count(split), 'image')} in its {split} split: expected a code for "
            f"each{advice}"
        )


def _read_voters(path: Path, job: CodesJob) -> Codes:
    """Return the codes of training images in a file, which predict labels of a job's codes.

    Raises:
        InputError: the file cannot be read, or these codes cannot predict those labels.

    """
    path = find_codes(path)
    voters = read_codes_or_parts(path)
    refuse_single_part(path, voters)
    check_count(path, voters, job.dataset, "train")
    if not has_separate_train_split(job.dataset, job.split):
        raise InputError(
            f"--train-codes cannot predict labels of {job.codes_path}: its {job.split} split has "
            "the training images"
        )
    dimensions = voters.values.shape[1]
    if dimensions != job.dimensions:
        raise InputError(
            f"{path} has {plural(dimensions, 'number')} per code, {job.codes_path} has "
            f"{job.dimensions}: expected codes of one map"
        )
    return voters


def _seconds_to_fit(folder: RunFolder) -> float | None:
    """Return the wall time of a run's training, in seconds; None where it has not ended."""
    seconds: float | None = (folder.read_summary() or {}).get("seconds")
    if seconds is None or kind_of(folder.last) != "file":
        return seconds
    # Version 0.1 wrote the time of the last part alone for a run that was resumed.
    return max(seconds, sum(epoch.seconds for epoch in load(folder.last).history))
