from pathlib import Path
from typing import Any

import pytest

from aecli.config import (
    RECIPES,
    choose_recipe,
    fit_to_rows,
    from_json,
    parse_widths,
    read_toml,
    with_settings,
)
from aecli.errors import InputError


def test_classic_is_the_tutorial_to_the_letter() -> None:
    assert choose_recipe("classic").to_json() == {
        "recipe": "classic",
        "encoder": "dense",
        "hidden": [128, 64, 10],
        "latent": 2,
        "activation": "sigmoid",
        "normalize": False,
        "output": "sigmoid",
        "init": "normal",
        "epochs": 50,
        "batch_size": 256,
        "learning_rate": 0.001,
        "schedule": "constant",
        "shuffle": False,
        "loss": "mse",
        "code_penalty": 0.0,
        "neighbor_weight": 0.0,
        "neighbor_final": 1.0,
        "neighbors": 15,
        "seed": 0,
        "patience": None,
    }


@pytest.mark.parametrize("name", RECIPES)
def test_json_keeps_every_setting(name: str) -> None:
    assert from_json(choose_recipe(name).to_json()) == choose_recipe(name)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"latent": 0}, "--latent must be at least 1, got 0"),
        ({"epochs": -1}, "--epochs must be at least 1, got -1"),
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0"),
        ({"hidden": (64, 0)}, "--hidden must be at least 1, got 0"),
        ({"patience": 0}, "--patience must be at least 1"),
        ({"learning_rate": 0.0}, "--learning-rate must be a positive number"),
        ({"learning_rate": float("nan")}, "--learning-rate must be a positive number"),
        ({"learning_rate": float("inf")}, "--learning-rate must be a positive number"),
        ({"code_penalty": -1.0}, "--code-penalty must be 0 or a positive"),
        ({"code_penalty": float("nan")}, "--code-penalty must be 0 or a positive"),
        ({"neighbor_weight": float("inf")}, "--neighbor-weight must be 0 or a positive"),
        ({"neighbor_final": -0.1}, "--neighbor-final is a share and must lie in 0..1, got -0.1"),
        ({"neighbor_final": float("nan")}, "--neighbor-final is a share"),
        ({"encoder": "vit"}, "--encoder 'vit' is unknown: expected one of dense, conv"),
        ({"neighbors": 0}, "--neighbors must be at least 1"),
        ({"seed": -1}, "--seed must lie in"),
        ({"activation": "sin"}, "expected one of sigmoid, tanh"),
        ({"schedule": "step"}, "expected one of constant, cosine, one-cycle"),
        ({"loss": "bce", "output": "linear"}, "bce needs --output sigmoid"),
        ({"epochs": 1.5}, "--epochs has a value of the wrong type"),
        ({"epochs": True}, "--epochs has a value of the wrong type"),
        ({"shuffle": "yes"}, "--shuffle has a value of the wrong type"),
        ({"hidden": [64, "x"]}, "--hidden has a value of the wrong type"),
        ({"hidden": "64,x"}, "is no list of widths"),
        ({"patience": "x"}, "--patience has a value of the wrong type"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        with_settings(choose_recipe("plain"), settings)


@pytest.mark.parametrize(
    ("recipe", "rows", "chosen", "batch_size", "epochs"),
    [
        ("modern", 55_000, (), 256, 50),
        ("modern", 1_257, (), 32, 50),
        ("classic", 20, (), 1, 50),
        ("map", 55_000, (), 256, 20),
        ("map", 20_000, (), 256, 21),
        ("map", 1_257, (), 32, 42),
        ("map", 1_257, ("epochs",), 32, 20),
        ("map", 1_257, ("batch_size",), 256, 20),
    ],
)
def test_few_images_get_smaller_batches_and_more_epochs(
    recipe: str, rows: int, chosen: tuple[str, ...], batch_size: int, epochs: int
) -> None:
    config = fit_to_rows(choose_recipe(recipe), rows, chosen)
    assert (config.batch_size, config.epochs) == (batch_size, epochs)


def test_an_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(InputError, match="expected one of modern, map, classic"):
        choose_recipe("clasic")


@pytest.mark.parametrize(
    ("text", "widths"), [("128,64,10", (128, 64, 10)), ("7", (7,)), ("", ()), (" 1 , 2 ", (1, 2))]
)
def test_widths(text: str, widths: tuple[int, ...]) -> None:
    assert parse_widths(text) == widths


def test_a_toml_file_sets_what_its_names_say(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('hidden = [32, 16]\nbatch-size = 32\nlearning_rate = 1\nloss = "bce"\n')
    config = with_settings(choose_recipe("plain"), read_toml(path))
    assert (config.hidden, config.batch_size, config.learning_rate) == ((32, 16), 32, 1.0)
    assert config.loss == "bce"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs 3", "is not valid TOML"),
        ("epoch = 3", "did you mean 'epochs'"),
        ("[training]\nepochs = 3", "no setting is called 'training'"),
    ],
)
def test_a_bad_toml_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_toml(path)
