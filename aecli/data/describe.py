"""Summarise a data set: its facts, and its first images."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.config import SplitName
from aecli.data.dataset import Dataset, counted
from aecli.data.rows import count_of, rows_between
from aecli.data.stored import extremes
from aecli.data.survey import listed
from aecli.labels import UNKNOWN
from aecli.pixels import unit_range
from aecli.printable import plural

_SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
_STANDARDISED = "each column standardised by the training rows"
# Classes whose names stand in the first lines of a training.
_CLASSES_NAMED = 8


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
        "classes": count_classes(dataset),
        **read_and_left_out(dataset),
    }


def read_and_left_out(dataset: Dataset) -> dict[str, Any]:
    """Return what was left out, what has no label, and what splits are called, in JSON's types."""
    labels = dataset.labels
    return {
        "split_names": dict(dataset.split_names),
        "unknown_labels": 0 if labels is None else int(np.count_nonzero(labels == UNKNOWN)),
        "left_out": dict(dataset.left_out),
        "broken": dict(dataset.broken),
        "axes": dataset.axes,
        "converted": dict(dataset.converted),
    }


def facts(description: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what `describe` returned as names and values for people."""
    lowest, highest = description["lowest"], description["highest"]
    classes = description["classes"] or {}
    unknown = description["unknown_labels"]
    named = ", ".join(f"{name}: {n:,}" for name, n in classes.items()) or "no labels"
    return [
        ("name", description["name"]),
        ("source", description["source"]["location"]),
        ("images", "x".join(map(str, description["image_shape"]))),
        ("pixels", f"{description['pixels']}, from {lowest:g} to {highest:g}{_taken(description)}"),
        ("splits", _splits_text(description)),
        ("classes", f"{named}; {unknown:,} without a label" if unknown else named),
        *_axes_row(description),
        *_files_row(description["source"]["ground"], description["converted"]),
        *_left_out_row(description),
        ("fingerprint", description["fingerprint"]),
    ]


def _taken(description: Mapping[str, Any]) -> str:
    """Return what pixel values became 0 and 1, where that is not the scaling of their type."""
    source = description["source"]
    rescale = source["rescale"]
    if source["columns"]:
        return f"; {_STANDARDISED}"
    return f"; {rescale[0]:g}..{rescale[1]:g} is taken as 0..1" if rescale else ""


def first_facts(dataset: Dataset) -> list[tuple[str, str]]:
    """Return what was read, and what was made of it, as names and values for people.

    Without looking at the pixels, so that it costs nothing.
    """
    about = {
        **read_and_left_out(dataset),
        "own_splits": dataset.has_own_splits,
        "source": {"test": dataset.source.test},
        "rows": {name: dataset.count(name) for name in _SPLITS},
    }
    height, width, channels = dataset.image_shape
    kind = "gray" if channels == 1 else f"{channels} channels"
    low, high = dataset.range
    what = f"{len(dataset.images):,} of {height}x{width}, {kind}, {dataset.images.dtype}, "
    found = ", what the training images use; --rescale decides otherwise"
    return [
        (
            "vectors" if dataset.vectors else "images",
            f"{len(dataset.images):,} of {width:,} numbers, {_STANDARDISED}"
            if dataset.standardised
            else f"{what}{low:g}..{high:g} is taken as 0..1{found if dataset.found_range else ''}",
        ),
        *_axes_row(about),
        *_outside_row(dataset),
        *_files_row(dataset.source.ground, dataset.converted),
        ("classes", _classes_text(dataset, about["unknown_labels"])),
        ("splits", _splits_text(about)),
        *_left_out_row(about),
    ]


def _classes_text(dataset: Dataset, unknown: int) -> str:
    counts = count_classes(dataset)
    if not counts:
        return "no labels"
    first = ", ".join(list(counts)[:_CLASSES_NAMED])
    more = ", ..." if len(counts) > _CLASSES_NAMED else ""
    without = f"; {plural(unknown, 'image')} without a label" if unknown else ""
    return f"{len(counts):,}: {first}{more}{without}"


def _splits_text(about: Mapping[str, Any]) -> str:
    """Return how many images each split has, and where it comes from."""
    names = about["split_names"]
    texts = []
    for split, rows in about["rows"].items():
        name = names.get(split)
        if name is not None:
            texts.append(f"{rows:,} {split} ({name})")
        elif names:
            texts.append(f"{rows:,} {split} (drawn from {names['train']})")
        else:
            texts.append(f"{rows:,} {split}")
    if about["own_splits"]:
        return ", ".join(texts)
    again = " (those of validation)" if about["source"]["test"] == 0 else ""
    return f"{', '.join(texts)}{again}, drawn at random"


def broken_note(dataset: Dataset) -> str | None:
    """Return in words which image files could not be read and are left out; None for none."""
    if not dataset.broken:
        return None
    start = f"left out {len(dataset.broken):,} broken images: "
    return start + listed(list(dataset.broken), start)


def _outside_row(dataset: Dataset) -> list[tuple[str, str]]:
    note = dataset.outside_note("all")
    return [("outside", note)] if note else []


def _files_row(ground: str | None, converted: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return what became of transparency, and of images that are not as the others."""
    texts = [f"transparent images lie on {ground}"] if ground else []
    texts += [counted(converted)] if converted else []
    return [("files", "; ".join(texts))] if texts else []


def _axes_row(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [("axes", about["axes"])] if about["axes"] else []


def _left_out_row(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = counted(about["left_out"])
    rows = [("left out", counts)] if counts else []
    if about["broken"]:
        rows.append(("broken", listed(list(about["broken"]))))
    return rows


def first_images(dataset: Dataset, most: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield at most `most` training images, the first ones, float32 (h, w, c) in 0..1.

    Raises:
        InputError: there were too few images to draw a training split from.

    """
    rows = rows_between(dataset.rows("train"), 0, most)
    for place in range(count_of(rows)):
        # One at a time: they may be large.
        yield unit_range(dataset.images[rows_between(rows, place, place + 1)])[0]


def all_equal(dataset: Dataset) -> bool:
    """Return whether all training images are equal; those that differ are found soon."""
    batches = dataset.batches("train", dataset.rows_at_a_time)
    first = dataset.images[rows_between(dataset.rows("train"), 0, 1)]
    return all((batch == first).all() for batch in batches)


def count_classes(dataset: Dataset) -> dict[str, int] | None:
    """Return how many images each class has, by its name; None without labels."""
    if dataset.labels is None:
        return None
    labels, counts = np.unique(dataset.labels[dataset.labels != UNKNOWN], return_counts=True)
    names = dataset.class_names
    return {
        names[label] if names else str(label): int(count)
        for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
    }
