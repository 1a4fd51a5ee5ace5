from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from aecli.plot.images import Grid, grid_figure, plan_grid, reconstructions_figure
from aecli.plot.save import save_figure

GENERATOR = np.random.default_rng(0)


def _grid(images: Any) -> Figure:
    return grid_figure(images, plan_grid(*images.shape[:3]))


def test_reconstructions_stand_below_their_originals() -> None:
    originals = GENERATOR.random((4, 6, 5, 1), np.float32)
    figure = reconstructions_figure(originals, 1 - originals, "title")
    assert figure.get_suptitle() == "title"
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "original", "", "", "", "reconstruction", "", "", "",
    ]  # fmt: skip
    drawn = np.array([axes.images[0].get_array() for axes in figure.axes])
    np.testing.assert_array_equal(drawn, np.concatenate([originals, 1 - originals])[..., 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_keep_their_brightness_and_colour(tmp_path: Path, channels: int) -> None:
    image = np.linspace(0.2, 0.6, channels, dtype=np.float32)
    save_figure(_grid(np.tile(image, (1, 4, 4, 1))), tmp_path / "grid.png")
    pixels = imread(tmp_path / "grid.png")
    middle = pixels[len(pixels) // 2, len(pixels) // 2, :3]
    np.testing.assert_allclose(middle, np.broadcast_to(image, 3), atol=1 / 128)


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (7, 1), (10, 3)])
def test_a_grid_holds_every_image_in_whole_dots(tmp_path: Path, count: int, channels: int) -> None:
    images = np.zeros((count, 6, 5, channels), np.float32)
    save_figure(_grid(images), tmp_path / "grid.png")
    pixels = imread(tmp_path / "grid.png")[..., 0]
    columns = min(count, int(np.ceil(np.sqrt(count * 6 / 5))))
    zoom = round(1000 / (columns * 5))
    assert pixels.shape == (-(-count // columns) * 8 * zoom, columns * 7 * zoom)
    # Black images on white: as many black dots as their pixels take.
    assert (pixels < 0.5).sum() == count * 30 * zoom**2


def test_a_grid_is_read_row_by_row() -> None:
    images = np.broadcast_to(np.arange(7)[:, None, None, None] / 10, (7, 6, 5, 1))
    (grid,) = _grid(images.astype(np.float32)).axes[0].images
    middles = np.asarray(grid.get_array())[4::8, 3::7]
    np.testing.assert_allclose(middles, [[0, 0.1, 0.2], [0.3, 0.4, 0.5], [0.6, 1, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("available", "height", "width", "count", "drawn"),
    [
        (400, 28, 28, 400, (28, 28)),
        (100, 4_000, 4_000, 100, (286, 286)),
        (250, 512, 512, 250, (171, 171)),
        (10**9, 28, 28, 100**2, (28, 28)),
        (10**6, 512, 512, 45**2, (64, 64)),
        (1, 1, 100_000, 1, (1, 2_942)),
        (1, 100_000, 1, 1, (2_942, 1)),
        (9, 100_000, 1, 9, (2_942, 1)),
        (10**6, 1, 1, 10**6, (1, 1)),
    ],
)
def test_a_grid_shows_what_a_picture_has_room_for(
    available: int, height: int, width: int, count: int, drawn: tuple[int, int]
) -> None:
    grid = plan_grid(available, height, width)
    assert (grid.count, (grid.height, grid.width)) == (count, drawn)
    assert grid.rows * (grid.height + 2) <= 3_000
    assert grid.columns * (grid.width + 2) <= 3_000
    assert (grid.note is None) == (count == available and drawn == (height, width))


def test_a_grid_says_what_it_leaves_out() -> None:
    assert plan_grid(10**6, 512, 512).note == (
        "drew the first 2,025 of 1,000,000 images, 1 in 8x8 pixels: a picture has no room for more"
    )


@pytest.mark.parametrize(("height", "width"), [(1, 100_000), (100_000, 1)])
def test_images_of_any_shape_are_drawn(tmp_path: Path, height: int, width: int) -> None:
    images = np.zeros((2, height, width, 1), np.float32)
    save_figure(_grid(images), tmp_path / "grid.png")
    assert 2_900 < max(imread(tmp_path / "grid.png").shape) <= 3_000


def test_the_first_of_two_channels_is_red_and_the_second_green(tmp_path: Path) -> None:
    save_figure(_grid(np.full((1, 4, 4, 2), [0.25, 0.75], np.float32)), tmp_path / "grid.png")
    pixels = imread(tmp_path / "grid.png")
    middle = pixels[len(pixels) // 2, len(pixels) // 2, :3]
    np.testing.assert_allclose(middle, [0.25, 0.75, 0], atol=1 / 128)
    assert pixels[0, 0, :3].tolist() == [1, 1, 1]
    images = np.full((1, 4, 4, 2), 0.5, np.float32)
    drawn = reconstructions_figure(images, images, "").axes[0].images[0].get_array()
    assert np.asarray(drawn)[0, 0].tolist() == [0.5, 0.5, 0]


def test_only_as_many_images_are_asked_for_as_are_drawn() -> None:
    images = iter(np.zeros((3, 4, 4, 1), np.float32))
    grid_figure(images, Grid(9, 3, 3, 4, 4, 1, 1))
    assert next(images, None) is None
