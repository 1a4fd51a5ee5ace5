"""Classes or numbers of codes from files, to colour them by."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aecli.errors import InputError
from aecli.files import kind_of
from aecli.plot.options import BY_LABEL
from aecli.run.points import PER_POINT

if TYPE_CHECKING:
    from aecli.labels import Labelling
    from aecli.run.codes import Codes


def read_values(codes: "Codes", location: str, say: Callable[[str], None]) -> "Labelling":
    """Return the classes or numbers that a file, also `FILE:COLUMN`, has for each code.

    `say` is called with what is left out, and with what is taken for numbers.

    Raises:
        InputError: there is no such file, or it has neither for each code.

    """
    from aecli.data.label_files import read_labels
    from aecli.data.source import located

    path = located(location)[0]
    if kind_of(path) == "nothing":
        raise InputError(
            f"--color-by {location}: expected {BY_LABEL}, {', '.join(PER_POINT)}, or a "
            "file with a number or a class for each code, FILE.npy or FILE.csv:COLUMN"
        )
    row_ids = codes.provenance.get("row_ids") if codes.provenance else None
    found = read_labels(location, len(codes.values), row_ids)
    for reason, count in found.left_out.items():
        say(f"left out of {path.name}: {count:,} {reason}")
    if found.labels is None and found.numbers is None:
        raise InputError(f"{path} has no number or class for each code to colour by")
    return _numbers_if_many(found, path, say)


def _numbers_if_many(found: "Labelling", path: Path, say: Callable[[str], None]) -> "Labelling":
    """Return whole numbers of which there are more than colours as numbers, not as classes."""
    import numpy as np

    from aecli.labels import UNKNOWN, Labelling
    from aecli.plot.colors import PALETTE

    if found.labels is None or found.class_names is not None:
        return found
    different = len(np.unique(found.labels[found.labels != UNKNOWN]))
    if different <= len(PALETTE):
        return found
    say(f"{path.name} has {different:,} different whole numbers: a colour bar, not classes")
    numbers = np.where(found.labels == UNKNOWN, np.nan, found.labels).astype(np.float32)
    return Labelling(numbers=numbers, left_out=found.left_out)
