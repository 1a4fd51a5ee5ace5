"""Maps as people have them: many classes, long names, codes far out, parts of a data set."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from aecli.errors import InputError
from aecli.plot.colors import GREY, PALE_GREY, PALETTE, Classes, ContinuousColors
from aecli.plot.kinds import PLOTS
from aecli.plot.maps import Background, MapStyle, map_figure
from aecli.plot.options import PlotOptions
from aecli.run.codes import Codes

LONG = "a class whose name somebody wrote out in full, with its source and its year, {}"


def _map(classes: int, names: list[str] | None = None, rows: int = 3_000) -> Figure:
    """Draw overlapping classes of normal codes, each around a random middle."""
    chance = np.random.default_rng(classes)
    labels = np.arange(rows) % classes
    middles = chance.normal(size=(classes, 2)) * 8
    values = (middles[labels] + chance.normal(size=(rows, 2))).astype(np.float32)
    return map_figure(Codes(values, labels, None, tuple(names) if names else None), "map.npy")


def _boxes(figure: Figure) -> Any:
    """Return left, bottom, right and top of the names on a map, in dots."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    return np.array([text.get_window_extent(renderer).extents for text in figure.axes[0].texts])


def _legend(figure: Figure) -> dict[str, tuple[str, str]]:
    """Return the colour and the marker of each name in the legend."""
    (legend,) = figure.legends
    return {
        text.get_text(): (to_hex(handle.get_color()), handle.get_marker())  # type: ignore[union-attr]
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }


@pytest.mark.parametrize("classes", [13, 30, 100])
def test_every_class_can_be_told_apart_or_found(classes: int) -> None:
    figure = _map(classes)
    legend = _legend(figure)
    assert list(legend) == [str(i) for i in range(classes)]
    assert len(set(legend.values())) == classes
    assert len({color for color, _ in legend.values()}) == min(classes, 22)
    boxes = _boxes(figure)
    assert len(boxes) >= 0.95 * classes
    # A stroke of white around the letters may touch, but not the letters themselves.
    overlaps = (boxes[:, None, :2] < boxes[None, :, 2:] - 1).all(axis=2)
    overlaps &= (boxes[:, None, 2:] - 1 > boxes[None, :, :2]).all(axis=2)
    np.testing.assert_array_equal(overlaps, np.eye(len(boxes), dtype=bool))
    place = np.array(figure.axes[0].get_window_extent().extents)
    assert (boxes[:, :2] > place[:2] - 3).all()
    assert (boxes[:, 2:] < place[2:] + 3).all()


@pytest.mark.parametrize("classes", [2, 12, 60])
def test_the_map_keeps_its_size_whatever_the_names(classes: int) -> None:
    short = _map(classes)
    long = _map(classes, [LONG.format(1900 + i) for i in range(classes)])
    sizes = [figure.get_size_inches().tolist() for figure in (short, long)]
    places = [figure.axes[0].get_window_extent().bounds for figure in (short, long)]
    assert sizes[0] == sizes[1]
    assert places[0] == places[1]
    assert places[0] == pytest.approx(_map(2).axes[0].get_window_extent().bounds)
    assert short.axes[0].get_xlim() == long.axes[0].get_xlim()
    # Each name is a different one, and the legend stays within the picture.
    texts = list(_legend(long))
    assert len(set(texts)) == classes
    canvas = FigureCanvasAgg(long)
    canvas.draw()  # type: ignore[no-untyped-call]
    box = long.legends[0].get_window_extent(canvas.get_renderer())  # type: ignore[no-untyped-call]
    assert places[0][0] + places[0][2] < box.x0
    assert box.x1 <= sizes[1][0] * 160
    assert box.y0 >= 0


def test_codes_far_out_are_marked_at_the_border_and_counted_in_a_line() -> None:
    values = np.random.default_rng(0).normal(size=(3_000, 2)).astype(np.float32)
    values[0], values[1] = 4_000, (-3_000, 0)
    said: list[str] = []
    axes: Any = map_figure(Codes(values), "far.npy", say=said.append).axes[0]
    assert said == [
        "2 of 3,000 codes lie far out, marked at the border: --limits all shows everything"
    ]
    assert axes.get_title().endswith("\n2 of 3,000 codes lie far out: marked at the border")
    assert max(map(abs, (*axes.get_xlim(), *axes.get_ylim()))) < 10
    marks = [part for part in axes.collections if not part.get_clip_on()]
    places = np.concatenate([np.asarray(part.get_offsets()) for part in marks])
    expected = [(axes.get_xlim()[0], 0), (axes.get_xlim()[1], axes.get_ylim()[1])]
    np.testing.assert_allclose(places[places[:, 0].argsort()], expected)
    everything: Any = map_figure(
        Codes(values), "", style=MapStyle(everything=True), say=said.append
    ).axes[0]
    assert everything.get_xlim()[1] > 4_000
    assert len(said) == 1


def test_a_class_has_its_colour_whichever_others_are_drawn() -> None:
    labels = np.arange(90) % 10
    values = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    some = labels >= 3
    ten = tuple("0123456789")
    expected = dict(zip(ten, PALETTE, strict=False))
    for names, run in ((None, None), (ten, None), (None, ten)):
        origin = {"data": "a", "split": "b", "class_names": names, "run_classes": run}
        figure = map_figure(Codes(values[some], labels[some], origin), "")
        drawn = {name: color for name, (color, _) in _legend(figure).items()}
        assert drawn == {name: expected[name] for name in ten[3:]}
    # Another data set, whose classes are only some of the run's.
    origin = {"data": "a", "split": "b", "class_names": ten[3:], "run_classes": ten}
    figure = map_figure(Codes(values[some], labels[some] - 3, origin), "")
    drawn = {name: color for name, (color, _) in _legend(figure).items()}
    assert drawn == {name: expected[name] for name in ten[3:]}


def test_new_codes_lie_over_others_in_grey() -> None:
    chance = np.random.default_rng(0)
    values = chance.normal(size=(50, 2)).astype(np.float32)
    beneath = chance.normal(size=(400, 2)).astype(np.float32) * 5
    codes = Codes(values, np.arange(50) % 2 - 1)
    figure = map_figure(codes, "new.npy", over=Background(beneath, "codes-train.npy"))
    legend = {"".join(name.split()): color for name, (color, _) in _legend(figure).items()}
    assert legend == {
        "0": PALETTE[0],
        "unknown:25": GREY,
        "codes-train.npy:400": PALE_GREY,
    }
    lowest: Any = figure.axes[0].collections[0]
    assert to_hex(lowest.get_facecolor()[0]) == PALE_GREY
    assert len(lowest.get_offsets()) == 400
    low, high = figure.axes[0].get_xlim()
    assert low < beneath[:, 0].min()
    assert high > beneath[:, 0].max()
    with pytest.raises(InputError, match="codes of 2 numbers cannot lie over"):
        map_figure(codes, "", over=Background(np.zeros((4, 3)), "others.npy"))


def test_a_colour_bar_says_where_it_is_cut() -> None:
    values = np.random.default_rng(0).normal(size=(1_000, 2)).astype(np.float32)
    numbers = np.linspace(0, 1, 1_000, dtype=np.float32)
    plain = map_figure(Codes(values), "", ContinuousColors("number", numbers))
    assert not plain.axes[1].texts
    numbers[-3:] = 1e6
    bar = map_figure(Codes(values), "", ContinuousColors("number", numbers)).axes[1]
    below, above = (text.get_text() for text in bar.texts)
    assert (below, above) == ("10 below 0.01", "10 above 0.99")


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    np.save(tmp_path / "codes.npy", values)
    np.save(tmp_path / "codes.labels.npy", np.array(["one", "two", "three"])[np.arange(60) % 3])
    rows = "\n".join(f"{i / 7},{'ab'[i % 2]},{1950 + i}" for i in range(60))
    (tmp_path / "table.csv").write_text(f"age,site,year\n{rows}\n")
    np.save(tmp_path / "age.npy", np.arange(60) / 7)
    return tmp_path / "codes.npy"


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("age.npy", "age.npy"),
        ("table.csv:age", "age"),
        ("table.csv:year", "year"),
        ("table.csv:site", ["a", "b"]),
    ],
)
def test_codes_are_coloured_by_a_file(codes: Path, file: str, shown: str | list[str]) -> None:
    figure = PLOTS["map"].draw(codes, PlotOptions(color_by=str(codes.parent / file)))
    if isinstance(shown, str):
        assert figure.axes[1].get_ylabel() == shown
    else:
        assert list(_legend(figure)) == shown


def test_highlighted_classes_keep_their_colour_over_grey(codes: Path) -> None:
    figure = PLOTS["map"].draw(codes, PlotOptions(highlight="two, one"))
    colors = dict(zip(("one", "three", "two"), PALETTE, strict=False))
    assert {name: color for name, (color, _) in _legend(figure).items()} == {
        "one": colors["one"],
        "two": colors["two"],
        "others: 20": GREY,
    }
    assert {text.get_text() for text in figure.axes[0].texts} <= {"one", "two"}


def test_size_resolution_dots_names_and_title_can_be_chosen(codes: Path) -> None:
    options = PlotOptions(size="5x4", dpi=100, dot_size=7, no_names=True, title="Mine")
    figure = PLOTS["map"].draw(codes, options)
    assert (figure.get_size_inches().tolist(), figure.dpi) == ([5, 4], 100)
    axes: Any = figure.axes[0]
    assert [part.get_sizes().tolist() for part in axes.collections] == [[49]]
    assert (axes.get_title(), len(axes.texts)) == ("Mine", 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"color_by": "trusty"}, "--color-by trusty: expected label, trust, error, moved, or a"),
        ({"color_by": "table.csv:ag"}, "has no column ag: expected one of age, site, year"),
        ({"color_by": "table.csv:age", "highlight": "one"}, "--highlight names classes"),
        ({"highlight": "one,four"}, "no class 'four': expected some of one, three, two"),
        ({"highlight": ","}, "no class ','"),
        ({"size": "8"}, "--size '8': expected WIDTHxHEIGHT in inches"),
        ({"size": "8x99"}, "--size '8x99'"),
        ({"size": "50x50", "dpi": 600}, "lower --dpi or --size"),
        ({"dpi": 5}, "--dpi must lie in 20..1200, got 5"),
        ({"dot_size": float("nan")}, r"--dot-size must lie in 0\.1..72, got nan"),
        ({"count": 3}, "--count means nothing to --kind map: leave it out, or .* thumbnails"),
        ({"over": Path("three.npy")}, r"cannot lie over three\.npy"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    codes: Path, options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(codes.parent)
    np.save("three.npy", np.zeros((4, 3)))
    with pytest.raises(InputError, match=words):
        PLOTS["map"].draw(codes, PlotOptions(**options))


def test_a_name_with_a_comma_can_be_highlighted() -> None:
    labels = np.array([0, 1])
    assert Classes(labels, ["a, b", "c"], None, {"a, b"}).names == ["a, b"]
