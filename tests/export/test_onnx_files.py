"""ONNX models compute what `aecli encode` and `aecli decode` do, and say what they take."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from aecli.cli import main
from aecli.encode import decode, encode, load_model
from aecli.errors import AecliError, InputError
from aecli.export import graph, onnx_files
from aecli.export.graph import decoder_graph, encoder_graph
from aecli.export.interface import interface_of
from aecli.export.proof import TOLERANCE, prove
from aecli.run.checkpoint import load
from tests.export.conftest import Untrained, save_run, with_other_bias
from tests.kinds import KINDS

GENERATOR = np.random.default_rng(1)
GRAY = GENERATOR.integers(0, 256, (60, 9, 7), np.uint8)
# So many that references are searched in groups.
MANY = GENERATOR.integers(0, 256, (1_300, 5, 4), np.uint8)
COLOR = GENERATOR.integers(0, 256, (60, 17, 14, 3), np.uint8)
DEEP = GENERATOR.integers(0, 65_536, (60, 6, 5), np.uint16)
# All in a sliver of their type: what they use is taken as 0..1.
LEVELS = GENERATOR.integers(3, 20, (60, 6, 5), np.uint8)
VECTORS = GENERATOR.normal([30, -2, 0.5, 1e3], [2, 9, 0.1, 50], (60, 4)).astype(np.float32)


def run_onnx(model: Any, values: Any) -> Any:
    """Return what a model makes of a batch."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (given,), (result,) = session.get_inputs(), session.get_outputs()
    assert given.shape[0] == result.shape[0] == "n"
    return session.run(None, {given.name: values})[0]


@pytest.mark.parametrize(
    ("images", "recipe", "settings", "input_type"),
    [
        *((COLOR, recipe, settings, None) for recipe, settings in KINDS.values()),
        (GRAY, "plain", {"activation": "gelu", "output": "linear", "latent": 5}, "float32"),
        (MANY, "map", {"encoder": "dense"}, None),
        (COLOR, "map", {"encoder": "conv", "placing": "encoder"}, "uint16"),
        (DEEP, "plain", {"activation": "elu", "latent": 1}, None),
        (LEVELS, "plain", {"activation": "tanh"}, "uint8"),
        (VECTORS, "plain", {"activation": "relu"}, None),
    ],
    ids=(*KINDS, "gelu", "groups", "16 bit input", "16 bits", "levels", "vectors"),
)
def test_every_model_is_computed_as_aecli_does(
    images: Any, recipe: str, settings: dict[str, Any], input_type: str | None, untrained: Untrained
) -> None:
    checkpoint, dataset = untrained(images, recipe, **settings)
    interface = interface_of(checkpoint, input_type)
    encoder, decoder = (make(checkpoint, interface, {}) for make in (encoder_graph, decoder_graph))
    for model in (encoder, decoder):
        onnx.checker.check_model(model, full_check=True)
    proof = prove(checkpoint, interface, encoder, decoder, dataset)
    assert 0 < proof.codes <= TOLERANCE
    assert 0 < proof.images <= TOLERANCE
    # What goes in is what was in the file, in any type that has room for it.
    rows = dataset.rows("test")
    if images.dtype == interface.dtype:
        np.testing.assert_allclose(interface.outer(dataset.images[rows]).reshape(-1),
                                   images[rows].reshape(-1), rtol=1e-6)  # fmt: skip
        np.testing.assert_allclose(
            run_onnx(encoder, images[rows].reshape(-1, *interface.shape)),
            encode(load_model(checkpoint), dataset.images[rows]),
            atol=1e-5,
        )


def test_what_is_placed_by_features_takes_them_too(untrained: Untrained, tmp_path: Path) -> None:
    features = GENERATOR.normal(size=(60, 5)).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    checkpoint, dataset = untrained(GRAY, "map", tmp_path / "features.npy", encoder="dense")
    interface = interface_of(checkpoint)
    assert interface.input_words.endswith("0..255; features: float32 (n, 5)")
    models = [make(checkpoint, interface, {}) for make in (encoder_graph, decoder_graph)]
    for data in (dataset, None):
        proof = prove(checkpoint, interface, models[0], models[1], data)
        assert 0 < proof.codes <= TOLERANCE
    # With others an image lies elsewhere.
    session = onnxruntime.InferenceSession(models[0].SerializeToString())
    pixels = GRAY[:9, ..., np.newaxis]
    near, far = (
        session.run(None, {"images": pixels, "features": some})[0]
        for some in (features[:9], features[9:18])
    )
    assert np.abs(near - far).max() > 0.1


def test_vectors_come_back_in_their_own_units(untrained: Untrained) -> None:
    checkpoint, _ = untrained(VECTORS, "plain")
    interface = interface_of(checkpoint)
    codes = np.array([[0.5, -1.0], [2.0, 3.0]], np.float32)
    mean, deviation = np.array(checkpoint.data.source.columns)
    inner = decode(load_model(checkpoint), codes).reshape(2, 4)
    found = run_onnx(decoder_graph(checkpoint, interface, {}), codes)
    np.testing.assert_allclose(found, inner * deviation + mean, rtol=1e-5)


def test_a_run_is_exported_for_any_batch_and_says_what_it_takes(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", str(run), "--quiet"]) == 0
    assert main(["decode", str(run), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["export", str(run)]) == 0
    captured = capsys.readouterr()
    folder = run / "onnx"
    assert captured.out.splitlines() == [f"{folder}/encoder.onnx", f"{folder}/decoder.onnx"]
    assert "images: uint8 (n, 8, 8, 1), 0..255, to codes (n, 2) and back; within " in captured.err
    assert "e-07 of aecli encode and decode on 360 test and 100 training images" in captured.err
    assert "what aecli encode does before, they do not: stretch others to 8x8" in captured.err
    assert {path.name for path in folder.iterdir()} == {"encoder.onnx", "decoder.onnx"}
    encoder, decoder = (onnx.load(folder / f"{part}.onnx") for part in ("encoder", "decoder"))
    about = {one.key: one.value for one in encoder.metadata_props}
    assert about["run"] == "run"
    assert about["model_sha256"] == load(run / "best.safetensors").model_hash
    assert (about["opset"], encoder.opset_import[0].version) == ("17", 17)
    assert about["input"] == "images: uint8 (n, 8, 8, 1), 0..255"
    assert json.loads(about["class_names"]) == [str(digit) for digit in range(10)]
    assert str(run.parent) not in str(about)

    from sklearn.datasets import load_digits

    codes, images = np.load(run / "codes.npy"), np.load(run / "images.npy")
    # Levels 0 to 16, as the package has them; the last fifth is the test split.
    pixels = np.rint(load_digits().images[-360:, ..., np.newaxis] * 255 / 16).astype(np.uint8)
    for batch in (1, 7, 360):
        found = run_onnx(encoder, pixels[:batch])
        np.testing.assert_allclose(found, codes[:batch], atol=1e-5 * np.abs(codes).max())
        np.testing.assert_allclose(run_onnx(decoder, codes[:batch]), images[:batch], atol=1e-5)
    assert main(["export", str(run)]) == 2
    assert "encoder.onnx exists already: --force replaces it" in capsys.readouterr().err
    assert main(["export", str(run), "--force", "--input", "float32", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["input"] == "images: float32 (n, 8, 8, 1), 0..1"
    assert 0 < facts["codes"] < 1e-6
    found = run_onnx(onnx.load(folder / "encoder.onnx"), (pixels / 255).astype(np.float32))
    np.testing.assert_allclose(found, codes, atol=1e-5 * np.abs(codes).max())


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_what_computes_something_else_is_not_written(
    part: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = getattr(graph, f"{part}_graph")
    monkeypatch.setattr(
        graph, f"{part}_graph", lambda model, *rest: make(with_other_bias(model, part), *rest)
    )
    assert main(["export", str(run)]) == 1
    error = capsys.readouterr().err
    assert "the ONNX models differ from the run's own by " in error
    assert not (run / "onnx").exists()


def test_without_its_data_a_run_is_proven_on_decoded_images(
    untrained: Untrained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, _ = untrained(GRAY, "plain")
    save_run(checkpoint, tmp_path / "gone")
    (tmp_path / "images.npy").unlink()
    assert main(["export", str(tmp_path / "gone")]) == 0
    error = capsys.readouterr().err
    assert "without the run's images: " in error
    assert "on 1,000 images decoded from random codes" in error


def test_what_is_too_large_for_the_format_is_refused(
    untrained: Untrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, dataset = untrained(GRAY, "plain")
    monkeypatch.setattr(onnx_files, "_MOST_BYTES", 4_000)
    with pytest.raises(InputError, match=r"a file of ONNX holds .* take --format torch"):
        onnx_files.onnx_models(checkpoint, interface_of(checkpoint), "run", dataset)


def test_a_model_that_rounding_moves_further_is_compared_with_that(
    untrained: Untrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, dataset = untrained(GRAY, "classic")
    interface = interface_of(checkpoint)
    models = [make(checkpoint, interface, {}) for make in (encoder_graph, decoder_graph)]
    monkeypatch.setattr("aecli.export.proof.TOLERANCE", 1e-9)
    proof = prove(checkpoint, interface, models[0], models[1], dataset)
    assert 1e-9 < proof.moved < 1e-5
    assert "; the last bit of what goes in moves this model by " in proof.words
    monkeypatch.setattr("aecli.export.proof._MOST_BITS", 0)
    with pytest.raises(AecliError, match="more than 1e-09 and than rounding explains"):
        prove(checkpoint, interface, models[0], models[1], dataset)
    # What is no number is no proof.
    monkeypatch.setattr("aecli.export.proof._Half.apart", lambda *rest: np.full(1_000, np.nan))
    with pytest.raises(AecliError, match="differ"):
        prove(checkpoint, interface, models[0], models[1], dataset)
