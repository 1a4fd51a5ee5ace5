from dataclasses import replace
from pathlib import Path

import numpy as np

from aecli.config import SETTINGS, Config, with_settings
from aecli.data import Dataset
from aecli.model import network
from aecli.model.parameters import initial_parameters
from aecli.run.checkpoint import Checkpoint, flatten, load
from aecli.run.folder import RunFolder
from aecli.run.states import Best
from aecli.show import describe, facts, layer_shapes


def test_a_run_is_described_by_its_own_files(digits_run: Path) -> None:
    about = describe(digits_run, load(RunFolder(digits_run).best))
    assert about["layers"] == [64, 16, 8, 2]
    # 64-16-8-2 and back: weights and biases, counted by hand.
    assert about["parameters"] == (64 * 16 + 16 * 8 + 8 * 2) * 2 + (16 + 8 + 2) + (8 + 16 + 64)
    assert (about["epochs"], about["data"]["name"]) == (4, "digits")
    assert about["files"]["best.safetensors"] == RunFolder(digits_run).best.stat().st_size


def test_the_walk_goes_through_every_layer(digits_run: Path) -> None:
    walk = layer_shapes(load(RunFolder(digits_run).best), rows=5)
    assert [shapes.layer for shapes in walk] == [
        f"{part} {i}" for part in ("encoder", "decoder") for i in (1, 2, 3)
    ]
    first, code, last = walk[0], walk[2], walk[-1]
    assert (first.input, first.weight, first.product) == ((5, 64), (64, 16), (5, 16))
    assert (first.bias, first.sum, first.activation) == ((16,), (5, 16), "silu")
    assert (code.sum, code.activation) == ((5, 2), "linear")
    assert (last.sum, last.activation) == ((5, 64), "sigmoid")


def test_the_walk_of_a_conv_encoder_begins_with_patches(
    digits: Dataset, small_config: Config, tmp_path: Path
) -> None:
    config = with_settings(small_config, {"encoder": "conv"})
    parameters = initial_parameters(config, digits.mean_image("train").astype(np.float32))
    tensors = flatten(parameters, "parameters")
    checkpoint = Checkpoint(config, digits.describe(), 1, Best(1, 0.5), tensors)
    # Two by two patches with 16 features each.
    assert describe(tmp_path, checkpoint)["layers"] == [64, 64, 16, 8, 2]
    assert str(network(config, (8, 8, 1))) == "64-2x2x16-16-8-2"
    patches, first, *_ = layer_shapes(checkpoint, rows=5)
    assert (patches.layer, patches.activation) == ("encoder patches", "relu")
    assert (patches.input, patches.weight) == ((5, 8, 8, 1), (8, 8, 1, 16))
    assert (patches.product, patches.bias, patches.sum) == ((5, 2, 2, 16), (16,), (5, 2, 2, 16))
    assert (first.input, first.weight) == ((5, 64), (64, 16))


def test_facts_tell_every_setting_as_people_write_it(digits_run: Path) -> None:
    rows = facts(digits_run, load(RunFolder(digits_run).best))
    values = dict(rows)
    assert len(values) == len(rows), "a name stands twice"
    assert {name.replace("_", " ") for name in SETTINGS} <= set(values)
    assert (values["hidden"], values["shuffle"], values["patience"]) == ("16,8", "on", "off")
    assert (values["learning rate"], values["epochs"]) == ("0.005", "4 of 4, the best is 4")
    assert "labels used" not in values


def test_labels_that_were_used_in_training_are_told(digits_run: Path) -> None:
    checkpoint = load(RunFolder(digits_run).best)
    config = with_settings(checkpoint.config, {"label_weight": 0.5})
    values = dict(facts(digits_run, replace(checkpoint, config=config)))
    assert values["labels used"].startswith("in training: ")
    assert values["label weight"] == "0.5"
