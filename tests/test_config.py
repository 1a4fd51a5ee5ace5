from pathlib import Path
from typing import Any, get_args

import pytest

from aecli.config import (
    RECIPES,
    SETTINGS,
    Affects,
    choose_recipe,
    fit_to_data,
    from_json,
    parse_widths,
    read_toml,
    resume_config,
    with_settings,
)
from aecli.errors import InputError


def test_classic_is_the_tutorial_to_the_letter() -> None:
    assert choose_recipe("classic").to_json() == {
        "recipe": "classic",
        "kind": "plain",
        "encoder": "dense",
        "hidden": [128, 64, 10],
        "latent": 2,
        "sparsity": None,
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
        "beta": 1.0,
        "beta_warmup": 0.3,
        "code_penalty": 0.0,
        "neighbor_weight": 0.0,
        "neighbor_final": 1.0,
        "placing": "encoder",
        "neighbors": 15,
        "label_weight": 0.0,
        "noise": "none",
        "precision": "float32",
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
        ({"neighbor_final": -0.1}, "--neighbor-final must be a share in 0..1, got -0.1"),
        ({"neighbor_final": float("nan")}, "--neighbor-final must be a share"),
        ({"kind": "gan"}, "--kind 'gan' is unknown: expected one of plain, vae"),
        ({"beta": -1.0}, "--beta must be 0 or a positive number, got -1"),
        ({"beta_warmup": 1.5}, "--beta-warmup must be at most 1, got 1.5"),
        ({"encoder": "vit"}, "--encoder 'vit' is unknown: expected one of dense, conv"),
        ({"neighbors": 0}, "--neighbors must be at least 1"),
        ({"seed": -1}, "--seed must be in 0..4294967295, got -1"),
        ({"activation": "sin"}, "expected one of sigmoid, tanh"),
        ({"schedule": "step"}, "expected one of constant, cosine, one-cycle"),
        ({"loss": "bce", "output": "linear"}, "bce needs --output sigmoid"),
        ({"epochs": 1.5}, "--epochs has a value of the wrong type"),
        ({"epochs": True}, "--epochs has a value of the wrong type"),
        ({"shuffle": "yes"}, "--shuffle has a value of the wrong type"),
        ({"hidden": [64, "x"]}, "--hidden has a value of the wrong type"),
        ({"hidden": "64,x"}, "is not a list of widths"),
        ({"patience": "x"}, "--patience has a value of the wrong type"),
        ({"epochs": 10**30}, "--epochs must be at most 100,000, got 10{30}$"),
        ({"batch_size": 10**30}, "--batch-size must be at most 2,147,483,647, got 1"),
        ({"hidden": (64, 10**7)}, "--hidden must be at most 1,000,000, got 10000000"),
        ({"hidden": (8,) * 101}, "--hidden must have at most 100 layers, got 101"),
        (
            {"latent": 16**5_000},
            "--latent must be at most 1,000,000, got one of hundreds",
        ),
        ({"neighbors": 10**9}, "--neighbors must be at most 1,000, got 1000000000"),
        ({"patience": 10**9}, "--patience must be at most 100,000, got"),
        ({"learning_rate": 1e31}, "--learning-rate must be at most 1e"),
        ({"learning_rate": 1e-300}, "--learning-rate must be a positive number of at least 1e-30"),
        ({"learning_rate": 16**5_000}, "--learning-rate must be a positive number"),
        ({"neighbor_weight": 1e31}, "--neighbor-weight must be at most 1e"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        with_settings(choose_recipe("plain"), settings)


@pytest.mark.parametrize(
    ("recipe", "rows", "chosen", "batch_size", "epochs"),
    [
        ("plain", 55_000, (), 256, 50),
        ("plain", 1_257, (), 32, 50),
        ("classic", 20, (), 1, 50),
        ("map", 55_000, (), 256, 20),
        ("map", 20_000, (), 256, 21),
        ("map", 1_257, (), 32, 42),
        ("map", 8_192, (), 256, 50),
        ("map", 1_257, ("epochs",), 32, 20),
        ("map", 1_257, ("batch_size",), 256, 20),
    ],
)
def test_few_images_get_smaller_batches_and_more_epochs(
    recipe: str, rows: int, chosen: tuple[str, ...], batch_size: int, epochs: int
) -> None:
    config = fit_to_data(choose_recipe(recipe), rows, chosen, vectors=False)
    assert (config.batch_size, config.epochs) == (batch_size, epochs)


def test_an_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(InputError, match="expected one of map, plain, classic"):
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


# Another valid value of each setting, in the map recipe.
OTHER: dict[str, Any] = {
    "recipe": "plain",
    "kind": "vae",
    "encoder": "dense",
    "hidden": (192, 128, 128),
    "latent": 3,
    "sparsity": 1,
    "activation": "tanh",
    "normalize": False,
    "output": "linear",
    "init": "he",
    "epochs": 21,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "shuffle": False,
    "loss": "bce",
    "beta": 4.0,
    "beta_warmup": 0.5,
    "code_penalty": 1e-8,
    "neighbor_weight": 0.5,
    "neighbor_final": 1.0,
    "placing": "encoder",
    "neighbors": 5,
    "label_weight": 0.5,
    "noise": "gaussian:0.3",
    "precision": "bf16",
    "seed": 1,
    "patience": 3,
}


def test_another_value_of_every_setting_is_known() -> None:
    assert set(OTHER) == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_keys_change_with_what_a_setting_affects_and_with_nothing_else(name: str) -> None:
    config = choose_recipe("map")
    other = with_settings(config, {name: OTHER[name]})
    for affects in get_args(Affects):
        changed = config.affecting(affects) != other.affecting(affects)
        assert changed == (affects in SETTINGS[name].affects)
    assert config.to_json() != other.to_json()


def test_what_encoder_and_decoder_compute_is_decided_by_these_settings() -> None:
    """A setting that is missing here lets models that differ share a compiled program."""
    names = [
        "kind", "encoder", "hidden", "latent", "sparsity", "activation", "normalize", "output",
    ]  # fmt: skip
    assert list(choose_recipe("map").affecting("model")) == names


def test_all_other_settings_decide_what_a_training_step_computes() -> None:
    """A setting that is missing here lets trainings that differ share a compiled program."""
    not_compiled = {"recipe", "init", "seed", "patience", "placing"}
    assert set(choose_recipe("map").affecting("model", "training")) == set(SETTINGS) - not_compiled


@pytest.mark.parametrize("name", SETTINGS)
def test_only_what_says_when_to_stop_may_change_on_resuming(name: str) -> None:
    saved = choose_recipe("map")
    if "stopping" in SETTINGS[name].affects:
        assert getattr(resume_config(saved, {name: OTHER[name]}, 3), name) == OTHER[name]
    else:
        with pytest.raises(InputError, match=f"{SETTINGS[name].flag} .* differs from the run's"):
            resume_config(saved, {name: OTHER[name]}, 3)


def test_settings_that_came_later_are_what_they_were_before() -> None:
    old = {k: v for k, v in choose_recipe("classic").to_json().items() if SETTINGS[k].since == 1}
    assert len(old) == 15
    assert from_json(old) == choose_recipe("classic")
    # Settings of one format alone.
    assert from_json(old | {"smoothing": 0.2, "landmarks": 9}) == choose_recipe("classic")
    with pytest.raises(InputError, match="missing or unknown to this version: epochs"):
        from_json({k: v for k, v in old.items() if k != "epochs"})


def test_runs_of_the_modern_recipe_are_plain_ones() -> None:
    settings = choose_recipe("plain").to_json() | {"recipe": "modern"}
    assert from_json(settings) == choose_recipe("plain")
    with pytest.raises(InputError, match="'modern' is unknown, which is now called plain"):
        choose_recipe("modern")
    assert resume_config(choose_recipe("plain"), {"recipe": "modern"}, 3) == choose_recipe("plain")


def test_few_images_have_no_more_neighbours_than_others() -> None:
    config = choose_recipe("map")
    assert fit_to_data(config, 16, (), vectors=False).neighbors == 15
    assert fit_to_data(config, 10, (), vectors=False).neighbors == 9
    assert fit_to_data(config, 10, ("neighbors",), vectors=False).neighbors == 15


def test_vectors_get_a_dense_encoder_unless_told_otherwise() -> None:
    config = choose_recipe("map")
    assert fit_to_data(config, 55_000, (), vectors=True).encoder == "dense"
    assert fit_to_data(config, 55_000, ("encoder",), vectors=True).encoder == "conv"
    assert fit_to_data(config, 55_000, (), vectors=False).encoder == "conv"


def test_many_images_are_placed_by_the_encoder_alone() -> None:
    config = choose_recipe("map")
    assert fit_to_data(config, 100_000, (), vectors=False).placing == "neighbors"
    assert fit_to_data(config, 100_001, (), vectors=False).placing == "encoder"
    assert fit_to_data(config, 100_001, ("placing",), vectors=False).placing == "neighbors"
    for recipe in ("plain", "classic"):
        assert fit_to_data(choose_recipe(recipe), 9, (), vectors=False).placing == "encoder"


def test_every_number_has_an_end() -> None:
    """What is larger would only take the memory, or for ever."""
    for one in SETTINGS.values():
        is_number = one.type not in (bool, str) and not one.choices
        assert (one.valid is not None) == is_number, one.name
