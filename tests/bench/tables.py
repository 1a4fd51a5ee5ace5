"""Data sets of scikit-learn that are vectors, not images, in files that aecli reads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# The shares of the rows that are tested and validated on.
_TEST, _VALIDATION = 0.3, 0.1


def _cancer() -> Any:
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer()


def _digits() -> Any:
    from sklearn.datasets import load_digits

    return load_digits()


TABLES: dict[str, Callable[[], Any]] = {"breast-cancer": _cancer, "digit-vectors": _digits}


def write_table(name: str, folder: Path) -> Path:
    """Write one of `TABLES` into a folder, its rows drawn for the splits at random; return it."""
    table = TABLES[name]()
    rows = np.random.default_rng(0).permutation(len(table.data))
    first, second = (round(share * len(rows)) for share in (_TEST, _TEST + _VALIDATION))
    parts = {"test": rows[:first], "val": rows[first:second], "train": rows[second:]}
    arrays = {f"x_{part}": table.data[chosen] for part, chosen in parts.items()}
    arrays |= {f"y_{part}": table.target[chosen] for part, chosen in parts.items()}
    np.savez(folder / f"{name}.npz", **arrays)
    return folder / f"{name}.npz"
