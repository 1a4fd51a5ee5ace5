from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from aecli.errors import InputError
from aecli.pca import pca_projection
from aecli.plot.colors import (
    GREY,
    PALETTE,
    UNLABELLED,
    Classes,
    ContinuousColors,
)
from aecli.plot.maps import map_figure, maps_figure
from aecli.plot.save import save_figure
from aecli.run.codes import Codes

GENERATOR = np.random.default_rng(0)
PROVENANCE = {"data": "mnist", "split": "test", "class_names": ["zero", "one", "two"]}


def _codes(dimensions: int, classes: int | None = 3, provenance: Any = PROVENANCE) -> Codes:
    values = GENERATOR.normal(size=(120, dimensions)).astype(np.float32)
    labels = None if classes is None else np.arange(120) % classes
    return Codes(values, labels, provenance)


def _places(axes: Any) -> Any:
    """Return where markers are, (n, d), in the order of drawing."""
    if axes.name == "3d":
        return np.concatenate([np.transpose(part._offsets3d) for part in axes.collections])
    return np.concatenate([np.ma.getdata(part.get_offsets()) for part in axes.collections])


def _colors(axes: Any) -> Any:
    """Return the colours of markers, (n, 3), in the order of drawing."""
    # Before it is drawn, get_facecolor of a 3-D collection leaves out the last marker.
    parts = [(len(part.get_offsets()), part._facecolors[:, :3]) for part in axes.collections]
    return np.concatenate([np.broadcast_to(colors, (rows, 3)) for rows, colors in parts])


def _legend(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def _sorted(values: Any) -> Any:
    return values[np.lexsort(values.T)]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_code_is_drawn_at_its_place_and_every_class_named(dimensions: int) -> None:
    codes = _codes(dimensions)
    figure = map_figure(codes, "codes.npy")
    np.testing.assert_array_equal(_sorted(_places(figure.axes[0])), _sorted(codes.values))
    assert _legend(figure) == ["zero", "one", "two"]


@pytest.mark.parametrize("dimensions", [4, 10])
def test_more_dimensions_are_drawn_as_principal_components(dimensions: int) -> None:
    codes = _codes(dimensions)
    figure = map_figure(codes, "codes.npy")
    expected, _ = pca_projection(codes.values, 2)
    np.testing.assert_array_equal(_sorted(_places(figure.axes[0])), _sorted(expected))
    assert figure.axes[0].get_xlabel() == "principal component 1"
    assert figure.axes[0].get_ylabel() == "principal component 2"


def test_titles_say_what_is_drawn() -> None:
    titles = [map_figure(_codes(d), "codes.npy").axes[0].get_title() for d in (2, 3, 10)]
    assert titles[0] == "mnist test: 120 codes, 2-D"
    assert titles[1] == "mnist test: 120 codes, 3-D"
    assert titles[2].startswith("mnist test: 120 codes, 10-D\nfirst 2 principal components, ")
    assert map_figure(_codes(2, provenance=None), "mine.npy").axes[0].get_title() == (
        "mine.npy: 120 codes, 2-D"
    )
    one = map_figure(Codes(np.zeros((1, 2), np.float32)), "mine.npy")
    assert one.axes[0].get_title() == "mine.npy: 1 code, 2-D"


def test_axes_are_named() -> None:
    plane, space = (map_figure(_codes(d), "").axes[0] for d in (2, 3))
    assert (plane.get_xlabel(), plane.get_ylabel()) == ("code 1", "code 2")
    labels = (space.get_xlabel(), space.get_ylabel(), space.get_zlabel())  # type: ignore[attr-defined]
    assert labels == ("code 1", "code 2", "code 3")


@pytest.mark.parametrize(("dimensions", "aspect"), [(2, 1), (3, "equal")])
def test_maps_have_equal_scale_in_all_directions(dimensions: int, aspect: Any) -> None:
    assert map_figure(_codes(dimensions), "").axes[0].get_aspect() == aspect


def test_one_number_a_code_gives_a_histogram_for_each_class() -> None:
    values = np.array([0, 0, 0, 8, 1, 1, 8, 5], np.float32)[:, None]
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    axes = map_figure(Codes(values, labels, PROVENANCE), "").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["two", "one", "zero"]
    rows = [patch.get_data() for patch in axes.patches]  # type: ignore[attr-defined]
    # Bins are a tenth wide; the first class is at the top; each row is 0.9 high.
    for row, floor, peak, heights in zip(
        rows[::-1], (2, 1, 0), (0, 1, 5), ({0: 3, 8: 1}, {1: 2, 8: 1}, {5: 1}), strict=True
    ):
        assert (row.baseline, row.edges[0], row.edges[-1]) == (floor, 0, 8)
        expected = np.zeros(80)
        for value, count in heights.items():
            expected[min(value * 10, 79)] = 0.9 * count / heights[peak]
        np.testing.assert_allclose(row.values - floor, expected)


def test_one_number_a_code_without_labels_gives_one_histogram() -> None:
    axes = map_figure(_codes(1, classes=None), "").axes[0]
    assert axes.patches[0].get_data().values.sum() == 120  # type: ignore[attr-defined]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("code 1", "codes")


@pytest.mark.parametrize("dimensions", [2, 3, 5])
def test_codes_without_labels_have_one_colour_and_no_legend(dimensions: int) -> None:
    figure = map_figure(_codes(dimensions, classes=None), "")
    assert _legend(figure) == []
    assert (_colors(figure.axes[0]) == to_rgb(UNLABELLED)).all()
    assert len(_colors(figure.axes[0])) == 120


def test_each_round_of_the_palette_has_markers_of_its_own() -> None:
    codes = _codes(2, classes=60)
    figure = map_figure(codes, "")
    np.testing.assert_array_equal(_sorted(_places(figure.axes[0])), _sorted(codes.values))
    rounds = [len(part.get_offsets()) for part in figure.axes[0].collections]  # type: ignore[arg-type]
    assert rounds == [2 * len(PALETTE), 2 * len(PALETTE), 120 - 4 * len(PALETTE)]
    shapes = {part.get_paths()[0].vertices.tobytes() for part in figure.axes[0].collections}  # type: ignore[union-attr]
    assert len(shapes) == 3
    assert len(_legend(figure)) == 60


@pytest.mark.parametrize("rows", [20_000, 60_000])
def test_shapes_are_seen_where_dots_are_too_small_for_them(rows: int) -> None:
    labels = np.arange(rows) % 60
    values = GENERATOR.normal(size=(rows, 2)).astype(np.float32)
    axes = map_figure(Codes(values, labels), "").axes[0]
    marks = [part for part in axes.collections if part.get_sizes()[0] > 9]  # type: ignore[attr-defined]
    assert len({part.get_paths()[0].vertices.tobytes() for part in marks}) == 3  # type: ignore[union-attr]
    colors = np.concatenate([np.asarray(part.get_facecolors())[:, :3] for part in marks])  # type: ignore[attr-defined]
    # Twelve of each class, all at places of codes.
    expected = np.array([to_rgb(PALETTE[i % len(PALETTE)]) for i in range(60)] * 12)
    np.testing.assert_allclose(_sorted(colors), _sorted(expected))
    places = np.concatenate([np.asarray(part.get_offsets()) for part in marks])
    assert {tuple(place) for place in places} <= {tuple(v) for v in values.astype(np.float64)}


def test_codes_have_the_colour_of_their_class() -> None:
    values = np.array([[0, 0], [10, 0], [20, 0]], np.float32)
    axes = map_figure(Codes(values, np.array([2, 0, 1])), "").axes[0]
    order = _places(axes)[:, 0].argsort()
    np.testing.assert_allclose(_colors(axes)[order], [to_rgb(PALETTE[i]) for i in (2, 0, 1)])


def test_no_class_covers_the_others() -> None:
    labels = np.repeat([0, 1], 500)
    codes = Codes(GENERATOR.normal(size=(1000, 2)).astype(np.float32), labels)
    first, again = (map_figure(codes, "").axes[0] for _ in range(2))
    drawn = (_colors(first) == to_rgb(PALETTE[0])).all(axis=1)
    # Classes alternate as often as in a random order: 499.5 times, standard deviation 15.8.
    assert 420 < (drawn[1:] != drawn[:-1]).sum() < 580
    np.testing.assert_array_equal(_places(first), _places(again))


def test_more_classes_than_a_legend_holds_are_counted() -> None:
    assert len(_legend(map_figure(_codes(2, classes=100), ""))) == 100
    values = GENERATOR.normal(size=(1000, 2)).astype(np.float32)
    # Those of the most codes are shown.
    labels = np.minimum(np.arange(1000), 300)
    figure = map_figure(Codes(values, labels), "")
    legend = _legend(figure)
    assert "300" in legend
    assert legend[-1] == f"and {301 - (len(legend) - 1)} more"
    assert figure.axes[0].get_title().endswith(", 301 classes")
    assert not figure.axes[0].texts
    histograms = map_figure(_codes(1, classes=100), "").axes[0]
    assert not {text.get_text() for text in histograms.get_yticklabels()} & {"zero", "99"}


@pytest.mark.parametrize("dimensions", [2, 3, 5])
def test_codes_are_coloured_by_numbers_in_place_of_their_labels(dimensions: int) -> None:
    codes = _codes(dimensions)
    plain = _places(map_figure(codes, "").axes[0])
    color_by = ContinuousColors("some number", GENERATOR.random(120, np.float32))
    figure = map_figure(codes, "", color_by)
    np.testing.assert_array_equal(_sorted(_places(figure.axes[0])), _sorted(plain))
    assert _legend(figure) == []
    assert list(figure.axes[0].texts) == []
    (bar,) = figure.axes[1:]
    assert bar.get_ylabel() == "some number"
    if dimensions < 5:
        order = [np.abs(codes.values - at).sum(axis=1).argmin() for at in _places(figure.axes[0])]
        np.testing.assert_allclose(_colors(figure.axes[0]), color_by.colors()[order])


def test_histograms_cannot_be_coloured_by_numbers() -> None:
    color_by = ContinuousColors("some number", np.zeros(120, np.float32))
    with pytest.raises(InputError, match="needs codes of at least 2 numbers"):
        map_figure(_codes(1), "", color_by)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
@pytest.mark.parametrize("values", [np.zeros((1, 5)), np.ones((4, 5)), np.full((2, 5), 1e38)])
def test_codes_without_any_spread_are_drawn(
    tmp_path: Path, dimensions: int, values: np.ndarray[Any, Any]
) -> None:
    codes = Codes(values[:, :dimensions].astype(np.float32), np.arange(len(values)))
    figure = map_figure(codes, "codes.npy")
    save_figure(figure, tmp_path / "map.png")
    assert imread(tmp_path / "map.png").shape == (1120, 1280, 4)
    # Principal components of equal codes are 0.
    place = np.zeros(2) if dimensions > 3 else codes.values[0]
    axes: Any = figure.axes[0]
    limits = [axes.get_xlim()] + ([axes.get_ylim()] if dimensions > 1 else [])
    for at, (low, high) in zip(place, limits, strict=False):
        assert low < at < high
    if dimensions == 1:
        edges = axes.patches[0].get_data().edges
        assert edges[0] < codes.values[0, 0] < edges[-1]


def test_names_are_not_formulas(tmp_path: Path) -> None:
    names = {"data": "a$\\bad$", "split": "test", "class_names": ["$x", "y$", "$z$"]}
    save_figure(map_figure(_codes(2, provenance=names), ""), tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text()
    for name in ("a$\\bad$ test", "$x", "y$", "$z$"):
        assert f">{name}" in text


@pytest.mark.parametrize("dimensions", [2, 3])
def test_some_thousand_markers_in_svg_are_shapes_and_more_are_a_bitmap(
    tmp_path: Path, dimensions: int
) -> None:
    for rows, images, uses in ((3_000, 0, range(3_000, 3_200)), (6_000, 1, range(200))):
        codes = Codes(GENERATOR.normal(size=(rows, dimensions)).astype(np.float32))
        save_figure(map_figure(codes, ""), tmp_path / "map.svg", replace=True)
        svg = (tmp_path / "map.svg").read_text()
        assert (svg.count("<image"), svg.count("<use") in uses) == (images, True)


def test_many_codes_are_counted_into_cells_of_their_colour_and_place() -> None:
    places = np.array([[-3, 0], [5, 1], [5, 9]], np.float32)
    labels = np.arange(90_000) % 3
    labels[:6] = 0
    values = places[labels]
    # One code alone, and one of another class at the place of thousands.
    values[0], values[1] = [-3, 9], [5, 9]
    figure = map_figure(Codes(values, labels, PROVENANCE), "codes.npy")
    (image,) = figure.axes[0].images
    bitmap = np.asarray(image.get_array())
    assert image.origin == "lower"
    left, right, bottom, top = image.get_extent()
    rows, columns = bitmap.shape[:2]

    def cell(x: float, y: float) -> Any:
        column = int((x - left) / (right - left) * columns + 1e-3)
        row = int((y - bottom) / (top - bottom) * rows + 1e-3)
        return bitmap[row, column]

    classes = Classes(labels, None)
    for (x, y), color in zip(places, (0, 1, 2), strict=True):
        np.testing.assert_allclose(cell(x, y)[:3], to_rgb(classes.color(color)), atol=1e-3)
        assert cell(x, y)[3] > 0.99
    np.testing.assert_allclose(cell(-3, 9)[:3], to_rgb(classes.color(0)), atol=1e-6)
    assert 0.3 < cell(-3, 9)[3] < 0.5
    assert (bitmap[..., 3] > 0).sum() == 4 * 4
    assert _legend(figure) == ["zero", "one", "two"]


def test_cells_have_the_colours_of_classes_and_the_mean_of_numbers() -> None:
    values = GENERATOR.uniform(size=(60_000, 2)).astype(np.float32) * 0.02
    values[0] = 1
    labels = (np.arange(60_000) % 4 == 0).astype(np.int64)
    bitmap = np.asarray(map_figure(Codes(values, labels), "").axes[0].images[0].get_array())
    drawn = bitmap[bitmap[..., 3] > 0][:, :3]
    zero, one = (np.array(to_rgb(PALETTE[i])) for i in (0, 1))
    is_one = np.abs(drawn - one).max(axis=1) < 1e-6
    assert (is_one | (np.abs(drawn - zero).max(axis=1) < 1e-6)).all()
    # As often as there are codes of the class.
    assert 0.15 < is_one.mean() < 0.35
    numbers = ContinuousColors("number", labels.astype(np.float32) * 2)
    figure = map_figure(Codes(np.zeros((60_000, 2), np.float32)), "", numbers)
    bitmap = np.asarray(figure.axes[0].images[0].get_array())
    ((mean,),) = numbers.colors_of(np.array([[0.5]]))
    np.testing.assert_allclose(np.unique(bitmap[bitmap[..., 3] > 0][:, :3], axis=0)[0], mean, 1e-5)


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("spread", [0, 1e-42, 1e-30, 1, 1e38])
def test_many_codes_of_any_spread_are_drawn(tmp_path: Path, spread: float, labelled: bool) -> None:
    values = (GENERATOR.uniform(-1, 1, (60_000, 2)) * spread).astype(np.float32)
    labels = np.arange(60_000) % 13 if labelled else None
    figure = map_figure(Codes(values, labels), "codes.npy")
    bitmap = np.asarray(figure.axes[0].images[0].get_array())
    assert np.isfinite(bitmap).all()
    assert max(bitmap.shape[:2]) <= 1_200
    # Each code is four cells; those without any spread share theirs.
    cells = (bitmap[..., 3] > 0).sum()
    assert cells > 10_000 if spread else cells == 4
    save_figure(figure, tmp_path / "map.png")
    coloured = (imread(tmp_path / "map.png")[:, :1000, :3] < 0.9).any(axis=2).mean()
    assert coloured > (0.15 if spread else 0)


@pytest.mark.parametrize("value", [0, -5e6, 1e38])
def test_many_equal_codes_are_one_square(value: float) -> None:
    figure = map_figure(Codes(np.full((60_000, 2), value, np.float32)), "codes.npy")
    (image,) = figure.axes[0].images
    left, right, bottom, top = image.get_extent()
    assert left < right
    assert bottom < top
    opacity = np.asarray(image.get_array())[..., 3]
    down, across = np.nonzero(opacity)
    assert [len(down), int(np.ptp(down)), int(np.ptp(across))] == [4, 1, 1]
    assert opacity.max() > 0.99


def test_maps_stand_side_by_side_in_the_same_colours() -> None:
    flat, deep = (GENERATOR.normal(size=(30, d)).astype(np.float32) for d in (2, 5))
    labels = np.arange(30) % 3
    figure = maps_figure([("one", flat), ("other", deep)], labels, ["a", "b", "c"])
    assert [axes.get_title() for axes in figure.axes] == ["one", "other"]
    for axes, values in zip(figure.axes, (flat, pca_projection(deep, 2)[0]), strict=True):
        places = _places(axes)
        order = [np.abs(values - at).sum(axis=1).argmin() for at in places]
        np.testing.assert_array_equal(places, values[order])
        np.testing.assert_allclose(
            _colors(axes), [to_rgb(PALETTE[label]) for label in labels[order]]
        )
        assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
        assert (len(axes.get_xticks()), len(axes.get_yticks())) == (0, 0)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5, 1_100])
@pytest.mark.parametrize("size", [1e-42, 1e30, 3e38])
@pytest.mark.filterwarnings("error")
def test_codes_of_any_size_are_drawn_at_their_places(
    tmp_path: Path, dimensions: int, size: float
) -> None:
    values = (GENERATOR.uniform(-1, 1, (90, dimensions)) * size).astype(np.float32)
    figure = map_figure(Codes(values, np.arange(90) % 3), "codes.npy")
    save_figure(figure, tmp_path / "map.png")
    axes: Any = figure.axes[0]
    if dimensions == 1:
        assert np.ptp(axes.patches[0].get_data().edges) == pytest.approx(
            float(np.ptp(values.astype(np.float64)))
        )
        return
    places = _places(axes)
    assert np.isfinite(places).all()
    # They fill the axes.
    low, high = axes.get_xlim()
    assert 0.5 < np.ptp(places[:, 0]) / (high - low) < 1


@pytest.mark.parametrize("dimensions", [1, 2])
def test_thousands_of_classes_are_drawn_with_few_artists(dimensions: int) -> None:
    values = GENERATOR.normal(size=(20_000, dimensions)).astype(np.float32)
    axes = map_figure(Codes(values, 2**62 + np.arange(20_000)), "").axes[0]
    assert axes.get_title().endswith(", 20,000 classes")
    assert len(axes.patches) + len(axes.collections) < 100


@pytest.mark.parametrize("dimensions", [2, 3])
def test_codes_without_a_class_are_grey_beneath_the_others(dimensions: int) -> None:
    codes = _codes(dimensions)
    labels = np.arange(120) % 4 - 1
    figure = map_figure(Codes(codes.values, labels, PROVENANCE), "codes.npy")
    colors = _colors(figure.axes[0])
    assert (colors[:30] == to_rgb(GREY)).all()
    assert not (colors[30:] == to_rgb(GREY)).all(axis=1).any()
    assert _legend(figure) == ["zero", "one", "two", "unknown: 30"]
    assert "unknown: 30" not in [text.get_text() for text in figure.axes[0].texts]


def test_codes_without_a_class_have_a_histogram_of_their_own() -> None:
    axes = map_figure(Codes(_codes(1).values, np.arange(120) % 3 - 1), "").axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["unknown: 40", "1", "0"]


def test_cells_have_the_colour_of_the_codes_that_have_a_class() -> None:
    values = np.zeros((60_000, 2), np.float32)
    values[0] = 1
    labels = np.where(np.arange(60_000) % 4 == 1, 0, -1)
    bitmap = np.asarray(map_figure(Codes(values, labels), "").axes[0].images[0].get_array())
    drawn = bitmap[bitmap[..., 3] > 0][:, :3]
    np.testing.assert_allclose(drawn[:4], [to_rgb(PALETTE[0])] * 4, atol=1e-6)
    np.testing.assert_allclose(drawn[4:], [to_rgb(GREY)] * 4, atol=1e-6)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_codes_of_which_no_class_is_known_are_drawn(dimensions: int) -> None:
    figure = map_figure(Codes(_codes(dimensions).values, np.full(120, -1)), "codes.npy")
    assert _legend(figure) == ([] if dimensions == 1 else ["unknown: 120"])
