"""Other methods that place images on a map: what a learned map stands beside."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from aecli.config import SplitName
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.labels import Labels
from aecli.pca import fit_pca, rows_to_fit
from aecli.pixels import unit_rows

Baseline = Literal["umap", "tsne"]
# The package that has a method, as pip and as Python call it.
_PACKAGES: dict[Baseline, tuple[str, str]] = {
    "umap": ("umap-learn", "umap"),
    "tsne": ("openTSNE", "openTSNE"),
}
# More training images are not given to a method.
MOST_FITTED = 100_000
_ROWS_AT_A_TIME = 4_096
# Images placed before the time is taken: what is compiled once does not count.
_WARM_UP = 100

Floats = npt.NDArray[np.float32]
# Places other images, rows (n, p), on a map: codes (n, d).
Place = Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a method made of a data set.

    `codes`: float32 (n, d), of the images in question. `train_codes`: float32 (m, d), of the
    images that `train_labels` are of; None where the method only places what it was fitted on.
    """

    name: str
    codes: Floats
    train_codes: Floats | None = None
    train_labels: Labels | None = None
    mse: float | None = None
    fit_seconds: float | None = None
    place_seconds: float | None = None


def has_separate_train_split(dataset: Dataset, split: SplitName) -> bool:
    """Return whether there are training images beside those of a split, to fit and to vote."""
    return split not in ("train", "all") and dataset.count("train") > 0


def place_with_pca(dataset: Dataset, split: SplitName, dimensions: int) -> Embedding:
    """Return what PCA makes of a split, fitted on training images, where there are any others.

    Its reconstructions have an error too.
    """
    others = has_separate_train_split(dataset, split)
    most = min(MOST_FITTED, rows_to_fit(dataset))
    sample = dataset.sample("train" if others else split, most)
    fitted = unit_rows(sample.images)
    started = time.perf_counter()
    pca = fit_pca(fitted, dimensions)
    fit_seconds = time.perf_counter() - started
    parts, errors, place_seconds = [], [], 0.0
    for batch in dataset.batches(split, min(_ROWS_AT_A_TIME, most)):
        rows = unit_rows(batch)
        started = time.perf_counter()
        parts.append(pca.project(rows))
        place_seconds += time.perf_counter() - started
        errors.append(pca.error([rows]) * len(rows))
    return Embedding(
        "PCA",
        np.concatenate(parts),
        pca.project(fitted) if others else None,
        sample.labels if others else None,
        sum(errors) / dataset.count(split),
        fit_seconds,
        place_seconds,
    )


def check_installed(rivals: list[Baseline], dimensions: int) -> None:
    """Raise `InputError` where a method is not installed, or has no maps of so many dimensions."""
    from importlib.util import find_spec

    for rival in rivals:
        package, module = _PACKAGES[rival]
        if find_spec(module) is None:
            raise InputError(
                f"--against {rival} needs {package}, which is not installed: "
                "pip install 'aecli[against]'"
            )
    if "tsne" in rivals and dimensions > 2:
        raise InputError(
            f"--against tsne makes maps of 1 or 2 dimensions, these codes have {dimensions}"
        )


def place_with(rival: Baseline, dataset: Dataset, split: SplitName, dimensions: int) -> Embedding:
    """Return what another method, with its package's defaults, makes of a split.

    It is fitted on training images, where there are any others; else it only places the images
    that it is fitted on.
    """
    fit = {"umap": _fit_umap, "tsne": _fit_tsne}[rival]
    name = {"umap": "UMAP", "tsne": "t-SNE"}[rival]
    others = has_separate_train_split(dataset, split)
    fitted = dataset.sample("train", MOST_FITTED) if others else dataset.split(split)
    rows = unit_rows(fitted.images)
    started = time.perf_counter()
    codes, place = fit(rows, dimensions)
    fit_seconds = time.perf_counter() - started
    if not others:
        return Embedding(name, codes, fit_seconds=fit_seconds)
    asked = unit_rows(dataset.split(split).images)
    place(asked[:_WARM_UP])
    started = time.perf_counter()
    placed = place(asked)
    place_seconds = time.perf_counter() - started
    return Embedding(
        name,
        placed,
        codes,
        fitted.labels,
        fit_seconds=fit_seconds,
        place_seconds=place_seconds,
    )


def _fit_umap(rows: Floats, dimensions: int) -> tuple[Floats, Place]:
    from umap import UMAP

    fitted = UMAP(n_components=dimensions).fit(rows)
    return fitted.embedding_, fitted.transform


def _fit_tsne(rows: Floats, dimensions: int) -> tuple[Floats, Place]:
    from openTSNE import TSNE

    embedding = TSNE(n_components=dimensions, n_jobs=-1).fit(rows)

    def place(others: Floats) -> Floats:
        return np.asarray(embedding.transform(others), np.float32)

    return np.asarray(embedding, np.float32), place
