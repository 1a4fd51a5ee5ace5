"""What a training learned, in a line, where it is less than it should be."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecli.config import Config
from aecli.data import Dataset
from aecli.data.describe import all_equal
from aecli.data.rows import spread_evenly
from aecli.pixels import unit_rows
from aecli.printable import plural, significant
from aecli.score.metrics import equal_rows

# Test images whose codes are looked at, and how few of them say nothing.
_MOST_IMAGES = 2_000
_FEWEST_IMAGES = 10
# Codes nearer to each other than this share of their range are the same.
_SAME_CODE = 1e-5
# A number of the code that spreads by less than this share of the widest one is dead.
_DEAD = 1e-3
# Better than the mean image is what has less of its error than this share.
_BETTER = 0.99
# Pixels in 0..1 whose standard deviation is less are faint.
_FAINT = 0.01
# On fewer training images than this, more images are what helps.
_FEW = 1_000

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a training at its end, of its best parameters.

    `codes`: float32 (n, d), of the test images. `test_mse`: mean squared error of the test images
    as they are decoded; `pca_mse` as PCA with as many numbers decodes them, `mean_mse` as the mean
    of the training images. `variance`: the mean over the pixels, in 0..1, of their variance over
    the training images.
    """

    codes: Floats
    test_mse: float
    pca_mse: float
    mean_mse: float
    variance: float


def verdict(dataset: Dataset, config: Config, evidence: Evidence) -> str | None:
    """Return a line that says what is wrong with a training, and what may help; None for nothing.

    It is looked for in this order: all images equal, faint pixels, no better than the mean image,
    equal codes of different images, numbers of the code that are the same for all images, no better
    than PCA. The first two that are found are said, with the remedy of the first.
    """
    if all_equal(dataset):
        what = "vectors" if dataset.vectors else "images"
        return (
            f"nothing was learned: all training {what} are equal; train on {what} that are "
            "different from each other"
        )
    # Each is what was found, and what may help.
    found = [
        *_faint(dataset, evidence),
        *_no_better_than_the_mean(dataset, config, evidence),
        *_equal_codes(dataset, config, evidence),
        *_no_better_than_pca(dataset, config, evidence),
    ]
    if not found:
        return None
    learned = "nothing" if evidence.test_mse >= _BETTER * evidence.mean_mse else "little"
    return f"{learned} was learned: {'; '.join(what for what, _ in found[:2])}; try {found[0][1]}"


Finding = tuple[str, str]


def _faint(dataset: Dataset, evidence: Evidence) -> list[Finding]:
    deviation = evidence.variance**0.5
    if dataset.standardised or deviation >= _FAINT:
        return []
    low, high = dataset.range
    return [
        (
            f"the pixels are faint, they vary by {significant(deviation)} where {low:g}..{high:g} "
            "is taken as 0..1",
            "--rescale LOW,HIGH with what the images use",
        )
    ]


def _no_better_than_the_mean(dataset: Dataset, config: Config, evidence: Evidence) -> list[Finding]:
    mse, mean = evidence.test_mse, evidence.mean_mse
    if mse < _BETTER * mean:
        return []
    against = f"(mse {significant(mse)} against {significant(mean)})"
    return [(f"images are decoded no better than by the mean image {against}", _train_more(config))]


def _equal_codes(dataset: Dataset, config: Config, evidence: Evidence) -> list[Finding]:
    """Return what is wrong with the codes of some test images, spread evenly."""
    sample = dataset.sample("test", _MOST_IMAGES)
    images = int(equal_rows(unit_rows(sample.images)).max()) + 1
    if images < _FEWEST_IMAGES:
        return []
    codes = evidence.codes[spread_evenly(len(evidence.codes), len(sample.images))]
    codes = codes.astype(np.float64)
    spread = codes.std(axis=0)
    cells = np.rint((codes - codes.min(axis=0)) / (_SAME_CODE * max(float(np.ptp(codes)), 1e-300)))
    distinct = int(equal_rows(cells.astype(np.float32)).max()) + 1
    if distinct <= images / 2:
        those = f"{plural(images, 'different test image')} have {plural(distinct, 'code')}"
        return [(those, _train_more(config))]
    dead = np.flatnonzero(spread < _DEAD * spread.max())
    # A variational model leaves numbers unused by itself, which is said as such.
    if not len(dead) or config.kind == "vae":
        return []
    numbers = ", ".join(str(place + 1) for place in dead[:5]) + (", ..." if len(dead) > 5 else "")
    are = f"number {numbers} of the code is" if len(dead) == 1 else f"numbers {numbers} are"
    return [(f"{are} the same for all images", f"--latent {config.latent - len(dead)}")]


def _no_better_than_pca(dataset: Dataset, config: Config, evidence: Evidence) -> list[Finding]:
    mse, pca = evidence.test_mse, evidence.pca_mse
    if mse < pca:
        return []
    what = f"PCA with {plural(config.latent, 'number')} decodes as well or better"
    rows = dataset.count("train")
    more = f"more images than {rows:,}" if rows < _FEW else _train_more(config)
    return [(f"{what} (mse {significant(pca)} against {significant(mse)})", more)]


def _train_more(config: Config) -> str:
    """Return what helps a training that has not found its way."""
    other = "" if config.recipe == "map" else ", or --recipe map"
    return f"more --epochs than {config.epochs}, a lower --learning-rate{other}"
