"""Figures: made with plain text, and saved whole or not at all."""

import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from aecli import files

DOTS_PER_INCH = 160

# Names of data sets, classes and files are not formulas, even with dollar signs in them.
matplotlib.rcParams["text.parse_math"] = False


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, whose parts do not overlap."""
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path, *, replace: bool = False) -> None:
    """Write a picture, whole or not at all; the suffix, one of `PICTURE_SUFFIXES`, is its format.

    Raises:
        InputError: without `replace`, a file has come to be there meanwhile.
        AecliError: the operating system refused.

    """
    kind = path.suffix.lower().removeprefix(".")
    # Without a date: the same codes give the same bytes.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    picture = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "aecli", "svg.fonttype": "none"}):
        figure.savefig(picture, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
    files.write_bytes(path, picture.getvalue(), replace=replace)
