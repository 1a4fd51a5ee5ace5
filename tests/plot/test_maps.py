from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from aecli.plot.maps import (
    Classes,
    grid_figure,
    history_figure,
    map_figure,
    reconstructions_figure,
    save_figure,
)
from aecli.run.checkpoint import EpochMetrics
from aecli.run.codes import Codes

GENERATOR = np.random.default_rng(0)
PROVENANCE = {"data": "mnist", "split": "test", "class_names": ["zero", "one", "two"]}


def _codes(dimensions: int, classes: int | None = 3, provenance: Any = PROVENANCE) -> Codes:
    values = GENERATOR.normal(size=(120, dimensions)).astype(np.float32)
    labels = None if classes is None else np.arange(120) % classes
    return Codes(values, labels, provenance)


def _points(figure: Figure) -> int:
    return sum(len(np.ma.getdata(part.get_offsets())) for part in figure.axes[0].collections)


def _legend(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize("dimensions", [2, 3, 4, 10])
def test_every_code_is_drawn_and_every_class_named(dimensions: int) -> None:
    figure = map_figure(_codes(dimensions), "codes.npy")
    assert _points(figure) == 120
    assert _legend(figure) == ["zero", "one", "two"]


def test_titles_say_what_is_drawn() -> None:
    titles = [map_figure(_codes(d), "codes.npy").axes[0].get_title() for d in (2, 3, 10)]
    assert titles[0] == "mnist test: 120 codes, 2-D"
    assert titles[1] == "mnist test: 120 codes, 3-D"
    assert titles[2].startswith("mnist test: 120 codes, 10-D\nfirst 2 principal components, ")
    assert map_figure(_codes(2, provenance=None), "mine.npy").axes[0].get_title() == (
        "mine.npy: 120 codes, 2-D"
    )


def test_maps_have_equal_scale_in_all_directions() -> None:
    assert map_figure(_codes(2), "").axes[0].get_aspect() == 1


def test_one_number_a_code_gives_a_histogram_for_each_class() -> None:
    axes = map_figure(_codes(1), "").axes[0]
    assert len(axes.patches) == 3
    assert [text.get_text() for text in axes.get_yticklabels()] == ["two", "one", "zero"]


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_maps_without_labels(dimensions: int) -> None:
    figure = map_figure(_codes(dimensions, classes=None), "")
    assert _legend(figure) == []
    assert dimensions == 1 or _points(figure) == 120


def test_more_than_ten_classes_differ_by_colour_and_marker() -> None:
    codes = _codes(2, classes=26)
    assert codes.labels is not None
    classes = Classes(codes.labels, None)
    looks = {(tuple(np.atleast_1d(classes.color(i))), classes.marker(i)) for i in range(26)}
    assert len(looks) == 26
    figure = map_figure(codes, "")
    assert _points(figure) == 120
    assert len(figure.axes[0].collections) == 3
    assert len(_legend(figure)) == 26


def test_points_have_the_colour_of_their_class() -> None:
    values = np.array([[0, 0], [10, 0], [20, 0]], np.float32)
    labels = np.array([2, 0, 1])
    scatter = map_figure(Codes(values, labels), "").axes[0].collections[0]
    order = np.ma.getdata(scatter.get_offsets())[:, 0].argsort()
    classes = Classes(labels, None)
    np.testing.assert_allclose(
        np.array(scatter.get_facecolor())[order, :3], [to_rgb(classes.color(i)) for i in labels]
    )


def test_more_classes_than_a_legend_holds_are_counted_in_the_title() -> None:
    figure = map_figure(_codes(2, classes=100), "")
    assert _legend(figure) == []
    assert figure.axes[0].get_title().endswith(", 100 classes")
    map_figure(_codes(1, classes=100), "")


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
@pytest.mark.parametrize("values", [np.zeros((1, 5)), np.ones((4, 5)), np.full((2, 5), 1e38)])
def test_codes_without_any_spread_are_drawn(
    tmp_path: Path, dimensions: int, values: np.ndarray[Any, Any]
) -> None:
    codes = Codes(values[:, :dimensions].astype(np.float32), np.arange(len(values)))
    save_figure(map_figure(codes, "codes.npy"), tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 0


def test_names_are_no_formulas(tmp_path: Path) -> None:
    names = {"data": "a$\\bad$", "split": "test", "class_names": ["$x", "y$", "$z$"]}
    save_figure(map_figure(_codes(2, provenance=names), ""), tmp_path / "map.png")


def test_labels_beyond_the_known_names_show_their_number() -> None:
    assert Classes(np.array([0, 1, 7]), ["a", "b"]).names == ["a", "b", "7"]


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_the_suffix_is_the_format_and_bytes_repeat(
    tmp_path: Path, suffix: str, start: bytes
) -> None:
    codes = _codes(2)
    for name in ("a", "b"):
        save_figure(map_figure(codes, ""), tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert first.startswith(start)
    assert first == second


def test_reconstructions_stand_below_their_originals() -> None:
    originals = GENERATOR.random((4, 6, 5, 1), np.float32)
    figure = reconstructions_figure(originals, 1 - originals, "title")
    drawn = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert len(drawn) == 8
    np.testing.assert_array_equal(drawn[1], originals[1, ..., 0])
    np.testing.assert_array_equal(drawn[5], 1 - originals[1, ..., 0])


def test_the_history_shows_both_losses_and_the_best_epoch() -> None:
    history = [
        EpochMetrics(e, 1 / e, 0.0, abs(e - 3) + 0.5, 1e-3, 100.0, 1.0) for e in (1, 2, 3, 4)
    ]
    lines = history_figure(history, "mse", "title").axes[0].lines
    train, validation, best = (np.asarray(line.get_xydata()).tolist() for line in lines)
    assert train == [[1, 1], [2, 1 / 2], [3, 1 / 3], [4, 1 / 4]]
    assert validation == [[1, 2.5], [2, 1.5], [3, 0.5], [4, 1.5]]
    assert best == [[3, 0.5]]


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (7, 1), (10, 3)])
def test_a_grid_holds_every_image(tmp_path: Path, count: int, channels: int) -> None:
    images = np.zeros((count, 6, 5, channels), np.float32)
    save_figure(grid_figure(images), tmp_path / "grid.png")
    pixels = imread(tmp_path / "grid.png")[..., 0]
    # Black images on white: as many black pixels as images, each zoomed alike.
    zoom = round(1000 / (int(np.ceil(np.sqrt(count * 6 / 5))) * 5))
    assert (pixels < 0.5).sum() == pytest.approx(count * 30 * zoom**2, rel=0.02)


def test_many_codes_are_counted_into_dots_of_their_colour_and_place() -> None:
    places = np.array([[-3, 0], [5, 1], [5, 9]], np.float32)
    labels = np.arange(90_000) % 3
    labels[:6] = 0
    values = places[labels]
    # One code alone, and one of another class at the place of thousands.
    values[0], values[1] = [-3, 9], [5, 9]
    figure = map_figure(Codes(values, labels, PROVENANCE), "codes.npy")
    (image,) = figure.axes[0].images
    picture = np.asarray(image.get_array())
    left, right, bottom, top = image.get_extent()
    rows, columns = picture.shape[:2]

    def dot(x: float, y: float) -> Any:
        column = int((x - left) / (right - left) * columns + 1e-3)
        row = int((y - bottom) / (top - bottom) * rows + 1e-3)
        return picture[row, column]

    classes = Classes(labels, None)
    for (x, y), color in zip(places, (0, 1, 2), strict=True):
        np.testing.assert_allclose(dot(x, y)[:3], to_rgb(classes.color(color)), atol=1e-3)
        assert dot(x, y)[3] > 0.99
    np.testing.assert_allclose(dot(-3, 9)[:3], to_rgb(classes.color(0)), atol=1e-6)
    assert 0.1 < dot(-3, 9)[3] < 0.5
    assert (picture[..., 3] > 0).sum() == 4 * 4
    assert _legend(figure) == ["zero", "one", "two"]


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("spread", [0, 1e-30, 1, 1e38])
def test_many_codes_of_any_spread_are_drawn(tmp_path: Path, spread: float, labelled: bool) -> None:
    values = (GENERATOR.uniform(-1, 1, (60_000, 2)) * spread).astype(np.float32)
    labels = np.arange(60_000) % 13 if labelled else None
    save_figure(map_figure(Codes(values, labels), "codes.npy"), tmp_path / "map.png")
    assert imread(tmp_path / "map.png").std() > 0
