"""Figures: made with plain text, and saved whole or not at all."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aecli.plot import library  # noqa: F401

# isort: split
import matplotlib
from matplotlib.figure import Figure

from aecli import files, signals

DOTS_PER_INCH = 160

_STYLE: dict[Any, Any] = {
    # Names of data sets, classes and files are not formulas, even with dollar signs in them.
    "text.parse_math": False,
    # The same codes give the same bytes.
    "svg.hashsalt": "aecli",
    "svg.fonttype": "none",
}
# Axes that a user gives are drawn on in the user's style, but for this.
matplotlib.rcParams["text.parse_math"] = False


@contextmanager
def default_style() -> Iterator[None]:
    """Draw or save in matplotlib's own style, whatever a `matplotlibrc` of the user says.

    Letters that no font has become boxes.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, whose parts do not overlap."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")


def save_figure(figure: Figure, path: Path, *, replace: bool = False) -> None:
    """Write a picture, whole or not at all; the suffix, one of `PICTURE_SUFFIXES`, is its format.

    Raises:
        InputError: without `replace`, a file has come to be there meanwhile.
        AecliError: the operating system refused.
        SystemExit: a signal has come.

    """
    files.write_bytes(path, figure_bytes(figure, path.suffix), replace=replace)


def figure_bytes(figure: Figure, suffix: str) -> bytes:
    """Return a picture as the bytes of a file of this suffix, one of `PICTURE_SUFFIXES`.

    Raises:
        SystemExit: a signal has come.

    """
    kind = suffix.lower().removeprefix(".")
    # Without a date: the same codes give the same bytes.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    picture = io.BytesIO()
    with default_style():
        figure.savefig(picture, format=kind, dpi="figure", metadata=metadata)
    signals.end_if_requested()
    return picture.getvalue()
