"""Other methods that place images on a map, which learned maps are compared with.

A new one is a row of `BASELINES` and a function that fits it. Importing this imports no numpy, so
that the help of the shell can list them.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aecli.clock import seconds_since
from aecli.config import SplitName
from aecli.errors import InputError
from aecli.extras import require_extra
from aecli.printable import plural

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aecli.data import Dataset
    from aecli.labels import Labels

    Floats = npt.NDArray[np.float32]
    # Places other images, rows (n, p) in 0..1, on a map that is fitted: codes (n, d).
    Place = Callable[[Floats], Floats]

# A method is fitted on at most this many images.
MOST_FITTED = 100_000
# The extra that installs the packages of all methods.
_EXTRA = "against"
_ROWS_AT_A_TIME = 4_096
# Images placed before the clock starts: what is compiled once does not count.
_WARM_UP = 100
# As it is read, and as float32 for this program and for the method's own.
_BYTES_OF_A_FITTED_PIXEL = 9


@dataclass(frozen=True, eq=False)
class Embedding:
    """The map that a method makes of the images of a split.

    `codes`: float32 (n, d), of these images. `train_codes`: float32 (m, d), of the training images,
    and `train_labels` their labels: both None where all images of the map are in the split. `mse`:
    the mean squared error of the reconstructions, pixels in 0..1; None without a decoder.
    `fit_seconds` is the wall time of learning the map, `place_seconds` that of placing these images
    on it; None where it is not known.
    """

    name: str
    codes: "Floats"
    train_codes: "Floats | None" = None
    train_labels: "Labels | None" = None
    mse: float | None = None
    fit_seconds: float | None = None
    place_seconds: float | None = None


@dataclass(frozen=True)
class Baseline:
    """A method of another package.

    `name` is for people; pip knows the package as `package`, Python as `module`. `fit` takes rows
    (n, p) in 0..1 and a number of dimensions, and returns their codes (n, d) and a function that
    places other rows. `dimensions` are those of the maps that it makes, None for any.
    """

    name: str
    package: str
    module: str
    fit: "Callable[[Floats, int], tuple[Floats, Place]]"
    dimensions: tuple[int, ...] | None = None


def _fit_umap(rows: "Floats", dimensions: int) -> "tuple[Floats, Place]":
    from umap import UMAP

    fitted = UMAP(n_components=dimensions).fit(rows)
    return fitted.embedding_, fitted.transform


def _fit_tsne(rows: "Floats", dimensions: int) -> "tuple[Floats, Place]":
    import numpy as np
    from openTSNE import TSNE

    embedding = TSNE(n_components=dimensions, n_jobs=-1).fit(rows)

    def place(others: "Floats") -> "Floats":
        return np.asarray(embedding.transform(others), np.float32)

    return np.asarray(embedding, np.float32), place


def _fit_pacmap(rows: "Floats", dimensions: int) -> "tuple[Floats, Place]":
    from pacmap import PaCMAP

    return _fit_pairs(PaCMAP(n_components=dimensions, save_tree=True), rows)


def _fit_localmap(rows: "Floats", dimensions: int) -> "tuple[Floats, Place]":
    from pacmap import LocalMAP

    return _fit_pairs(LocalMAP(n_components=dimensions, save_tree=True), rows)


def _fit_pairs(method: Any, rows: "Floats") -> "tuple[Floats, Place]":
    """Fit a method of the package pacmap, which keeps its index of neighbours to place others."""
    return method.fit_transform(rows), method.transform


BASELINES = {
    "umap": Baseline("UMAP", "umap-learn", "umap", _fit_umap),
    "tsne": Baseline("t-SNE", "openTSNE", "openTSNE", _fit_tsne, dimensions=(1, 2)),
    "pacmap": Baseline("PaCMAP", "pacmap", "pacmap", _fit_pacmap),
    "localmap": Baseline("LocalMAP", "pacmap", "pacmap", _fit_localmap),
}


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what another package prints, warns of and logs from the terminal."""
    import logging
    import os
    import warnings

    disabled = logging.root.manager.disable
    with (
        open(os.devnull, "w") as nowhere,  # noqa: PTH123
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
        # Some packages set filters of their own when they are imported: what passes is recorded.
        warnings.catch_warnings(record=True, action="ignore"),
    ):
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)


def known_baselines(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of `BASELINES`, each once.

    Raises:
        InputError: one is not known.

    """
    once = tuple(dict.fromkeys(names))
    for name in once:
        if name not in BASELINES:
            raise InputError(
                f"--against {name!r} is unknown: expected one or more of {', '.join(BASELINES)}"
            )
    return once


def check_installed(names: Iterable[str], dimensions: int) -> None:
    """Raise `InputError` where a method is not installed, or makes no maps of these dimensions."""
    for name in names:
        baseline = BASELINES[name]
        require_extra(f"--against {name}", _EXTRA, **{baseline.module: baseline.package})
        if baseline.dimensions is not None and dimensions not in baseline.dimensions:
            makes = " or ".join(map(str, baseline.dimensions))
            raise InputError(
                f"--against {name} makes maps of {makes} dimensions, these codes have {dimensions}"
            )


def has_separate_train_split(dataset: "Dataset", split: SplitName) -> bool:
    """Return whether there are training images outside a split, to fit on and to vote."""
    return split not in ("train", "all") and dataset.count("train") > 0


def place_with_pca(dataset: "Dataset", split: SplitName, dimensions: int) -> Embedding:
    """Return the map that PCA makes of a split, and the error of its reconstructions.

    It is fitted on the training images, or on those of the split where it has no others.
    """
    import numpy as np

    from aecli.pca import fit_pca, rows_to_fit
    from aecli.pixels import unit_rows

    others = has_separate_train_split(dataset, split)
    most = min(MOST_FITTED, rows_to_fit(dataset))
    sample = dataset.sample("train" if others else split, most)
    fitted = unit_rows(sample.images)
    started = time.perf_counter()
    pca = fit_pca(fitted, dimensions)
    fit_seconds = seconds_since(started)
    parts, errors, place_seconds = [], [], 0.0
    for batch in dataset.batches(split, min(_ROWS_AT_A_TIME, most)):
        rows = unit_rows(batch)
        started = time.perf_counter()
        parts.append(pca.project(rows))
        place_seconds += seconds_since(started)
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


def place_with(name: str, dataset: "Dataset", split: SplitName, dimensions: int) -> Embedding:
    """Return the map that a method of `BASELINES` makes of a split, with its package's defaults.

    It is fitted on the training images and places those of the split. Where there are no training
    images outside the split, it is fitted on the images of the split themselves.

    Raises:
        InputError: memory is too small for the images.

    """
    from aecli.memory import refuse_beyond_memory
    from aecli.pixels import unit_rows

    baseline = BASELINES[name]
    others = has_separate_train_split(dataset, split)
    count = dataset.count(split) + (min(MOST_FITTED, dataset.count("train")) if others else 0)
    size = _BYTES_OF_A_FITTED_PIXEL * count * math.prod(dataset.image_shape)
    refuse_beyond_memory(size, f"--against {name} with {plural(count, 'image')}", "leave it out")
    fitted = dataset.sample("train", MOST_FITTED) if others else dataset.split(split)
    rows = unit_rows(fitted.images)
    started = time.perf_counter()
    with _silence():
        codes, place = baseline.fit(rows, dimensions)
    fit_seconds = seconds_since(started)
    if not others:
        return Embedding(baseline.name, codes, fit_seconds=fit_seconds)
    asked = unit_rows(dataset.split(split).images)
    with _silence():
        place(asked[:_WARM_UP])
        started = time.perf_counter()
        placed = place(asked)
        place_seconds = seconds_since(started)
    return Embedding(
        baseline.name,
        placed,
        codes,
        fitted.labels,
        fit_seconds=fit_seconds,
        place_seconds=place_seconds,
    )
