"""Labels of rows: what may stand for them, and what becomes of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]

# The label of a row whose class nobody knows.
UNKNOWN = -1

# Texts of which more than this share are all different are names or captions, not classes, where
# nothing says that they are labels.
MOST_CLASSES_SHARE = 0.5

# Types of arrays: whole numbers, texts, and all that may stand for labels.
_WHOLE = "iu"
_TEXTS = "SU"
_KINDS = "biufSU"
# More texts than this are names of images or captions: no picture or table has so many classes,
# and the names of all are kept with a run.
_MOST_NAMES = 65_536
_MOST_CHARACTERS = 4_000_000
# From here on not every whole number is a float.
_MOST_WHOLE = 2.0**53
_INT64 = np.iinfo(np.int64)
_LAST_CHARACTER = 0x10FFFF
_SEVERAL = "rows of several labels"
# How numbers are written in a table. Python's own readers take more, `1_0` for example.
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# Texts that stand for a class that nobody knows.
_UNKNOWN_TEXTS = ("", "nan", str(UNKNOWN))


@dataclass(frozen=True, eq=False)
class Labelling:
    """What stands for the labels of n rows.

    `labels`: int64 (n,), `UNKNOWN` where nobody knows the class; None where there are no classes.
    `class_names`: what the labels index, where they came as texts, or as yes and no. `numbers`:
    float32 (n,), where the rows have numbers that are no classes, NaN where one is missing.
    `left_out`: how many labels were set aside, by reason.
    """

    labels: Labels | None = None
    class_names: tuple[str, ...] | None = None
    numbers: npt.NDArray[np.float32] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    def classes(self) -> "Labelling":
        """Return the classes alone: numbers that are no classes are set aside."""
        if self.numbers is None:
            return self
        left_out = {**self.left_out, "labels that are not whole numbers": len(self.numbers)}
        return replace(self, numbers=None, left_out=left_out)


def check_fits(shape: tuple[int, ...], dtype: np.dtype[Any], rows: int, where: str) -> None:
    """Raise `InputError` unless an array of this shape and type can be labels of `rows` rows."""
    if len(shape) not in (1, 2) or shape[0] != rows or 0 in shape[1:] or dtype.kind not in _KINDS:
        raise InputError(
            f"{where} does not fit as labels: expected {rows:,}, one for each row, got {dtype} "
            f"{shape}"
        )
    # The array, and what is made of it.
    refuse_beyond_memory(
        3 * dtype.itemsize * int(np.prod(shape, dtype=object)), where, "save its labels as numbers"
    )


def labels_of_array(values: Array, rows: int, where: str) -> Labelling:
    """Return the labels that an array has for each of `rows` rows.

    Whole numbers (n,) or (n, 1) are classes as they are, also as floats. Texts are classes, whose
    names are the texts in sorted order, and so are yes and no. Rows (n, k) of a single 1 among
    zeros are the number of its column; others are several labels, and set aside. NaN, -1 and an
    empty text are `UNKNOWN`. Numbers that are not whole are no classes.

    Raises:
        InputError: the array is of another shape or type, or has numbers beyond int64 or float32.

    """
    check_fits(values.shape, values.dtype, rows, where)
    if values.ndim == 2 and values.shape[1] > 1:
        return _labels_of_rows(values)
    flat = values.reshape(rows)
    if flat.dtype.kind == "b":
        return Labelling(flat.astype(np.int64), ("False", "True"))
    if flat.dtype.kind in _WHOLE:
        return Labelling(_as_int64(flat, where))
    if flat.dtype.kind in _TEXTS:
        return labels_of_texts(_texts(flat, where))
    return _labels_of_floats(flat, where)


def labels_of_parts(parts: Sequence[tuple[Array | None, int, str]]) -> Labelling:
    """Return the labels of parts that follow each other: an array or None, the rows, and its name.

    They are read as those of one array: the same text is the same class in all parts. The rows of
    a part without labels are `UNKNOWN`.

    Raises:
        InputError: as `labels_of_array`, or the labels of two parts are not alike.

    """
    found: list[Array] = []
    for values, rows, where in parts:
        if values is not None:
            check_fits(values.shape, values.dtype, rows, where)
            flat = values.reshape(rows) if values.shape[1:] == (1,) else values
            found.append(_as_int64(flat, where) if flat.dtype.kind in _WHOLE else flat)
    if not found:
        return Labelling()
    if len({(part.dtype.kind in _TEXTS, part.shape[1:]) for part in found}) > 1:
        where = next(where for values, _, where in parts if values is not None)
        kinds = ", ".join(f"{part.dtype} {part.shape}" for part in found)
        raise InputError(f"{where} and other parts have labels that differ: {kinds}")
    whole = np.concatenate(found)
    labelling = labels_of_array(whole, len(whole), parts[0][2])
    if labelling.labels is None or len(found) == len(parts):
        return labelling
    labels = np.full(sum(rows for _, rows, _ in parts), UNKNOWN, np.int64)
    known = np.concatenate([np.full(rows, values is not None) for values, rows, _ in parts])
    labels[known] = labelling.labels
    return replace(labelling, labels=labels)


def labels_of_texts(texts: Iterable[str]) -> Labelling:
    """Return the labels of rows that have a text each; an empty one, or `nan`, is `UNKNOWN`.

    Names that no file can have lose what is in the way. Texts of which there are too many to be
    names of classes are set aside.
    """
    codes: dict[str, int] = {}
    labels: list[int] = []
    characters, rows, too_many = 0, 0, False
    for text in texts:
        rows += 1
        if too_many:
            continue
        name = text.strip()
        if name.casefold() in _UNKNOWN_TEXTS:
            labels.append(UNKNOWN)
            continue
        if name not in codes:
            codes[name] = len(codes)
            characters += len(name)
            too_many = len(codes) > _MOST_NAMES or characters > _MOST_CHARACTERS
        labels.append(codes[name])
    if too_many:
        return Labelling(left_out={"labels of too many different texts": rows})
    cleaned = [_cleaned(name) for name in codes]
    names = sorted(set(cleaned))
    index = {name: number for number, name in enumerate(names)}
    # The last place is that of UNKNOWN.
    table = np.array([*(index[name] for name in cleaned), UNKNOWN], np.int64)
    return Labelling(table[np.array(labels, np.int64)], tuple(names))


def labels_of_cells(cells: Sequence[str], where: str) -> Labelling:
    """Return the labels of the cells of a table of text: numbers where all are, else texts.

    Raises:
        InputError: a number is beyond int64 or float32.

    """
    stripped = [cell.strip() for cell in cells]
    known = [cell for cell in stripped if cell.casefold() not in _UNKNOWN_TEXTS]
    if not known:
        return Labelling(np.full(len(cells), UNKNOWN, np.int64))
    if all(_INTEGER.fullmatch(cell) for cell in known):
        numbers = [UNKNOWN if c.casefold() in _UNKNOWN_TEXTS else int(c) for c in stripped]
        return Labelling(labels_of_numbers(numbers, where))
    if all(_NUMBER.fullmatch(cell) for cell in known):
        floats = [np.nan if c.casefold() in _UNKNOWN_TEXTS else float(c) for c in stripped]
        return _labels_of_floats(np.array(floats), where)
    return labels_of_texts(stripped)


def labels_of_values(values: Iterable[Any], kind: str, where: str) -> Labelling:
    """Return the labels of values of Python's; None is `UNKNOWN`.

    `kind` is what they are: `whole` or `float` numbers, `truth`, `text`, or a `list` of numbers.

    Raises:
        InputError: a number is beyond int64 or float32.

    """
    if kind == "text":
        return labels_of_texts("" if value is None else value for value in values)
    if kind == "list":
        return _labels_of_lists(values, where)
    found = list(values)
    if kind == "whole":
        return Labelling(labels_of_numbers(found, where))
    if kind == "truth":
        whole = [None if value is None else int(value) for value in found]
        return Labelling(labels_of_numbers(whole, where), ("False", "True"))
    floats = [np.nan if value is None else value for value in found]
    return _labels_of_floats(np.array(floats, np.float64), where)


def _labels_of_lists(rows: Iterable[Sequence[Any] | None], where: str) -> Labelling:
    # Only the places are kept: the rows may be long.
    found = [(0, UNKNOWN) if row is None else (len(row), _place_of_one(row)) for row in rows]
    places = [place for _, place in found]
    if len({length for length, _ in found if length}) != 1 or None in places:
        return Labelling(left_out={_SEVERAL: len(found)})
    return Labelling(labels_of_numbers(places, where))


def _place_of_one(row: Sequence[Any]) -> int | None:
    """Return where the only 1 is among zeros, or None where a row of numbers is another one."""
    if len(row) < 2 or any(number not in (0, 1) for number in row) or sum(row) != 1:
        return None
    return row.index(1)


def labels_of_numbers(numbers: Sequence[int | None], where: str) -> Labels:
    """Return whole numbers, None for `UNKNOWN`, as int64 (n,).

    Raises:
        InputError: one is beyond int64.

    """
    whole = [UNKNOWN if number is None else number for number in numbers]
    far = next((number for number in whole if not _INT64.min <= number <= _INT64.max), None)
    if far is not None:
        raise InputError(f"{where} has labels beyond int64, such as {far}")
    return np.array(whole, np.int64)


def _labels_of_floats(values: Array, where: str) -> Labelling:
    known = ~np.isnan(values)
    found = values[known]
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(found.astype(np.float32)).all():
            raise InputError(f"{where} has infinite labels, or some beyond float32")
        whole = bool((np.floor(found) == found).all() and (np.abs(found) < _MOST_WHOLE).all())
    if not whole:
        return Labelling(numbers=values.astype(np.float32))
    labels = np.full(len(values), UNKNOWN, np.int64)
    labels[known] = found.astype(np.int64)
    return Labelling(labels)


def _labels_of_rows(values: Array) -> Labelling:
    """Return the labels of rows (n, k), k > 1: the place of the only 1 where each has one."""
    if values.dtype.kind not in _TEXTS:
        ones = values == 1
        if (ones | (values == 0)).all() and (ones.sum(axis=1) == 1).all():
            return Labelling(ones.argmax(axis=1).astype(np.int64))
    return Labelling(left_out={_SEVERAL: len(values)})


def _as_int64(values: Array, where: str) -> Labels:
    if values.dtype == np.uint64 and values.size and int(values.max()) > _INT64.max:
        raise InputError(f"{where} has labels beyond int64: the largest is {values.max()}")
    return values.astype(np.int64)


def _texts(values: Array, where: str) -> Iterable[str]:
    """Return the texts of an array, as Python's."""
    if values.dtype.kind == "S":
        return (text.decode("utf-8", "replace") for text in values.tolist())
    # In the machine's order of bytes.
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    if native.size and int(native.view(np.uint32).max()) > _LAST_CHARACTER:
        raise InputError(f"{where} is damaged: it has characters that there are not")
    texts: list[str] = native.tolist()
    return texts


def _cleaned(name: str) -> str:
    """Return a name without what no name of a file may have: NUL and halves of characters."""
    return name.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
