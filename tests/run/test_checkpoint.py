import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from aecli import tensor_file
from aecli.errors import InputError
from aecli.run.checkpoint import (
    FORMAT_VERSION,
    Checkpoint,
    flatten,
    load,
    to_bytes,
    unflatten,
)
from aecli.run.folder import RunFolder, find_checkpoint
from aecli.run.states import Best, EpochMetrics, PartialEpoch, ShuffleLayout


def save(path: Path, checkpoint: Checkpoint) -> None:
    path.write_bytes(to_bytes(checkpoint))


@pytest.fixture(scope="session")
def checkpoint(digits_run: Path) -> Checkpoint:
    """Return the last checkpoint of a small run, 4 epochs."""
    return load(RunFolder(digits_run).last)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "last.safetensors"
    save(path, checkpoint)
    loaded = load(path)
    assert (loaded.config, loaded.data) == (checkpoint.config, checkpoint.data)
    assert (loaded.epoch, loaded.best) == (4, checkpoint.best)
    assert loaded.environment == checkpoint.environment
    assert set(loaded.tensors) == set(checkpoint.tensors)
    for name, tensor in checkpoint.tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(loaded.tensors[name], tensor)
    # 64-16-8-2 and back.
    assert loaded.parameter_count == 2 * (64 * 16 + 16 * 8 + 8 * 2) + 16 + 8 + 2 + 8 + 16 + 64


def test_the_model_hash_sees_parameters_alone(checkpoint: Checkpoint) -> None:
    def changed(name: str) -> Checkpoint:
        return replace(checkpoint, epoch=9, tensors={**checkpoint.tensors, name: np.zeros(1)})

    assert changed("optimizer.0.count").model_hash == checkpoint.model_hash
    assert changed("parameters.decoder.layers.0.bias").model_hash != checkpoint.model_hash


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
    """Change what a checkpoint says of itself, and make its checksum fit."""
    tensors, about = tensor_file.read(path)
    del about["sha256"]
    change(about)
    text = json.dumps({"sha256": tensor_file.digest(about, tensors), **about})
    save_file(dict(tensors), path, metadata={"aecli": text})


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _tensors(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the tensors of a checkpoint, and make its checksum fit."""
    read, about = tensor_file.read(path)
    del about["sha256"]
    tensors = dict(read)
    change(tensors)
    path.write_bytes(tensor_file.to_bytes(tensors, about))


def _of_type(path: Path, kind: str, shape: str = "[2]", size: int = 4) -> None:
    """Write a file with one tensor of any type and shape, which numpy may not know."""
    tensor = f'{{"dtype":"{kind}","shape":{shape},"data_offsets":[0,{size}]}}'
    header = f'{{"__metadata__":{{"aecli":"{{}}"}},"a":{tensor}}}'.encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))


def _fault(words: str, **fields: Any) -> tuple[Callable[[Path], object], str]:
    return (lambda path: _metadata(path, lambda about: about.update(fields)), words)


_LAYOUT = {"block_rows": 64, "buffer_blocks": 2}
_PARTIAL = {"buffers": 0, "losses": {}, "finite_steps": 0}

BAD_CHECKPOINTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "cannot read .*: No such file"),
    "empty": (lambda path: path.write_bytes(b""), "is not a whole safetensors file"),
    "text": (lambda path: path.write_text("not a checkpoint"), "is not a whole safetensors file"),
    "truncated": (_cut, "is not a whole safetensors file"),
    "another program's": (
        lambda path: save_file({"a": np.ones(1)}, path),
        "is a safetensors file, but not one of aecli",
    ),
    "not JSON": (
        lambda path: save_file({"a": np.ones(1)}, path, metadata={"aecli": "{"}),
        "the metadata of .* is not valid JSON",
    ),
    "no object": (
        lambda path: save_file({"a": np.ones(1)}, path, metadata={"aecli": "[]"}),
        "the metadata of .* is damaged: expected one JSON object",
    ),
    "brackets": (
        lambda path: save_file({"a": np.ones(1)}, path, metadata={"aecli": "[" * 100_000}),
        "the metadata of .* has more than 32 brackets in brackets",
    ),
    "some brackets": (
        lambda path: _metadata(
            path, lambda about: about.update(epoch=json.loads("[" * 60 + "]" * 60))
        ),
        "has more than 32 brackets in brackets",
    ),
    "digits": (
        lambda path: save_file(
            {"a": np.ones(1)}, path, metadata={"aecli": '{"epoch":' + "9" * 5_000 + "}"}
        ),
        "has a number of thousands of digits",
    ),
    "bfloat16": (lambda path: _of_type(path, "BF16"), "'a' of type BF16, which numpy lacks"),
    "8-bit floats": (lambda path: _of_type(path, "F8_E4M3", "[4]"), "of type F8_E4M3"),
    "an absurd shape": (
        lambda path: _of_type(path, "F32", f"[0,{2**62}]", 0),
        "the tensor 'a' of an impossible shape",
    ),
    "a shape that overflows": (
        lambda path: _of_type(path, "F32", f"[{2**62},{2**62}]", 0),
        "is not a whole safetensors file",
    ),
    "no version": (
        lambda path: _metadata(path, lambda about: about.pop("format_version")),
        f"format version is None, this aecli reads up to {FORMAT_VERSION}",
    ),
    "a newer format": _fault(
        f"format version is {FORMAT_VERSION + 1}, this aecli reads up to {FORMAT_VERSION}",
        format_version=FORMAT_VERSION + 1,
    ),
    "a version that is none": _fault("format version is True", format_version=True),
    "no epoch": (
        lambda path: _metadata(path, lambda about: about.pop("epoch")),
        "its metadata is damaged: object missing required field epoch",
    ),
    "an infinite epoch": _fault("a bad field epoch: expected int, got float", epoch=1e400),
    "a negative epoch": _fault("a bad field epoch: expected int >= 0", epoch=-1),
    "a huge epoch": _fault("a bad field epoch: expected int <= 9007199254740992", epoch=2**63),
    "a field more": _fault("has an unknown field: colour", colour=1),
    "a field more within": _fault(
        r"has an unknown field: history\.seed|has a bad field history",
        history=[{"seed": 1}],
    ),
    "an epoch beyond the settings": _fault("it has 5 epochs of 4", epoch=5),
    "a best epoch beyond": _fault(
        "it has 4 epochs of 4, and the best is 9", best={"epoch": 9, "validation_loss": 1.0}
    ),
    "no best loss": _fault(
        "its best epoch has no validation loss", best={"epoch": 2, "validation_loss": None}
    ),
    "NaN as best loss": _fault(
        "a bad field best.validation_loss", best={"epoch": 2, "validation_loss": math.nan}
    ),
    "another best loss": _fault(
        "is not that of its history", best={"epoch": 2, "validation_loss": 0.0}
    ),
    "no history": _fault("its history is not that of the 4 epochs", history=[]),
    "settings that are none": _fault("a bad field config: expected object, got array", config=[]),
    "a partial epoch without a layout": _fault("its partial epoch has more", partial=_PARTIAL),
    "a partial epoch that is whole": _fault(
        "its partial epoch has more", partial=_PARTIAL | {"buffers": 10}, layout=_LAYOUT
    ),
    "a layout of no rows": _fault(
        "a bad field layout.block_rows", layout=_LAYOUT | {"block_rows": 0}
    ),
    "a huge layout": _fault(
        "images, more than the data have", layout=_LAYOUT | {"block_rows": 2**50}
    ),
    "a text in the environment": _fault("a bad field environment", environment={"cores": 4}),
    "unknown setting": (
        lambda path: _metadata(path, lambda about: about["config"].update(depth=3)),
        "missing or unknown to this version: depth",
    ),
    "bad setting": (
        lambda path: _metadata(path, lambda about: about["config"].update(latent=0)),
        "cannot be used: --latent must be at least 1",
    ),
    "an unknown recipe": (
        lambda path: _metadata(path, lambda about: about["config"].update(recipe="cake")),
        "--recipe 'cake' is unknown",
    ),
    "a huge number": (
        lambda path: _metadata(path, lambda about: about["config"].update(learning_rate=10**400)),
        "--learning-rate must be",
    ),
    "another model": (
        lambda path: _metadata(path, lambda about: about["config"].update(latent=3)),
        "does not fit its own config",
    ),
    "a place with NUL": (
        lambda path: _metadata(path, lambda about: about["data"]["source"].update(location="a\0")),
        "data.source.location: expected text that can be the name of a file",
    ),
    "a place with half a character": (
        lambda path: _metadata(
            path, lambda about: about["data"]["source"].update(location="\ud800")
        ),
        "data.source.location: expected text that can be the name of a file",
    ),
    "a share that is none": (
        lambda path: _metadata(path, lambda about: about["data"]["source"].update(validation=2)),
        "--validation must lie between 0 and 1",
    ),
    "images of no pixels": (
        lambda path: _metadata(path, lambda about: about["data"].update(image_shape=[8, 0, 1])),
        r"data.image_shape\[1\]: expected int >= 1",
    ),
    "too many channels": (
        lambda path: _metadata(path, lambda about: about["data"].update(image_shape=[4, 2, 8])),
        r"data.image_shape\[2\]: expected int <= 4",
    ),
    "fewer splits": (
        lambda path: _metadata(path, lambda about: about["data"].update(rows={"train": 3})),
        "are not those of train, validation and test",
    ),
    "negative rows": (
        lambda path: _metadata(path, lambda about: about["data"]["rows"].update(test=-1)),
        r"data.rows\[...\]: expected int >= 0",
    ),
    "no parameter": (
        lambda path: _tensors(path, lambda some: some.pop("parameters.encoder.layers.0.bias")),
        "does not fit its own config: parameters.encoder.layers.0.bias",
    ),
    "a parameter of another type": (
        lambda path: _tensors(
            path, lambda some: some.update({"parameters.encoder.layers.0.bias": np.zeros(16)})
        ),
        "bias is float64 .*, expected float32",
    ),
    "NaN": (
        lambda path: _tensors(path, lambda some: some.update(more=np.full(3, np.nan))),
        "more holds numbers that are not finite",
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
        epoch=1,
        best=Best(1, 0.25),
        layout=ShuffleLayout(32, 4),
        partial=PartialEpoch(3, {"reconstruction": 1.5, "any other": 0.5}, 12),
        history=(metrics,),
    )
    save(tmp_path / "last.safetensors", whole)
    loaded = load(tmp_path / "last.safetensors")
    assert (loaded.layout, loaded.partial, loaded.history) == (
        whole.layout, whole.partial, whole.history,
    )  # fmt: skip


def test_before_the_first_epoch_there_is_no_best_loss(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    path = tmp_path / "last.safetensors"
    begun = replace(
        checkpoint,
        epoch=0,
        best=Best(0, math.inf),
        layout=ShuffleLayout(32, 4),
        partial=PartialEpoch(3, {"reconstruction": 1.5}, 12),
        history=(),
    )
    save(path, begun)
    assert (load(path).epoch, load(path).best) == (0, Best(0, math.inf))

    def older(metadata: dict[str, Any]) -> None:
        metadata |= {"format_version": 5, "best": {"epoch": 0, "validation_loss": math.inf}}
        del metadata["environment"], metadata["data"]["labels_digest"]

    _metadata(path, older)
    loaded = load(path)
    assert loaded.best == Best(0, math.inf)
    assert (loaded.environment, loaded.data.labels_digest) == (None, None)


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
        config = replace(checkpoint.config, neighbor_weight=weight)
        save(path, replace(checkpoint, config=config, epoch=1, best=Best(1, 0.25)))

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


def test_the_best_of_another_training_is_refused_by_name(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    folder = RunFolder(tmp_path)
    best = replace(checkpoint, tensors=checkpoint.parameters, history=())
    save(folder.best, best)
    save(folder.last, checkpoint)
    assert load(folder.best).epoch == 4
    # What says when to stop may have changed on resuming.
    save(folder.last, replace(checkpoint, config=replace(checkpoint.config, epochs=9)))
    assert load(folder.best).epoch == 4
    data = replace(checkpoint.data, fingerprint="0" * 64)
    for other in (
        replace(checkpoint, config=replace(checkpoint.config, seed=1)),
        replace(checkpoint, data=data),
    ):
        save(folder.last, other)
        with pytest.raises(InputError, match=r"best\.safetensors is of another training than last"):
            load(folder.best)
        load(folder.last)
    folder.last.write_bytes(b"damaged")
    assert load(folder.best).epoch == 4
