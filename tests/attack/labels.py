"""Labels that are no labels, or not of these images."""

from collections.abc import Iterator

import numpy as np

from tests.attack.case import BAD, EITHER, GOOD, Case
from tests.attack.forge import array, copied, npy, written
from tests.data import examples

_SHOW = "data show images.npy --labels"
_ROWS = 90

# Tables of labels for 90 images, and what they may come to.
_TABLES: dict[str, tuple[bytes, frozenset[int]]] = {
    "nothing": (b"", BAD),
    "an empty line": (b"\n", BAD),
    "NUL": (b"\0" * 1000, BAD),
    "no text": (bytes(range(256)) * 4, BAD),
    "UTF-16": (("label\n" + "x\n" * _ROWS).encode("utf-16"), BAD),
    "an endless quote": (b'label\n"' + b"x" * 10**6, BAD),
    "one endless row": (b"x," * 10**6, BAD),
    "a row too many": (b"label\n" + b"1\n" * (_ROWS + 1), BAD),
    "a header and a row too few": (b"label\n" + b"1\n" * (_ROWS - 1), BAD),
    "ragged rows": (b"label,a\n1,2\n1\n", BAD),
    "columns without end": (b",".join([b"label"] * 10**5) + b"\n", BAD),
    "names that act": (b"label\n" + b"\x1b[31m\n" * _ROWS, GOOD),
    "huge numbers": (b"label\n" + b"9" * 30 + b"\n" + b"1\n" * (_ROWS - 1), BAD),
    "digits without end": (b"label\n" + b"9" * 10**5 + b"\n" + b"1\n" * (_ROWS - 1), EITHER),
    "1e400": (b"label\n" + b"1e400\n" * _ROWS, BAD),
    "other digits": (("label\n" + "\u0663\n" * _ROWS).encode(), GOOD),
    "empty cells": (b"label\n" + b'""\n' * _ROWS, GOOD),
    "surrogates": (b"label\n" + b"\xed\xa0\x80\n" * _ROWS, BAD),
    "a class for each": (b"label\n" + b"".join(b"c%d\n" % row for row in range(_ROWS)), GOOD),
}
_ARRAYS: dict[str, tuple[bytes, frozenset[int]]] = {
    "characters that there are not": (
        npy(f"{{'descr': '<U1', 'fortran_order': False, 'shape': ({_ROWS},), }}", b"\xff" * 360),
        BAD,
    ),
    "texts of terabytes": (
        npy("{'descr': '<U1000000000', 'fortran_order': False, 'shape': (90,), }"),
        BAD,
    ),
    "texts of nothing": (npy("{'descr': '<U0', 'fortran_order': False, 'shape': (90,), }"), BAD),
    "infinity": (examples.npy(np.full(_ROWS, np.inf)), BAD),
    "NaN": (examples.npy(np.full(_ROWS, np.nan)), GOOD),
    "rows of several": (examples.npy(np.ones((_ROWS, 14))), GOOD),
    "an array of arrays": (examples.npz(a=examples.npy(1), b=examples.npy(2)), BAD),
}


def _rows() -> Iterator[Case]:
    images = copied("images.npy")
    for fault, (data, codes) in _TABLES.items():
        yield Case(
            f"a table of labels: {fault}",
            f"{_SHOW} y.csv",
            (images, written("y.csv", data)),
            codes,
            short=True,
        )
    for fault, (data, codes) in _ARRAYS.items():
        yield Case(
            f"an array of labels: {fault}",
            f"{_SHOW} y.npy",
            (images, written("y.npy", data)),
            codes,
            short=True,
        )
    for name in ("y.npz:", "y.npz:c", ":", "y.npz:a:b", "images.npy:a"):
        yield Case(
            f"labels called {name}",
            ["data", "show", "images.npy", "--labels", name],
            (images, written("y.npz", examples.npz(a=examples.npy(1), b=examples.npy(2)))),
            short=True,
        )
    for fault, table in {
        "of none of the images": b"file,label\nnone.png,1\n",
        "of two labels": b"file,label\n00.png,1\n00.png,2\n",
    }.items():
        yield Case(
            f"a table {fault}",
            "data show pictures --labels y.csv",
            (copied("pictures"), written("y.csv", table)),
            short=True,
        )
    yield Case(
        "numbers that are no classes cannot colour histograms",
        "plot c.npy --labels y.npy -o p.png",
        (array("c.npy", np.arange(9.0)), array("y.npy", np.arange(9) / 2)),
        short=True,
    )
    yield Case(
        "rows of several labels cannot colour codes",
        "plot c.npy --labels y.npy -o p.png",
        (array("c.npy", np.ones((9, 2))), array("y.npy", np.ones((9, 3)))),
        short=True,
    )


CASES = list(_rows())
