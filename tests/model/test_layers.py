import math
from itertools import pairwise

import pytest

from aecli.config import SETTINGS, choose_recipe, with_settings
from aecli.model import MODELS, network
from aecli.model.layers import nested


def test_every_choice_of_an_encoder_is_a_model() -> None:
    assert tuple(MODELS) == SETTINGS["encoder"].choices == ("dense", "conv")


def test_the_layers_lead_from_the_image_to_the_code_and_back() -> None:
    for encoder in MODELS:
        config = with_settings(choose_recipe("map"), {"encoder": encoder, "latent": 3})
        layers = network(config, (30, 64, 3)).layers
        assert math.prod(layers[0].input) == math.prod(layers[-1].output) == 30 * 64 * 3
        for before, after in pairwise(layers):
            assert math.prod(before.output) == math.prod(after.input)
        assert [layer.output for layer in layers if layer.activation == "linear"] == [(3,)]


@pytest.mark.parametrize(
    ("encoder", "widths", "text"),
    [
        ("dense", [784, 192, 192, 128, 2], "784-192-192-128-2"),
        ("conv", [784, 784, 192, 192, 128, 2], "784-7x7x16-192-192-128-2"),
    ],
)
def test_widths_are_told(encoder: str, widths: list[int], text: str) -> None:
    layers = network(with_settings(choose_recipe("map"), {"encoder": encoder}), (28, 28, 1))
    assert layers.widths == widths
    assert str(layers) == text


def test_the_cost_is_the_most_numbers_of_an_image_in_a_layer() -> None:
    def cost(**settings: object) -> int:
        return network(with_settings(choose_recipe("map"), settings), (28, 28, 1)).cost

    assert cost(encoder="dense") == 784
    assert cost(encoder="dense", hidden=(1000,)) == 1000
    # 7x7 patches of 8x8 pixels.
    assert cost() == 49 * 64


def test_paths_become_nested_dicts() -> None:
    assert nested([(("a", 0, "k"), 1), (("a", 1, "k"), 2), (("b",), 3)]) == {
        "a": {0: {"k": 1}, 1: {"k": 2}},
        "b": 3,
    }
