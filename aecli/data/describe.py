"""Summarise a data set: its facts, and its first images."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.data.dataset import Dataset
from aecli.data.rows import count_of, rows_between
from aecli.data.stored import extremes
from aecli.errors import InputError
from aecli.files import kind_of, refuse_inputs
from aecli.pixels import unit_range


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return what is in a data set, in JSON's types.

    Besides the fields of `DataDescription`: `lowest` and `highest` pixel value, `own_splits`,
    whether the splits came with the data, and `classes`, the number of images of each class by its
    name, or None without labels.
    """
    lowest, highest = extremes(dataset.images)
    return {
        **dataset.describe().to_json(),
        "lowest": lowest,
        "highest": highest,
        "own_splits": dataset.has_own_splits,
        "classes": _count_classes(dataset),
    }


def facts(description: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what `describe` returned as names and values for people."""
    drawn = "" if description["own_splits"] else ", drawn at random"
    lowest, highest = description["lowest"], description["highest"]
    splits = ", ".join(f"{rows:,} {split}" for split, rows in description["rows"].items())
    classes = description["classes"] or {}
    return [
        ("name", description["name"]),
        ("source", description["source"]["location"]),
        ("images", "x".join(map(str, description["image_shape"]))),
        ("pixels", f"{description['pixels']}, from {lowest:g} to {highest:g}"),
        ("splits", splits + drawn),
        ("classes", ", ".join(f"{name}: {n:,}" for name, n in classes.items()) or "no labels"),
        ("fingerprint", description["fingerprint"]),
    ]


def first_images(dataset: Dataset, most: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield at most `most` training images, the first ones, float32 (h, w, c) in 0..1.

    Raises:
        InputError: there were too few images to draw a training split from.

    """
    rows = rows_between(dataset.rows("train"), 0, most)
    for place in range(count_of(rows)):
        # One at a time: they may be large.
        yield unit_range(dataset.images[rows_between(rows, place, place + 1)])[0]


def refuse_own_files(dataset: Dataset, path: Path) -> None:
    """Raise `InputError` where a file to write would replace a file of the data set."""
    if kind_of(path) == "nothing":
        return
    location = Path(dataset.source.location)
    labels = dataset.source.labels
    refuse_inputs(path, location, *([Path(labels)] if labels else []))
    if dataset.row_ids and location in path.resolve().parents:
        raise InputError(f"{path} lies among the images that are read: name another file")


def _count_classes(dataset: Dataset) -> dict[str, int] | None:
    if dataset.labels is None:
        return None
    labels, counts = np.unique(dataset.labels, return_counts=True)
    names = dataset.class_names
    return {
        names[label] if names else str(label): int(count)
        for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
    }
