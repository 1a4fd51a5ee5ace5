"""Pictures that need a decoder or images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from aecli.cli import main
from aecli.data import open_dataset
from aecli.encode import decode, image_errors, load_model
from aecli.errors import InputError
from aecli.plot.kinds import PLOTS
from aecli.plot.options import PlotOptions
from aecli.run.checkpoint import load
from aecli.run.codes import read_codes


@pytest.fixture(scope="module")
def run(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with codes."""
    folder = tmp_path_factory.mktemp("pictures") / "run"
    shutil.copytree(digits_run, folder)
    assert main(["encode", str(folder), "--quiet"]) == 0
    return folder


def _drawn(figure: Figure) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(figure.axes[0].images[0].get_array())


def test_the_grid_has_what_the_decoder_makes_of_each_place(run: Path) -> None:
    figure = PLOTS["grid"].draw(run, PlotOptions(count=6))
    drawn = _drawn(figure)
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    columns = 6 if right - left >= top - bottom else round(6 * (right - left) / (top - bottom))
    side = drawn.shape[1] // columns
    cell = (right - left) / columns
    codes = read_codes(run / "codes.npy").values
    model = load_model(load(run / "best.safetensors"))
    found = 0
    for row in range(drawn.shape[0] // side):
        for column in range(columns):
            place = np.array([left + (column + 0.5) * cell, top - (row + 0.5) * cell], np.float32)
            if (np.abs(codes - place) < cell / 2).all(axis=1).any():
                expected = decode(model, place[np.newaxis])[0, ..., 0]
                step = side // 8
                tile = drawn[row * side : (row + 1) * side, column * side : (column + 1) * side, 0]
                shown = tile[step // 2 :: step, step // 2 :: step] / 255
                np.testing.assert_allclose(shown, expected, atol=0.02)
                found += 1
    assert found >= 4


def test_thumbnails_are_images_at_their_places_in_the_colour_of_their_class(run: Path) -> None:
    said: list[str] = []
    figure = PLOTS["thumbnails"].draw(run, PlotOptions(count=12, say=said.append))
    assert "of 360 images, one for each cell that holds some" in said[-1]
    drawn = _drawn(figure)
    assert drawn.ndim == 3
    assert len(figure.legends[0].get_texts()) == 10
    # Frames have colours, images are grey, and there is ground between them.
    colored = (drawn.max(axis=2).astype(int) - drawn.min(axis=2)) > 60
    assert 0.01 < colored.mean() < 0.6
    assert (drawn == 255).all(axis=2).mean() > 0.1


def test_a_walk_begins_and_ends_at_the_decoded_ends(run: Path) -> None:
    drawn = _drawn(PLOTS["walk"].draw(run, PlotOptions(start="0", end="3", count=5)))
    codes = read_codes(run / "codes.npy").values
    expected = decode(load_model(load(run / "best.safetensors")), codes[[0, 3]])[..., 0]
    side = drawn.shape[0]
    step = side // 8
    for tile, image in ((drawn[:, :side], expected[0]), (drawn[:, -side:], expected[1])):
        shown = tile[step // 2 :: step, step // 2 :: step, 0] / 255
        np.testing.assert_allclose(shown, image, atol=0.02)


def test_a_traversal_has_a_row_for_each_number(run: Path) -> None:
    figure = PLOTS["traverse"].draw(run, PlotOptions(count=4))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["code 1", "code 2"]


def test_the_worst_come_first(run: Path) -> None:
    figure = PLOTS["worst"].draw(run, PlotOptions(count=3))
    errors = image_errors(load(run / "best.safetensors"), open_dataset("digits"), "test")
    worst = np.argsort(-errors)[:3]
    names = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert names == [f"row {row}\n{errors[row]:.3g}" for row in worst]


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("walk", PlotOptions(start="0"), "needs --from and --to"),
        ("walk", PlotOptions(start="0", end="999"), "--to 999: there are 360 codes"),
        ("walk", PlotOptions(start="0", end="1", count=1), "--count must lie in 2..50"),
        ("grid", PlotOptions(count=500), "--count must lie in 2..100"),
        ("grid", PlotOptions(start="1"), "--from means nothing to --kind grid"),
        ("worst", PlotOptions(count=0), "--count must lie in 1..200"),
        ("history", PlotOptions(count=3), "--count means nothing to --kind history"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    kind: str, options: PlotOptions, words: str, run: Path
) -> None:
    with pytest.raises(InputError, match=words):
        PLOTS[kind].draw(run, options)


def test_codes_without_a_run_have_no_decoder_and_no_images(tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", np.zeros((4, 2), np.float32))
    for kind, words in (("grid", "has no decoder"), ("thumbnails", "not at hand")):
        with pytest.raises(InputError, match=words):
            PLOTS[kind].draw(tmp_path / "codes.npy", PlotOptions())
