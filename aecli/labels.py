"""Labels of rows: what may stand for them, and what becomes of it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.errors import InputError

Labels = npt.NDArray[np.int64]


def to_labels(values: npt.NDArray[Any], rows: int, where: str) -> Labels:
    """Return whole numbers (n,) or (n, 1), one for each of `rows` rows, as int64 (n,).

    Raises:
        InputError: the array is of another shape or type, or its numbers are beyond int64.

    """
    flat = values[:, 0] if values.shape == (rows, 1) else values
    if flat.shape != (rows,) or flat.dtype.kind not in "iu":
        raise InputError(
            f"{where} does not fit as labels: expected {rows:,} whole numbers, one per row, got "
            f"{values.dtype} {values.shape}"
        )
    if flat.dtype == np.uint64 and rows and int(flat.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{where} has labels beyond int64: the largest is {flat.max()}")
    return flat.astype(np.int64)
