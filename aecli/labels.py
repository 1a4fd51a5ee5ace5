"""Labels of rows: what may stand for them, and what becomes of it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.errors import InputError

Labels = npt.NDArray[np.int64]

# The label of a row whose class nobody knows.
UNKNOWN = -1


def check_labels(shape: tuple[int, ...], dtype: np.dtype[Any], rows: int, where: str) -> None:
    """Raise `InputError` unless an array of this shape and type can be labels of `rows` rows."""
    if shape not in ((rows,), (rows, 1)) or dtype.kind not in "iu":
        raise InputError(
            f"{where} does not fit as labels: expected {rows:,} whole numbers, one per row, got "
            f"{dtype} {shape}"
        )


def to_labels(values: npt.NDArray[Any], rows: int, where: str) -> Labels:
    """Return whole numbers (n,) or (n, 1), one for each of `rows` rows, as int64 (n,).

    Raises:
        InputError: the array is of another shape or type, or its numbers are beyond int64.

    """
    check_labels(values.shape, values.dtype, rows, where)
    flat = values.reshape(rows)
    if flat.dtype == np.uint64 and rows and int(flat.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{where} has labels beyond int64: the largest is {flat.max()}")
    return flat.astype(np.int64)
