"""A map's report: how good codes are, beside PCA and other methods on the same images."""

import statistics
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecli.config import DEFAULT_SAMPLE, SplitName
from aecli.data import Bar, Dataset, no_bar, spread_evenly
from aecli.encode import encode, encode_split, image_errors, load_model
from aecli.errors import InputError
from aecli.labels import Labels
from aecli.neighbors import nearest_rows, share_in_common
from aecli.pixels import unit_rows
from aecli.run.checkpoint import Checkpoint
from aecli.run.codes import CodeArray
from aecli.score.baselines import Embedding, has_separate_train_split
from aecli.score.metrics import (
    centroid_correlation,
    knn_accuracy,
    neighborhood_scores,
    peak_signal_to_noise,
    silhouette,
)

# Neighbourhoods that are compared, and how many neighbours vote on a label.
NEIGHBORS = (5, 15)
VOTERS = 5
# Images that the time of placing is taken on.
_TIMED = 10_000
_TIMES = 5
_TIMED_BYTES = 500_000_000

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """The numbers of one map; None where a method cannot, or the data have no labels.

    `mse` and `psnr` (dB) are of the reconstructions; `knn_accuracy` is the share of labels that
    the nearest codes of the training images predict, or where there are none, the nearest others.
    `trustworthiness` and `continuity` by the number of neighbours, `recall` with the largest.
    `centroid_correlation` is that of the distances between the classes. `fit_seconds` is the time
    to learn the map, `place_seconds` that to place the images on it.
    """

    mse: float | None
    psnr: float | None
    knn_accuracy: float | None
    trustworthiness: dict[int, float]
    continuity: dict[int, float]
    recall: float
    silhouette: float | None
    centroid_correlation: float | None
    fit_seconds: float | None
    place_seconds: float | None


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores maps of one split of a data set, all on the same sample of its images."""

    images: Floats
    sampled: npt.NDArray[np.int64]
    labels: Labels | None

    def scores(self, placed: Embedding) -> Scores:
        """Return the numbers of what a method made of these images."""
        codes = placed.codes[self.sampled]
        labels = None if self.labels is None else self.labels[self.sampled]
        near = neighborhood_scores(self.images, codes, NEIGHBORS)
        return Scores(
            mse=placed.mse,
            psnr=peak_signal_to_noise(placed.mse) if placed.mse else None,
            knn_accuracy=self._knn_accuracy(placed),
            trustworthiness=dict(near.trustworthiness),
            continuity=dict(near.continuity),
            recall=near.recall,
            silhouette=None if labels is None else silhouette(codes, labels),
            centroid_correlation=None
            if labels is None
            else centroid_correlation(self.images, codes, labels),
            fit_seconds=placed.fit_seconds,
            place_seconds=placed.place_seconds,
        )

    def _knn_accuracy(self, placed: Embedding) -> float | None:
        if self.labels is None:
            return None
        codes, labels = placed.train_codes, placed.train_labels
        if codes is not None and labels is not None:
            if len(codes) < VOTERS:
                return None
            return knn_accuracy(codes, labels, placed.codes, self.labels, VOTERS)
        from scipy.stats import mode

        # The smaller of two labels that are as frequent, as scikit-learn has it.
        voted = mode(self.labels[nearest_rows(placed.codes, VOTERS)], axis=1).mode
        return float((voted == self.labels).mean())


def make_scorer(dataset: Dataset, split: SplitName, sample: int = DEFAULT_SAMPLE) -> Scorer:
    """Return the judge of a split, on at most `sample` of its images, spread evenly.

    Raises:
        InputError: there are too few images, or too few are asked for.

    """
    count = dataset.count(split)
    least = 2 * NEIGHBORS[-1] + 1
    if sample < least:
        raise InputError(f"--sample must be at least {least}, got {sample}")
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
    """Return what a run makes of a split, and the error of each image's reconstruction.

    Raises:
        InputError: the images are not of the shape that the model was trained on.

    """
    codes = _encoded(checkpoint, dataset, split, bar)
    train_codes, train_labels = None, None
    if dataset.labels is not None and has_separate_train_split(dataset, split):
        train_codes = _encoded(checkpoint, dataset, "train", bar)
        train_labels = dataset.labels_of("train")
    with bar("decoding", dataset.count(split)) as advance:
        errors = image_errors(checkpoint, dataset, split, report=advance)
    placed = Embedding(
        f"aecli {checkpoint.config.recipe}",
        codes,
        train_codes,
        train_labels,
        float(errors.mean()),
        fit_seconds,
        _seconds_to_place(checkpoint, dataset, split),
    )
    return placed, errors


def per_point_trust(images: Floats, codes: Floats, neighbors: int = NEIGHBORS[-1]) -> Floats:
    """Return the share of each image's true neighbours that are neighbours of its code too.

    `images`: float32 (n, p), `codes`: float32 (n, d); returns float32 (n,) in 0..1.
    """
    if len(images) <= neighbors:
        raise InputError(f"{len(images)} images are too few: expected more than {neighbors}")
    return share_in_common(*(nearest_rows(values, neighbors) for values in (images, codes)))


def _encoded(checkpoint: Checkpoint, dataset: Dataset, split: SplitName, bar: Bar) -> CodeArray:
    with bar("encoding", dataset.count(split)) as advance:
        blocks = encode_split(checkpoint, dataset, split, report=advance).blocks
        return np.concatenate(list(blocks))


def _seconds_to_place(checkpoint: Checkpoint, dataset: Dataset, split: SplitName) -> float:
    """Return the seconds that placing a split takes, once all is loaded and compiled: a median."""
    model = load_model(checkpoint)
    most = max(1, min(_TIMED, _TIMED_BYTES // dataset.image_bytes))
    images = dataset.sample(split, most).images
    # Once to compile.
    encode(model, images)
    seconds = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        encode(model, images)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * dataset.count(split) / len(images)
