"""The numbers that say how good a map is, and the map that a run makes."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from aecli.clock import seconds_since
from aecli.config import DEFAULT_SAMPLE, Range, SplitName
from aecli.data import Bar, Dataset, no_bar, rows_at, spread_evenly
from aecli.encode import encode, encode_split, encoder_inputs, image_errors, load_model
from aecli.labels import UNKNOWN, Labels
from aecli.memory import refuse_beyond_memory
from aecli.neighbors import Neighbors, nearest_rows, share_in_common
from aecli.pixels import unit_rows
from aecli.printable import plural
from aecli.run.checkpoint import Checkpoint
from aecli.run.codes import CodeArray
from aecli.score.baselines import Embedding, has_separate_train_split
from aecli.score.metrics import (
    NoNumber,
    all_equal,
    centroid_correlation,
    comparable,
    equal_rows,
    neighborhood_scores,
    peak_signal_to_noise,
    possible_neighbors,
    predict_labels,
    silhouette,
)

# Numbers of neighbours that are compared, and of nearest codes that vote on a label.
NEIGHBORS = (5, 15)
VOTERS = 5
# The fields of `Scores` that compare neighbours, and those of the classes of a sample.
_NEAR = ("trustworthiness", "continuity", "recall")
_SILHOUETTE, _CENTROIDS = _OF_CLASSES = ("silhouette", "centroid_correlation")
# Placing is timed on at most this many images, and this many bytes of them: a median of some runs.
_TIMED = 10_000
_TIMED_BYTES = 500_000_000
_TIMES = 5
# Rows whose neighbours are compared at a time.
_ROWS_AT_A_TIME = 8_192
# All are compared with all: the time grows with the square, and this many take an hour.
_MOST_SAMPLED = 100_000
# As it is read, as float32, and once more in the search for neighbours.
_BYTES_OF_A_SAMPLED_PIXEL = 12

Floats = npt.NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class Scores:
    """The numbers of one map; None where the method or the data cannot give them.

    `mse` and `psnr` (dB) are of the reconstructions. `knn_accuracy` is the share of labels that the
    nearest codes of the training images predict, or, where there are none, the nearest other codes:
    `voters` of them. `trustworthiness` and `continuity` are by the number of neighbours, `recall`
    is with the largest. `centroid_correlation` is that of the distances between the means of the
    classes, among images and codes. `fit_seconds` is the time to learn the map, `place_seconds`
    that to place the images on it. `why` says in some words why a number is not there, by its name.
    """

    mse: float | None
    psnr: float | None
    knn_accuracy: float | None
    trustworthiness: dict[int, float | None]
    continuity: dict[int, float | None]
    recall: float | None
    silhouette: float | None
    centroid_correlation: float | None
    fit_seconds: float | None
    place_seconds: float | None
    voters: int | None = None
    why: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Predicted:
    """The labels that the nearest codes predict, int64 (n,), and how many of them vote."""

    labels: Labels
    voters: int


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores maps of one split of a data set, all on the same sample of its images.

    `images`: float32 (m, p) in 0..1, of the sample. `sampled`: int64 (m,), its rows of the split.
    `labels`: int64 (n,), of the whole split, None without labels. Images whose label is unknown
    count in no number that is of classes. `has_peak`: whether 1 is the largest value there can be.
    """

    images: Floats
    sampled: npt.NDArray[np.int64]
    labels: Labels | None
    has_peak: bool = True

    def score(self, embedding: Embedding) -> Scores:
        """Return the numbers of a map of the split."""
        (codes,) = comparable(embedding.codes[self.sampled])
        counts = possible_neighbors(len(codes), NEIGHBORS)
        unknown: dict[int, float | None] = dict.fromkeys(counts)
        why: dict[str, str] = {}
        near = _or_why(lambda: neighborhood_scores(self.images, codes, counts), why, *_NEAR)
        predicted = _or_why(lambda: self.predicted(embedding), why, "knn_accuracy")
        classes = _or_why(lambda: _known(self.labels, self.sampled), why, *_OF_CLASSES)
        mse, psnr = embedding.mse, None
        if mse is None:
            why |= dict.fromkeys(("mse", "psnr"), "no decoder")
        elif not self.has_peak:
            why["psnr"] = "vectors have no peak"
        elif mse > 0:
            psnr = peak_signal_to_noise(mse)
        else:
            why["psnr"] = "no error"
        scores = Scores(
            mse=mse,
            psnr=psnr,
            knn_accuracy=None if predicted is None else self._accuracy(predicted),
            trustworthiness=unknown if near is None else {**near.trustworthiness},
            continuity=unknown if near is None else {**near.continuity},
            recall=None if near is None else near.recall,
            silhouette=None
            if classes is None
            else _or_why(lambda: silhouette(codes[classes.rows], classes.labels), why, _SILHOUETTE),
            centroid_correlation=None
            if classes is None
            else _or_why(
                lambda: centroid_correlation(
                    self.images[classes.rows], codes[classes.rows], classes.labels
                ),
                why,
                _CENTROIDS,
            ),
            fit_seconds=embedding.fit_seconds,
            place_seconds=embedding.place_seconds,
            voters=None if predicted is None else predicted.voters,
        )
        for name in ("fit_seconds", "place_seconds"):
            if getattr(scores, name) is None:
                why[name] = "not known"
        return replace(scores, why=why)

    def predicted(self, embedding: Embedding) -> Predicted:
        """Return the labels that the nearest codes predict, for each image of the split.

        Those of the training images vote; where there are none, those of the others.

        Raises:
            NoNumber: the votes say nothing.

        """
        own = _known(self.labels)
        if (own.labels == own.labels[0]).all():
            raise NoNumber("one class")
        train_codes, train_labels = embedding.train_codes, embedding.train_labels
        if train_codes is not None and train_labels is not None and _any_known(train_labels):
            train = _known(train_labels)
            codes, voters = comparable(embedding.codes, train_codes[train.rows])
            voter_labels, themselves = train.labels, None
            most = len(voters)
        else:
            (codes,) = comparable(embedding.codes)
            voters, voter_labels = codes[own.rows], own.labels
            themselves = np.full(len(codes), -1)
            themselves[own.rows] = np.arange(len(own.rows))
            most = len(voters) - 1
            if len(np.unique(voter_labels)) == len(voter_labels):
                raise NoNumber("each image is a class")
        if all_equal(voters):
            raise NoNumber("all codes are equal")
        count = min(VOTERS, most)
        return Predicted(predict_labels(voters, voter_labels, codes, count, themselves), count)

    def _accuracy(self, predicted: Predicted) -> float:
        own = _known(self.labels)
        return float((predicted.labels[own.rows] == own.labels).mean())


def _or_why(number: Callable[[], T], why: dict[str, str], *names: str) -> T | None:
    """Return a number, or None where there is none; `why` takes the reason for each of `names`."""
    try:
        return number()
    except NoNumber as reason:
        why |= dict.fromkeys(names, str(reason))
        return None


class _Known(NamedTuple):
    """The rows that have a label, int64 (m,), and their labels."""

    rows: npt.NDArray[np.int64]
    labels: Labels


def _known(labels: Labels | None, chosen: npt.NDArray[np.int64] | None = None) -> _Known:
    """Return the rows whose label is known, among `chosen` ones or all.

    Raises:
        NoNumber: there is none.

    """
    if labels is None:
        raise NoNumber("no labels")
    labels = labels if chosen is None else labels[chosen]
    rows = np.flatnonzero(labels != UNKNOWN)
    if not len(rows):
        raise NoNumber("no labels")
    return _Known(rows, labels[rows])


def _any_known(labels: Labels) -> bool:
    return bool((labels != UNKNOWN).any())


def make_scorer(dataset: Dataset, split: SplitName, sample: int = DEFAULT_SAMPLE) -> Scorer:
    """Return the scorer of a split, on at most `sample` of its images, spread evenly.

    Raises:
        InputError: the sample is too small to compare neighbourhoods, or too large for the memory.

    """
    count = dataset.count(split)
    least = 2 * NEIGHBORS[-1] + 1
    Range(f"at least {least}", least, _MOST_SAMPLED).check("--sample", sample)
    rows = min(count, sample)
    size = _BYTES_OF_A_SAMPLED_PIXEL * rows * math.prod(dataset.image_shape)
    refuse_beyond_memory(size, f"a sample of {plural(rows, 'image')}", "lower --sample")
    images = unit_rows(dataset.sample(split, sample).images)
    labels, has_peak = dataset.labels_of(split), not dataset.standardised
    return Scorer(images, spread_evenly(count, sample), labels, has_peak)


def embed_run(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    *,
    fit_seconds: float | None = None,
    bar: Bar = no_bar,
) -> tuple[Embedding, Floats]:
    """Return the map that a run makes of a split, and the error of each image's reconstruction.

    The errors are mean squared errors over the pixels in 0..1, float32 (n,).

    Raises:
        InputError: the images do not have the shape that the model was trained on.

    """
    codes = _encoded(checkpoint, dataset, split, bar)
    train_codes, train_labels = None, None
    if dataset.labels is not None and has_separate_train_split(dataset, split):
        train_codes = _encoded(checkpoint, dataset, "train", bar)
        train_labels = dataset.labels_of("train")
    with bar("decoding", dataset.count(split)) as advance:
        errors = image_errors(checkpoint, dataset, split, report=advance)
    embedding = Embedding(
        f"aecli {checkpoint.config.recipe}",
        codes,
        train_codes,
        train_labels,
        float(errors.mean()),
        fit_seconds,
        _seconds_to_place(checkpoint, dataset, split),
    )
    return embedding, errors


def per_point_trust(images: Floats, codes: Floats, neighbors: int = NEIGHBORS[-1]) -> Floats:
    """Return the share of each image's nearest images whose codes are among its code's nearest.

    Equal images with equal codes count as each other's nearest. Where there are few images, as many
    neighbours as `possible_neighbors` are compared.

    `images`: float32 (n, p), `codes`: float32 (n, d); returns float32 (n,) in 0..1.

    Raises:
        NoNumber: all images or all codes are equal, or there are fewer than 3.

    """
    if len(images) < 3:
        raise NoNumber("fewer than 3 images")
    for rows, what in ((images, "images"), (codes, "codes")):
        if all_equal(rows):
            raise NoNumber(f"all {what} are equal")
    (neighbors,) = possible_neighbors(len(images), (neighbors,))
    (codes,) = comparable(codes)
    twins = equal_rows(np.stack([equal_rows(images), equal_rows(codes)], axis=1))
    _, firsts, sizes = np.unique(twins, return_index=True, return_counts=True)
    if len(firsts) == len(images):
        return share_in_common(*(nearest_rows(values, neighbors) for values in (images, codes)))
    # One of each lot of twins is enough: the others have the same neighbours.
    count = min(neighbors, len(firsts) - 1)
    near, near_codes = (nearest_rows(values[firsts], count) for values in (images, codes))
    # The other twins of a row come first, then the nearest lots until all places are taken.
    before = np.minimum(sizes - 1, neighbors)[:, np.newaxis]

    def places(nearest: Neighbors) -> npt.NDArray[np.int64]:
        lots = sizes[nearest]
        return np.clip(neighbors - before - (lots.cumsum(axis=1) - lots), 0, lots)

    wanted, there = places(near), places(near_codes) > 0
    kept = before[:, 0].copy()
    for start in range(0, len(firsts), _ROWS_AT_A_TIME):
        lots = slice(start, start + _ROWS_AT_A_TIME)
        same = near[lots, :, np.newaxis] == near_codes[lots, np.newaxis, :]
        found = (same & there[lots, np.newaxis, :]).any(axis=2)
        kept[lots] += (wanted[lots] * found).sum(axis=1)
    trust: Floats = (kept / neighbors).astype(np.float32)
    return trust[twins]


def _encoded(checkpoint: Checkpoint, dataset: Dataset, split: SplitName, bar: Bar) -> CodeArray:
    rows, dimensions = dataset.count(split), checkpoint.config.latent
    # Once in parts, once whole.
    size = 2 * 4 * rows * dimensions
    refuse_beyond_memory(
        size,
        f"a map of {plural(rows, 'code')} of {plural(dimensions, 'number')}",
        "lower --latent",
    )
    with bar("encoding", rows) as advance:
        return encode_split(checkpoint, dataset, split, report=advance).gather().values


def _seconds_to_place(checkpoint: Checkpoint, dataset: Dataset, split: SplitName) -> float:
    """Return the median time to place a split, in seconds, once all is loaded and compiled."""
    model = load_model(checkpoint)
    most = max(1, min(_TIMED, _TIMED_BYTES // dataset.image_bytes))
    count = dataset.count(split)
    rows = rows_at(dataset.rows(split), spread_evenly(count, most))
    inputs = encoder_inputs(model, dataset, rows)
    # Once to compile.
    encode(model, *inputs)
    seconds = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        encode(model, *inputs)
        seconds.append(seconds_since(started))
    return statistics.median(seconds) * count / len(inputs[0])
