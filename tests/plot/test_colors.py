from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from aecli.plot.colors import GREY, MARKERS, PALETTE, Classes, ContinuousColors


def test_each_label_has_the_colour_of_its_class() -> None:
    classes = Classes(np.array([700, 5, 9, 5]), None)
    assert classes.names == ["5", "9", "700"]
    expected = [to_rgb(PALETTE[i]) for i in (2, 0, 1, 0)]
    np.testing.assert_array_equal(classes.colors(), expected)


@pytest.mark.parametrize(
    ("labels", "names", "all_names", "places"),
    [
        # Numbers that count from 0 have the place of their value, in whatever part they are.
        ([3, 9], None, None, [3, 9]),
        ([5, 105], None, None, [0, 1]),
        ([-3, 2], None, None, [0, 1]),
        ([1, 2], ["a", "b", "c"], None, [1, 2]),
        # Another data set with some of the classes of the run, as names or numbers.
        ([0, 1], ["three", "nine"], ["one", "three", "nine"], [1, 2]),
        ([100, 300], None, ["100", "200", "300"], [0, 2]),
        # Classes that the run does not know come after its own.
        ([0, 1, 2], ["new", "one", "other"], ["zero", "one"], [2, 1, 3]),
    ],
)
def test_a_class_has_the_colour_of_its_place_among_all_classes_of_the_run(
    labels: list[int],
    names: list[str] | None,
    all_names: list[str] | None,
    places: list[int],
) -> None:
    classes = Classes(np.array(labels), names, all_names)
    assert [classes.color(i) for i in range(len(labels))] == [PALETTE[place] for place in places]


def _oklab(colors: list[str], vision: list[list[float]]) -> np.ndarray[tuple[int, int], Any]:
    """Return colours in OKLab (Ottosson, 2020), as seen through a matrix on linear light."""
    rgb = np.array([to_rgb(color) for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(vision).T, 0, 1)
    cones = seen @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.asarray(
        np.cbrt(cones)
        @ np.array(
            [
                [0.2104542553, 1.9779984951, 0.0259040371],
                [0.7936177850, -2.4285922050, 0.7827717662],
                [-0.0040720468, 0.4505937099, -0.8086757660],
            ]
        )
    )


# Machado, Oliveira and Fernandes (2009), severity 1; how far apart colours of the palette are.
VISIONS: dict[str, tuple[list[list[float]], float]] = {
    "full": ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 0.1),
    "no red cones": (
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        0.055,
    ),
    "no green cones": (
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        0.055,
    ),
    "no blue cones": (
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
        0.055,
    ),
}


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_can_be_told_apart_and_from_grey_by_all(vision: str) -> None:
    assert len(set(PALETTE)) >= 20
    matrix, least = VISIONS[vision]
    seen = _oklab([*PALETTE, GREY], matrix)
    apart = np.linalg.norm(seen[:, None] - seen, axis=2) + np.eye(len(seen))
    assert apart.min() > least


@pytest.mark.parametrize("color", [*PALETTE, GREY])
def test_colours_can_be_told_from_white(color: str) -> None:
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    # The contrast of WCAG 2.
    assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) > 1.85


def test_labels_beyond_the_known_names_show_their_number() -> None:
    assert Classes(np.array([-2, 0, 1, 7]), ["a", "b"]).names == ["-2", "a", "b", "7"]


def test_more_classes_than_colours_differ_by_colour_and_marker() -> None:
    classes = Classes(np.arange(100), None)
    looks = {(classes.color(i), classes.marker(i)) for i in range(100)}
    assert len(looks) == 100
    assert {classes.marker(i) for i in range(len(PALETTE))} == {MARKERS[0]}
    assert classes.has_markers
    assert not Classes(np.arange(len(PALETTE)), None).has_markers


def test_labels_are_grouped_by_marker() -> None:
    labels = np.arange(100, 150)[::-1]
    classes = Classes(labels, None)
    groups = [(marker, np.flatnonzero(marked).tolist()) for marker, marked in classes.by_marker()]
    assert groups == [
        (MARKERS[0], list(range(28, 50))),
        (MARKERS[1], list(range(6, 28))),
        (MARKERS[2], list(range(6))),
    ]


def test_classes_that_are_not_highlighted_are_grey_and_no_class() -> None:
    labels = np.array([0, 1, 2, 1, -1])
    classes = Classes(labels, ["a", "b", "c"], None, {"b"})
    assert (classes.names, classes.grey_name) == (["b"], "others: 3")
    expected = [to_rgb(GREY), to_rgb(PALETTE[1])]
    np.testing.assert_array_equal(classes.colors(), np.array(expected)[[0, 1, 0, 1, 0]])


def test_numbers_go_through_the_colours_in_order() -> None:
    values = np.linspace(-3, 8, 1000, dtype=np.float32)
    colors = ContinuousColors("number", values).colors()
    viridis = matplotlib.colormaps["viridis"](np.linspace(0, 0.8, 1000))[:, :3]
    np.testing.assert_allclose(colors, viridis, atol=0.05)


def test_a_few_outliers_do_not_take_the_colours_of_the_others() -> None:
    values = np.linspace(0, 1, 1000, dtype=np.float32)
    plain = ContinuousColors("number", values).colors_of((values - 0.01) / 0.98)
    values[[0, -1]] = [-1e6, 1e6]
    with_outliers = ContinuousColors("number", values)
    np.testing.assert_allclose(with_outliers.colors()[1:-1], plain[1:-1], atol=0.02)
    low, high = with_outliers.limits
    assert (low, high) == pytest.approx((0.01, 0.99), abs=1e-3)
    # What is cut is known: 10 at each end. Without outliers nothing is.
    assert with_outliers.cut == (10, 10)
    assert ContinuousColors("number", np.linspace(0, 1, 1000, dtype=np.float32)).cut == (0, 0)


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
    assert (classes.names, len(classes), classes.grey_name) == (["2", "5"], 2, "unknown: 2")
    expected = [to_rgb(color) for color in (GREY, PALETTE[5], PALETTE[2], GREY)]
    np.testing.assert_array_equal(classes.colors(), expected)
    ((marker, marked),) = classes.by_marker()
    assert (marker, marked.tolist()) == ("o", [False, True, True, False])
    assert Classes(np.array([-1]), ["a"]).names == []


def test_numbers_that_nobody_knows_are_grey() -> None:
    values = np.array([0, np.nan, 1], np.float32)
    coloring = ContinuousColors("number", values)
    np.testing.assert_array_equal(coloring.colors()[1], to_rgb(GREY))
    assert coloring.limits == ContinuousColors("number", values[[0, 2]]).limits
