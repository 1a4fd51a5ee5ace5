"""The numbers that say how good a map is, and the map that a run makes."""

import math
import statistics
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aecli.clock import seconds_since
from aecli.config import DEFAULT_SAMPLE, Range, SplitName
from aecli.data import Bar, Dataset, no_bar, spread_evenly
from aecli.encode import encode, encode_split, image_errors, load_model
from aecli.errors import InputError
from aecli.labels import UNKNOWN, Labels
from aecli.memory import refuse_beyond_memory
from aecli.neighbors import nearest_rows, share_in_common
from aecli.pixels import unit_rows
from aecli.run.checkpoint import Checkpoint
from aecli.run.codes import CodeArray
from aecli.score.baselines import Embedding, has_separate_train_split
from aecli.score.metrics import (
    all_equal,
    centroid_correlation,
    comparable,
    knn_accuracy,
    neighborhood_scores,
    peak_signal_to_noise,
    silhouette,
)

# Numbers of neighbours that are compared, and of nearest codes that vote on a label.
NEIGHBORS = (5, 15)
VOTERS = 5
# Placing is timed on at most this many images, and this many bytes of them: a median of some runs.
_TIMED = 10_000
_TIMED_BYTES = 500_000_000
_TIMES = 5
# All are compared with all: the time grows with the square, and this many take an hour.
_MOST_SAMPLED = 100_000
# As it is read, as float32, and once more in the search for neighbours.
_BYTES_OF_A_SAMPLED_PIXEL = 12

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """The numbers of one map; None where the method or the data cannot give them.

    `mse` and `psnr` (dB) are of the reconstructions. `knn_accuracy` is the share of labels that the
    nearest codes of the training images predict, or, where there are none, the nearest other codes.
    `trustworthiness` and `continuity` are by the number of neighbours, `recall` is with the
    largest; all three are unknown where all codes or all images are the same.
    `centroid_correlation` is that of the distances between the means of the classes, among images
    and codes. `fit_seconds` is the time to learn the map, `place_seconds` that to place the images
    on it.
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


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores maps of one split of a data set, all on the same sample of its images.

    `images`: float32 (m, p) in 0..1, of the sample. `sampled`: int64 (m,), its rows of the split.
    `labels`: int64 (n,), of the whole split, None without labels. Images whose label is unknown
    count in no number that is of classes.
    """

    images: Floats
    sampled: npt.NDArray[np.int64]
    labels: Labels | None

    def score(self, embedding: Embedding) -> Scores:
        """Return the numbers of a map of the split."""
        (codes,) = comparable(embedding.codes[self.sampled])
        classes = self._known(self.sampled)
        near = None
        if not (all_equal(self.images) or all_equal(codes)):
            near = neighborhood_scores(self.images, codes, NEIGHBORS)
        unknown: dict[int, float | None] = dict.fromkeys(NEIGHBORS)
        return Scores(
            mse=embedding.mse,
            psnr=peak_signal_to_noise(embedding.mse) if embedding.mse else None,
            knn_accuracy=self._knn_accuracy(embedding),
            trustworthiness=unknown if near is None else {**near.trustworthiness},
            continuity=unknown if near is None else {**near.continuity},
            recall=None if near is None else near.recall,
            silhouette=None if classes is None else silhouette(codes[classes.rows], classes.labels),
            centroid_correlation=None
            if classes is None
            else centroid_correlation(
                self.images[classes.rows], codes[classes.rows], classes.labels
            ),
            fit_seconds=embedding.fit_seconds,
            place_seconds=embedding.place_seconds,
        )

    def _known(self, chosen: npt.NDArray[np.int64] | None = None) -> "_Known | None":
        """Return which of the rows have a label; None where none has."""
        return None if self.labels is None else _known(self.labels, chosen)

    def _knn_accuracy(self, embedding: Embedding) -> float | None:
        own = self._known()
        # One class alone is always predicted; equal codes predict by chance.
        if own is None or (own.labels == own.labels[0]).all():
            return None
        others, train_labels = embedding.train_codes, embedding.train_labels
        train = None if train_labels is None else _known(train_labels)
        if others is not None and train is not None:
            codes, voters = comparable(embedding.codes[own.rows], others[train.rows])
            if len(voters) < VOTERS or all_equal(voters):
                return None
            return knn_accuracy(voters, train.labels, codes, own.labels, VOTERS)
        (codes,) = comparable(embedding.codes[own.rows])
        if len(codes) <= VOTERS or all_equal(codes):
            return None
        from scipy.stats import mode

        # Of two labels that are equally frequent the smaller one wins, as in scikit-learn.
        voted = mode(own.labels[nearest_rows(codes, VOTERS)], axis=1).mode
        return float((voted == own.labels).mean())


class _Known(NamedTuple):
    """The rows that have a label, int64 (m,), and their labels."""

    rows: npt.NDArray[np.int64]
    labels: Labels


def _known(labels: Labels, chosen: npt.NDArray[np.int64] | None = None) -> _Known | None:
    """Return the rows whose label is known, among `chosen` ones or all; None where none is."""
    labels = labels if chosen is None else labels[chosen]
    rows = np.flatnonzero(labels != UNKNOWN)
    return _Known(rows, labels[rows]) if len(rows) else None


def make_scorer(dataset: Dataset, split: SplitName, sample: int = DEFAULT_SAMPLE) -> Scorer:
    """Return the scorer of a split, on at most `sample` of its images, spread evenly.

    Raises:
        InputError: the split or the sample is too small to compare neighbourhoods, or the sample
            too large for the memory.

    """
    count = dataset.count(split)
    least = 2 * NEIGHBORS[-1] + 1
    Range(f"at least {least}", least, _MOST_SAMPLED).check("--sample", sample)
    size = _BYTES_OF_A_SAMPLED_PIXEL * min(count, sample) * math.prod(dataset.image_shape)
    refuse_beyond_memory(size, f"a sample of {min(count, sample):,} images", "lower --sample")
    if count < least:
        raise InputError(
            f"{dataset.source.location} has {count} images in its {split} split: expected at "
            f"least {least} to compare neighbourhoods"
        )
    images = unit_rows(dataset.sample(split, sample).images)
    return Scorer(images, spread_evenly(count, sample), dataset.labels_of(split))


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

    `images`: float32 (n, p), `codes`: float32 (n, d); returns float32 (n,) in 0..1.

    Raises:
        InputError: there are no more images than neighbours.

    """
    if len(images) <= neighbors:
        raise InputError(f"{len(images)} images are too few: expected more than {neighbors}")
    (codes,) = comparable(codes)
    return share_in_common(*(nearest_rows(values, neighbors) for values in (images, codes)))


def _encoded(checkpoint: Checkpoint, dataset: Dataset, split: SplitName, bar: Bar) -> CodeArray:
    rows, dimensions = dataset.count(split), checkpoint.config.latent
    # Once in parts, once whole.
    size = 2 * 4 * rows * dimensions
    refuse_beyond_memory(
        size, f"a map of {rows:,} codes of {dimensions:,} numbers", "lower --latent"
    )
    with bar("encoding", rows) as advance:
        blocks = encode_split(checkpoint, dataset, split, report=advance).blocks
        return np.concatenate(list(blocks))


def _seconds_to_place(checkpoint: Checkpoint, dataset: Dataset, split: SplitName) -> float:
    """Return the median time to place a split, in seconds, once all is loaded and compiled."""
    model = load_model(checkpoint)
    most = max(1, min(_TIMED, _TIMED_BYTES // dataset.image_bytes))
    images = dataset.sample(split, most).images
    # Once to compile.
    encode(model, images)
    seconds = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        encode(model, images)
        seconds.append(seconds_since(started))
    return statistics.median(seconds) * dataset.count(split) / len(images)
