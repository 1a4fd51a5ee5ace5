import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from aecli.config import Config
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.run.checkpoint import (
    Checkpoint,
    Tensors,
    _digest,
    flatten,
    load,
    to_bytes,
    unflatten,
)
from aecli.run.folder import RunFolder, find_checkpoint
from aecli.run.states import Best, EpochMetrics, PartialEpoch, ShuffleLayout


def save(path: Path, checkpoint: Checkpoint) -> None:
    path.write_bytes(to_bytes(checkpoint))


@pytest.fixture
def checkpoint(digits: Dataset, small_config: Config) -> Checkpoint:
    tensors: Tensors = {
        "parameters.b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "parameters.a": np.array([1.5], np.float32),
        "optimizer.count": np.array(7, np.int32),
    }
    return Checkpoint(small_config, digits.describe(), 3, Best(2, 0.25), tensors)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "last.safetensors"
    save(path, checkpoint)
    loaded = load(path)
    assert (loaded.config, loaded.data) == (checkpoint.config, checkpoint.data)
    assert (loaded.epoch, loaded.best) == (3, Best(2, 0.25))
    assert set(loaded.tensors) == set(checkpoint.tensors)
    for name, tensor in checkpoint.tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(loaded.tensors[name], tensor)
    assert loaded.parameter_count == 7


def test_the_model_hash_sees_parameters_alone(checkpoint: Checkpoint) -> None:
    def changed(name: str) -> Checkpoint:
        return replace(checkpoint, epoch=9, tensors={**checkpoint.tensors, name: np.zeros(1)})

    assert changed("optimizer.count").model_hash == checkpoint.model_hash
    assert changed("parameters.a").model_hash != checkpoint.model_hash


def test_trees_become_names_and_back() -> None:
    tree: Any = {
        "layers": [{"kernel": np.ones((2, 3), np.float32)}, {"kernel": np.zeros(4, np.int32)}]
    }
    tensors = flatten(tree, "parameters")
    assert sorted(tensors) == ["parameters.layers.0.kernel", "parameters.layers.1.kernel"]
    back = unflatten(tree, "parameters", tensors)
    np.testing.assert_array_equal(back["layers"][0]["kernel"], tree["layers"][0]["kernel"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"p.b": np.ones(1, np.float32)}, "does not fit its own config: p.b"),
        ({"p.a": np.ones(3, np.float32)}, r"p.a is float32 \(3,\), expected float32 \(2,\)"),
        ({"p.a": np.ones(2, np.float64)}, r"p.a is float64 \(2,\), expected float32 \(2,\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    change: dict[str, np.ndarray],
    words: str,
) -> None:
    like = {"a": np.zeros(2, np.float32)}
    with pytest.raises(InputError, match=words):
        unflatten(like, "p", flatten(like, "p") | change)


def _metadata(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["aecli"])
    change(about)
    tensors = {"parameters.a": np.ones(1)}
    about["sha256"] = _digest({key: about[key] for key in about if key != "sha256"}, tensors)
    save_file(tensors, path, metadata={"aecli": json.dumps(about)})


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


BAD_CHECKPOINTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "cannot read the checkpoint"),
    "empty": (lambda path: path.write_bytes(b""), "is not a whole safetensors file"),
    "text": (lambda path: path.write_text("not a checkpoint"), "is not a whole safetensors file"),
    "truncated": (_cut, "is not a whole safetensors file"),
    "another program's": (
        lambda path: save_file({"a": np.ones(1)}, path),
        "but not a checkpoint of aecli",
    ),
    "not JSON": (
        lambda path: save_file({"a": np.ones(1)}, path, metadata={"aecli": "{"}),
        "metadata of the checkpoint .* is damaged",
    ),
    "a newer format": (
        lambda path: _metadata(path, lambda about: about.update(format_version=6)),
        "format version is 6, this aecli reads up to 5",
    ),
    "no epoch": (
        lambda path: _metadata(path, lambda about: about.pop("epoch")),
        "is damaged: KeyError",
    ),
    "unknown setting": (
        lambda path: _metadata(path, lambda about: about["config"].update(depth=3)),
        "missing or unknown to this version: depth",
    ),
    "bad setting": (
        lambda path: _metadata(path, lambda about: about["config"].update(latent=0)),
        "cannot be used: --latent must be at least 1",
    ),
}


@pytest.mark.parametrize("fault", BAD_CHECKPOINTS)
def test_a_bad_checkpoint_is_refused(tmp_path: Path, checkpoint: Checkpoint, fault: str) -> None:
    path = tmp_path / "best.safetensors"
    save(path, checkpoint)
    spoil, words = BAD_CHECKPOINTS[fault]
    spoil(path)
    with pytest.raises(InputError, match=words) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_checkpoint_is_found_by_folder_or_by_file(digits_run: Path, tmp_path: Path) -> None:
    assert find_checkpoint(digits_run) == RunFolder(digits_run).best
    assert find_checkpoint(RunFolder(digits_run).last) == RunFolder(digits_run).last
    with pytest.raises(InputError, match="no such run"):
        find_checkpoint(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"it has no best\.safetensors"):
        find_checkpoint(tmp_path)


def test_a_run_writes_checkpoints_that_open_without_aecli(digits_run: Path) -> None:
    last, best = load(RunFolder(digits_run).last), load(RunFolder(digits_run).best)
    assert set(best.tensors) < set(last.tensors)
    assert last.epoch == 4
    assert math.isfinite(best.best.validation_loss)
    assert best.tensors["parameters.encoder.layers.0.kernel"].shape == (64, 16)


def test_every_state_comes_back_as_it_was(tmp_path: Path, checkpoint: Checkpoint) -> None:
    metrics = EpochMetrics(1, {"reconstruction": 0.5, "any other": 2.0}, 0.25, 1e-3, 100.0, 2.0)
    whole = replace(
        checkpoint,
        layout=ShuffleLayout(32, 4),
        partial=PartialEpoch(3, {"reconstruction": 1.5, "any other": 0.5}, 12),
        history=(metrics,),
    )
    save(tmp_path / "last.safetensors", whole)
    loaded = load(tmp_path / "last.safetensors")
    assert (loaded.layout, loaded.partial, loaded.history) == (
        whole.layout, whole.partial, whole.history,
    )  # fmt: skip


def test_losses_of_older_formats_get_the_names_of_their_terms(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    line = {
        "epoch": 1,
        "train_loss": 0.5,
        "neighbor_loss": 2.0,
        "validation_loss": 0.25,
        "learning_rate": 1e-3,
        "images_per_second": 100.0,
        "seconds": 2.0,
    }
    path = tmp_path / "last.safetensors"
    for weight, terms in (
        (1.0, {"reconstruction": 0.5, "neighbor": 2.0}),
        (0.0, {"reconstruction": 0.5}),
    ):
        save(path, replace(checkpoint, config=replace(checkpoint.config, neighbor_weight=weight)))

        def older(metadata: dict[str, Any]) -> None:
            del metadata["partial"]
            metadata |= {"format_version": 4, "layout": {"block_rows": 32, "window_blocks": 4}}
            metadata["begun"] = {"windows": 3, "loss": 0.5, "neighbor_loss": 2.0, "finite_steps": 9}
            metadata["history"] = [line]

        _metadata(path, older)
        loaded = load(path)
        assert loaded.layout == ShuffleLayout(32, 4)
        assert loaded.partial == PartialEpoch(3, terms, 9)
        assert loaded.history[0].losses == terms
