"""Files of several arrays with any names: which one has the images, and which the labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aecli.errors import InputError
from aecli.pixels import MOST_CHANNELS

# What arrays of labels are called, in any letter case.
LABEL_NAMES = ("label", "labels", "y", "target", "targets", "class", "classes", "digit")
_MOST_NAMED = 8


@dataclass(frozen=True)
class Chosen:
    """The names of the array of images and of that of labels, and how many others are left out."""

    images: str
    labels: str | None
    left_out: Mapping[str, int]


# The shape and the type of each array by its name.
Shapes = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]


def choose_array(shapes: Shapes, named: str | None, where: str, advice: str = "") -> Chosen:
    """Return the array called `named`, else the only one that can be images.

    Arrays of three or four axes go before those of two, vectors. Labels are one for each
    image, by name. `where` is what errors call the file, as it is addressed.

    Raises:
        InputError: there is no array of this name, or none or several can be images.

    """
    if named is not None:
        if named not in shapes:
            raise InputError(f"{where} has no array {named!r}: expected {_list(list(shapes))}")
        images = named
    else:
        images = _only_images(shapes, where, advice)
    rows = shapes[images][0][:1]
    labels = [
        name
        for name, (shape, dtype) in shapes.items()
        if name.rpartition("/")[2].lower() in LABEL_NAMES
        and name != images
        and shape in (rows, (*rows, 1))
        and dtype.kind in "biufSU"
    ]
    label = labels[0] if len(labels) == 1 else None
    left_out = {f"array {name}": 1 for name in shapes if name not in (images, label)}
    return Chosen(images, label, left_out)


def axes_text(shape: Sequence[int], *, is_last: bool) -> str:
    """Return in words which axis of an array of this shape is taken to count the images."""
    counts = "last" if is_last else "first"
    return f"{'x'.join(map(str, shape))}, of which the {counts} counts the images"


def _only_images(shapes: Shapes, where: str, advice: str) -> str:
    images = [name for name, (shape, dtype) in shapes.items() if _is_images(shape, dtype)]
    vectors = [name for name, (shape, dtype) in shapes.items() if _is_vectors(shape, dtype)]
    found = images or vectors
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{where} has several arrays that can be images, {_list(found)}: name one, as in "
            f"{where}:{found[0]}"
        )
    raise InputError(
        f"{where} holds {_list(list(shapes)) or 'nothing'}: expected {advice}an array of images "
        "(n, h, w) or (n, h, w, c), or of vectors (n, p)"
    )


def _is_images(shape: Sequence[int], dtype: np.dtype[Any]) -> bool:
    channels = shape[3] if len(shape) == 4 else 1
    return (
        dtype.kind in "buif"
        and len(shape) in (3, 4)
        and math.prod(shape) > 0
        and channels <= MOST_CHANNELS
    )


def _is_vectors(shape: Sequence[int], dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "buif" and len(shape) == 2 and shape[0] > 0 and shape[1] > 1


def _list(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
