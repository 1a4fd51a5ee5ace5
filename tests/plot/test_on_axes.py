"""Maps of plain arrays on axes that are given."""

from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aecli import plot_map

CODES = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
NAMES = np.array(["cat", "dog", "$x^2$"])[np.arange(60) % 3]


def _colors(axes: Axes) -> int:
    """Return how many colours the dots on axes have."""
    found = [np.asarray(one.get_facecolor()) for one in axes.collections]
    return len(np.unique(np.concatenate(found), axis=0))


def test_classes_are_drawn_with_their_names_in_the_users_style(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Whatever the first call imports has been imported.
    plot_map(CODES[:, :2], NAMES, Figure().add_subplot())
    monkeypatch.setitem(matplotlib.rcParams, "text.parse_math", True)
    settings = dict(matplotlib.rcParams)
    axes = Figure().add_subplot()
    assert plot_map(CODES[:, :2], NAMES, axes) is axes
    assert {"cat", "dog", "$x^2$"} <= {text.get_text() for text in axes.texts}
    assert not any(text.get_parse_math() for text in axes.texts)
    assert axes.get_xlabel() == "code 1"
    assert _colors(axes) == 3
    assert dict(matplotlib.rcParams) == settings


def test_numbers_are_a_colour_each() -> None:
    axes = plot_map(CODES[:, :2], np.linspace(0.1, 0.9, 60), Figure().add_subplot())
    assert _colors(axes) > 30
    assert not axes.texts


@pytest.mark.parametrize(
    ("dimensions", "projection", "label"),
    [(1, None, "code 1"), (3, "3d", "code 1"), (5, None, "principal component 1")],
)
def test_any_number_of_dimensions_is_drawn(
    dimensions: int, projection: str | None, label: str
) -> None:
    axes = Figure().add_subplot(projection=projection)
    assert plot_map(CODES[:, :dimensions], NAMES, axes).get_xlabel() == label


def test_without_axes_there_is_a_new_figure() -> None:
    axes = plot_map(CODES[:, :3])
    assert axes.name == "3d"
    assert pyplot.gcf() is axes.figure
    pyplot.close("all")


@pytest.mark.parametrize(
    ("codes", "labels", "words"),
    [
        (CODES[:, :3], None, "expected 3d for codes of 3 numbers"),
        (np.full((4, 2), np.nan), None, "codes holds numbers that are not finite"),
        (np.zeros((4, 2, 2)), None, "codes is not a code matrix"),
        (CODES[:, :2], NAMES[:7], "labels does not fit as labels: expected 60"),
    ],
)
def test_what_cannot_be_drawn_is_a_value_error(codes: Any, labels: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plot_map(codes, labels, Figure().add_subplot())
