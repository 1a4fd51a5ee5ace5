from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from aecli.plot.images import grid_figure, reconstructions_figure
from aecli.plot.save import save_figure

GENERATOR = np.random.default_rng(0)


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
    save_figure(grid_figure(np.tile(image, (1, 4, 4, 1))), tmp_path / "grid.png")
    pixels = imread(tmp_path / "grid.png")
    middle = pixels[len(pixels) // 2, len(pixels) // 2, :3]
    np.testing.assert_allclose(middle, np.broadcast_to(image, 3), atol=1 / 128)


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (7, 1), (10, 3)])
def test_a_grid_holds_every_image_in_whole_dots(tmp_path: Path, count: int, channels: int) -> None:
    images = np.zeros((count, 6, 5, channels), np.float32)
    save_figure(grid_figure(images), tmp_path / "grid.png")
    pixels = imread(tmp_path / "grid.png")[..., 0]
    columns = int(np.ceil(np.sqrt(count * 6 / 5)))
    zoom = round(1000 / (columns * 5))
    assert pixels.shape == (-(-count // columns) * 8 * zoom, columns * 7 * zoom)
    # Black images on white: as many black dots as their pixels take.
    assert (pixels < 0.5).sum() == count * 30 * zoom**2


def test_a_grid_is_read_row_by_row() -> None:
    images = np.broadcast_to(np.arange(7)[:, None, None, None] / 10, (7, 6, 5, 1))
    (grid,) = grid_figure(images.astype(np.float32)).axes[0].images
    middles = np.asarray(grid.get_array())[4::8, 3::7]
    np.testing.assert_allclose(middles, [[0, 0.1, 0.2], [0.3, 0.4, 0.5], [0.6, 1, 1]], atol=1e-6)
