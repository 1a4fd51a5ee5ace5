import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from aecli.plot.colors import PALETTE, UNKNOWN_COLOR, Classes, ContinuousColors


def test_each_label_has_the_colour_of_its_class() -> None:
    classes = Classes(np.array([7, 5, 9, 5]), None)
    assert classes.names == ["5", "7", "9"]
    expected = [to_rgb(PALETTE[i]) for i in (1, 0, 2, 0)]
    np.testing.assert_array_equal(classes.colors(), expected)


def test_labels_beyond_the_known_names_show_their_number() -> None:
    assert Classes(np.array([-2, 0, 1, 7]), ["a", "b"]).names == ["-2", "a", "b", "7"]


def test_more_than_ten_classes_differ_by_colour_and_marker() -> None:
    classes = Classes(np.arange(26), None)
    looks = {(tuple(np.atleast_1d(classes.color(i))), classes.marker(i)) for i in range(26)}
    assert len(looks) == 26


def test_labels_are_grouped_by_marker() -> None:
    classes = Classes(np.arange(100, 125)[::-1], None)
    groups = [(marker, np.flatnonzero(marked).tolist()) for marker, marked in classes.by_marker()]
    assert groups == [
        (classes.marker(0), list(range(15, 25))),
        (classes.marker(10), list(range(5, 15))),
        (classes.marker(20), list(range(5))),
    ]


def test_a_legend_shows_the_name_colour_and_marker_of_each_class() -> None:
    classes = Classes(np.arange(12), [f"class {i}" for i in range(12)])
    handles = classes.legend_handles()
    assert [handle.get_label() for handle in handles] == classes.names
    assert [handle.get_color() for handle in handles] == [classes.color(i) for i in range(12)]
    assert [handle.get_marker() for handle in handles] == ["o"] * 10 + ["^"] * 2


def test_numbers_go_through_the_colours_in_order() -> None:
    values = np.linspace(-3, 8, 1000, dtype=np.float32)
    colors = ContinuousColors("number", values).colors()
    viridis = matplotlib.colormaps["viridis"](np.linspace(0, 1, 1000))[:, :3]
    np.testing.assert_allclose(colors, viridis, atol=0.05)


def test_a_few_outliers_do_not_take_the_colours_of_the_others() -> None:
    values = np.linspace(0, 1, 1000, dtype=np.float32)
    plain = ContinuousColors("number", values).colors()
    values[[0, -1]] = [-1e6, 1e6]
    with_outliers = ContinuousColors("number", values)
    np.testing.assert_allclose(with_outliers.colors()[1:-1], plain[1:-1], atol=0.02)
    low, high = with_outliers.limits
    assert (low, high) == pytest.approx((0.01, 0.99), abs=1e-3)


@pytest.mark.parametrize("value", [0, -5, 1e30])
def test_equal_numbers_have_one_colour(value: float) -> None:
    colors = ContinuousColors("number", np.full(9, value, np.float32))
    low, high = colors.limits
    assert low < high
    assert (colors.colors() == matplotlib.colormaps["viridis"](0.0)[:3]).all()


def test_the_scale_has_the_colours_of_the_codes() -> None:
    coloring = ContinuousColors("number", np.linspace(-3, 8, 50, dtype=np.float32))
    scale = coloring.scale().to_rgba(coloring.values)[:, :3]
    np.testing.assert_allclose(coloring.colors(), scale, atol=0.02)


def test_labels_that_nobody_knows_are_grey_and_no_class() -> None:
    classes = Classes(np.array([-1, 5, 2, -1]), None)
    assert (classes.names, len(classes), classes.unknown_name) == (["2", "5"], 2, "unknown: 2")
    expected = [to_rgb(color) for color in (UNKNOWN_COLOR, PALETTE[1], PALETTE[0], UNKNOWN_COLOR)]
    np.testing.assert_array_equal(classes.colors(), expected)
    ((marker, marked),) = classes.by_marker()
    assert (marker, marked.tolist()) == ("o", [False, True, True, False])
    labels = [handle.get_label() for handle in classes.legend_handles()]
    assert labels == ["2", "5", "unknown: 2"]
    assert Classes(np.array([-1]), ["a"]).names == []


def test_numbers_that_nobody_knows_are_grey() -> None:
    values = np.array([0, np.nan, 1], np.float32)
    coloring = ContinuousColors("number", values)
    np.testing.assert_array_equal(coloring.colors()[1], to_rgb(UNKNOWN_COLOR))
    assert coloring.limits == ContinuousColors("number", values[[0, 2]]).limits
