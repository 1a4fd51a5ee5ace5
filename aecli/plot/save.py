"""Figures: made with plain text, and saved whole or not at all."""

import io
import warnings
from pathlib import Path

from aecli.plot import library  # noqa: F401

# isort: split
import matplotlib
from matplotlib.figure import Figure

from aecli import files, signals

DOTS_PER_INCH = 160


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, whose parts do not overlap."""
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture, whole or not at all; the suffix, one of `PICTURE_SUFFIXES`, is its format.

    Letters that no font has become boxes.

    Raises:
        AecliError: the operating system refused.
        SystemExit: a signal has come.

    """
    kind = path.suffix.lower().removeprefix(".")
    # Without a date: the same codes give the same bytes.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    picture = io.BytesIO()
    with (
        matplotlib.rc_context({"svg.hashsalt": "aecli", "svg.fonttype": "none"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(picture, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
    signals.end_if_requested()
    files.write_bytes(path, picture.getvalue())
