from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_array_equal

from aecli.config import SETTINGS, choose_recipe, with_settings
from aecli.data import Dataset, open_dataset
from aecli.encode import (
    TrainedModel,
    decode,
    decode_blocks,
    encode,
    encode_split,
    load_model,
    reconstruct,
    write_images,
)
from aecli.errors import InputError
from aecli.features import TrainingFeatures
from aecli.model.autoencoder import autoencoder
from aecli.model.parameters import initial_parameters
from aecli.references import fit_references
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import RunFolder

Floats = npt.NDArray[np.float32]


# Numbers do not depend on what else is in a batch: of programs as users have them.
pytestmark = pytest.mark.usefixtures("optimized")


@pytest.fixture(scope="module")
def checkpoint(digits_run: Path) -> Checkpoint:
    return load(RunFolder(digits_run).best)


@pytest.fixture(scope="module", params=["dense", "conv", "placed"])
def any_model(request: pytest.FixtureRequest, model: TrainedModel, digits: Dataset) -> TrainedModel:
    """Return a model with each kind of encoder, and one that looks at neighbours of an image."""
    if request.param == "dense":
        return model
    config = with_settings(choose_recipe("map"), {"hidden": (16, 8)})
    parameters = initial_parameters(config, np.full((8, 8, 1), 0.3, np.float32))
    model = TrainedModel(config, (8, 8, 1), jax.device_put(parameters))
    if request.param == "placed":
        references = fit_references(digits, model, TrainingFeatures(digits))
        model = replace(model, references=jax.device_put(references))
    return model


@pytest.fixture(scope="module")
def model(optimized: None, checkpoint: Checkpoint) -> TrainedModel:
    return load_model(checkpoint)


@pytest.fixture(scope="module")
def coded(any_model: TrainedModel, digits: Dataset) -> tuple[Floats, Floats]:
    """Return the codes of all images, and what is decoded from them."""
    codes = encode(any_model, digits.images[:])
    return codes, decode(any_model, codes)


@pytest.mark.parametrize("batch_size", [1, 7, 1023, 1024, 1025, 4096])
@pytest.mark.parametrize("rows", [1, 300, 1797])
def test_codes_and_images_do_not_depend_on_the_batch_size(
    any_model: TrainedModel,
    coded: tuple[Floats, Floats],
    digits: Dataset,
    batch_size: int,
    rows: int,
) -> None:
    codes, decoded = coded
    images = digits.images[:rows]
    assert_array_equal(encode(any_model, images, batch_size=batch_size), codes[:rows])
    assert_array_equal(decode(any_model, codes[:rows], batch_size=batch_size), decoded[:rows])


@pytest.mark.parametrize("block", [1, 31, 106, 336, 512])
def test_codes_do_not_depend_on_order_or_neighbours(
    any_model: TrainedModel, digits: Dataset, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.encode._BLOCK", block)
    codes = encode(any_model, digits.images[:])
    order = np.random.default_rng(0).permutation(len(codes))[:999]
    assert_array_equal(encode(any_model, digits.images[:][order]), codes[order])


@pytest.mark.parametrize("block", [6, 336])
@pytest.mark.parametrize("shape", [(28, 28, 1), (13, 22, 3)])
def test_nor_do_those_of_other_sizes(
    shape: tuple[int, int, int], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.encode._BLOCK", block)
    config = choose_recipe("map")
    images = np.random.default_rng(0).integers(0, 256, (1100, *shape), np.uint8)
    parameters = initial_parameters(config, images.mean(0, dtype=np.float32) / 255)
    model = TrainedModel(config, shape, jax.device_put(parameters))
    codes = encode(model, images)
    order = np.random.default_rng(1).permutation(len(codes))[:777]
    assert_array_equal(encode(model, images[order], batch_size=100), codes[order])


def test_codes_equal_numpy(model: TrainedModel, checkpoint: Checkpoint, digits: Dataset) -> None:
    values = digits.images[:].reshape(-1, 64).astype(np.float64) / 255
    for i in range(3):
        name = f"parameters.encoder.layers.{i}"
        values = values @ checkpoint.tensors[f"{name}.kernel"] + checkpoint.tensors[f"{name}.bias"]
        values = values / (1 + np.exp(-values)) if i < 2 else values
    codes = encode(model, digits.images[:])
    assert codes.dtype == np.float32
    assert codes.shape == (1797, 2)
    np.testing.assert_allclose(codes, values, rtol=1e-4, atol=1e-4)


def test_images_lie_in_the_unit_range(model: TrainedModel) -> None:
    far_away = np.array([[1e4, -1e4], [0, 0]], np.float32)
    images = decode(model, far_away)
    assert images.dtype == np.float32
    assert images.shape == (2, 8, 8, 1)
    assert images.min() >= 0
    assert images.max() <= 1


def test_a_split_is_encoded_with_its_labels_and_provenance(
    checkpoint: Checkpoint, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.encode._BLOCK", 240)
    advanced: list[int] = []
    codes = encode_split(checkpoint, digits, "test", batch_size=240, report=advanced.append)
    values = np.concatenate(list(codes.blocks))
    assert_array_equal(values, encode(load_model(checkpoint), digits.split("test").images))
    labels = digits.split("test").labels
    assert labels is not None
    assert codes.labels is not None
    assert codes.labels.tolist() == labels.tolist()
    assert advanced == [240, 120]
    assert codes.provenance["model_sha256"] == checkpoint.model_hash
    assert codes.provenance["fingerprint"] == digits.fingerprint
    assert (codes.provenance["rows"], codes.provenance["dimensions"]) == (360, 2)


def test_reconstructions_are_decoded_codes(checkpoint: Checkpoint, digits: Dataset) -> None:
    originals, reconstructions = reconstruct(checkpoint, digits, 5)
    assert originals.shape == reconstructions.shape == (5, 8, 8, 1)
    np.testing.assert_allclose(originals * 255, digits.split("test").images[:5])
    assert np.mean((originals - reconstructions) ** 2) < 0.1


def test_images_of_another_shape_are_refused(checkpoint: Checkpoint, idx_folder: Path) -> None:
    with pytest.raises(InputError, match="images of 6x5x1, the run was trained on 8x8x1"):
        encode_split(checkpoint, open_dataset(str(idx_folder)), "test")


def test_codes_of_other_dimensions_are_refused(model: TrainedModel) -> None:
    with pytest.raises(InputError, match="the codes have 3 dimensions, the run's have 2"):
        decode(model, np.zeros((4, 3), np.float32))


def test_a_batch_size_below_1_is_refused(model: TrainedModel, digits: Dataset) -> None:
    with pytest.raises(InputError, match="--batch-size must be at least 1, got 0"):
        encode(model, digits.images[:], batch_size=0)


# Another value of each setting that decides what encoder and decoder compute.
OTHER_MODEL = {
    "kind": "vae",
    "encoder": "dense",
    "decoder": "conv",
    "channels": (4,),
    "hidden": (8, 8),
    "latent": 3,
    "sparsity": 1,
    "activation": "tanh",
    "normalize": False,
    "output": "linear",
}


@pytest.mark.parametrize("name", [n for n, one in SETTINGS.items() if "model" in one.affects])
def test_models_that_differ_in_any_setting_have_other_programs(name: str) -> None:
    config = with_settings(choose_recipe("map"), {"hidden": (16, 8)})
    other = with_settings(config, {name: OTHER_MODEL[name]})
    keys = [TrainedModel(one, (8, 8, 1), {}).key for one in (config, other)]
    assert keys[0] != keys[1]
    assert keys[0] == TrainedModel(with_settings(config, {"seed": 9}), (8, 8, 1), {}).key


def test_models_with_parameters_of_the_same_shapes_do_not_share_programs(digits: Dataset) -> None:
    """Activation, normalization and output leave no trace in the shapes."""
    images = digits.images[:48]
    found = []
    for settings in ({}, {"activation": "tanh"}, {"normalize": False}, {"output": "linear"}):
        config = with_settings(choose_recipe("map"), {"hidden": (16, 8), **settings})
        parameters = initial_parameters(config, np.full((8, 8, 1), 0.3, np.float32))
        model = TrainedModel(config, (8, 8, 1), jax.device_put(parameters))
        codes = encode(model, images)
        expected = autoencoder(config, (8, 8, 1), model.parameters)
        unit = jnp.asarray(images / np.float32(255))
        np.testing.assert_allclose(codes, expected.encoder(unit), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(
            decode(model, codes), expected.decode(jnp.asarray(codes)), rtol=1e-3, atol=1e-4
        )
        found.append(codes)
    assert len({codes.tobytes() for codes in found}) == 3


def test_images_are_written_while_others_are_decoded(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.encode._BLOCK", 48)
    codes = np.random.default_rng(0).normal(size=(1_000, 2)).astype(np.float32)
    done: list[int] = []
    blocks = decode_blocks(model, codes, batch_size=96, report=done.append)
    first = next(blocks)
    assert sum(done) == len(first) <= 96
    for as_uint8 in (False, True):
        path = tmp_path / f"{as_uint8}.npy"
        write_images(path, decode_blocks(model, codes), (1_000, 8, 8, 1), as_uint8=as_uint8)
        expected = decode(model, codes)
        assert_array_equal(
            np.load(path), np.rint(expected * 255).astype(np.uint8) if as_uint8 else expected
        )


@pytest.mark.parametrize("batch_size", [2**31, 10**30])
def test_a_batch_size_has_an_end(model: TrainedModel, digits: Dataset, batch_size: int) -> None:
    with pytest.raises(InputError, match="--batch-size must be at most 2,147,483,647, got"):
        encode(model, digits.images[:], batch_size=batch_size)


def test_codes_of_many_numbers_are_computed_fewer_at_a_time() -> None:
    from aecli.encode import whole_blocks

    config = with_settings(choose_recipe("plain"), {"latent": 1_000_000})
    assert whole_blocks(TrainedModel(config, (8, 8, 1), {}), 16_384, 10**6) <= 64
