import jax
import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose

from aecli.config import choose_recipe, fit_channels, with_settings
from aecli.errors import InputError
from aecli.model import network
from aecli.model.convolution import Patches, Upconvolution
from aecli.model.layers import Layer, Network
from aecli.model.parameters import initial_parameters

Floats = npt.NDArray[np.float32]
CONV = {"encoder": "conv", "decoder": "conv"}


def _network(shape: tuple[int, int, int], **settings: object) -> Network:
    return network(with_settings(choose_recipe("plain"), CONV | {"hidden": (9,)} | settings), shape)


def _convolved(values: Floats, kernel: Floats, stride: int) -> Floats:
    """Return a convolution with the padding SAME, as its definition says."""
    missing = [
        (-(-length // stride) - 1) * stride + kernel.shape[0] - length
        for length in values.shape[1:3]
    ]
    margins = [(0, 0), *((total // 2, total - total // 2) for total in missing), (0, 0)]
    padded = np.pad(values, margins)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    sums: Floats = np.einsum("nhwcij,ijcf->nhwf", windows[:, ::stride, ::stride], kernel)
    return sums


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_products_are_convolutions(part: str) -> None:
    layers: tuple[Layer, ...] = getattr(_network((9, 6, 3), channels=(5, 4)), part)
    generator = np.random.default_rng(1)
    for layer in layers:
        if isinstance(layer, Patches | Upconvolution):
            shapes = (7, *layer.input), layer.kernel
            values, kernel = (generator.standard_normal(shape, np.float32) for shape in shapes)
            found = jax.jit(layer.product)(values, kernel)
            if isinstance(layer, Patches):
                expected = _convolved(values, kernel, 2)
            else:
                height, width, _ = layer.output
                enlarged = values.repeat(2, axis=1).repeat(2, axis=2)
                expected = _convolved(enlarged, kernel, 1)[:, :height, :width]
            assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_grids_are_halved_and_doubled() -> None:
    layers = _network((33, 20, 3), channels=(5, 4))
    assert str(layers) == "1980-17x10x5-9x5x4-9-2, back by 9x5x4-17x10x5-33x20x3"
    sizes = [layer.output for layer in layers.decoder]
    assert sizes == [(9,), (9 * 5 * 4,), (17, 10, 5), (33, 20, 3)]


@pytest.mark.parametrize(
    ("side", "channels"),
    [(128, (1, 2, 3, 3, 3)), (64, (1, 2, 3, 3)), (32, (1, 2, 3)), (28, (1, 2, 3)), (8, (1,))],
)
def test_there_are_as_many_channels_as_the_images_have_room_for(
    side: int, channels: tuple[int, ...]
) -> None:
    assert fit_channels((1, 2, 3), side) == channels
    # A conv decoder alone finds its own; the encoder stays one of patches.
    layers = _network((side, side + 1, 3))
    assert len(layers.decoder) == 2 + len(channels)
    assert layers.encoder[0].title == "encoder patches"


@pytest.mark.parametrize(
    ("shape", "channels", "words"),
    [
        ((5, 4, 1), (8, 8, 8), "images of 5x4 have room for 2: expected fewer"),
        ((1, 64, 1), (), "images of 1x64 have room for none: choose --encoder dense"),
    ],
)
def test_too_many_halvings_are_refused(
    shape: tuple[int, int, int], channels: tuple[int, ...], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        _network(shape, channels=channels)


def test_convolutions_are_not_normalized() -> None:
    layers = _network((8, 8, 1), channels=(4,), normalize=True)
    assert [layer.normalize for layer in layers.encoder] == [False, True, False]
    assert [layer.normalize for layer in layers.decoder] == [True, True, False]


def test_the_first_image_has_the_mean_of_each_channel() -> None:
    mean = np.random.default_rng(1).random((9, 6, 3), np.float32)
    config = with_settings(choose_recipe("plain"), CONV | {"output": "linear", "channels": (4,)})
    layers = initial_parameters(config, mean)["decoder"]["convolutions"]
    assert_allclose(layers[0]["bias"], mean.mean(axis=(0, 1)), rtol=1e-5)
