"""A folder for a model hub: it is whole, it works, and it tells nothing of this machine."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.cli import main
from aecli.export.hub import FILES, _limits, _markdown
from tests.export.conftest import Untrained, save_run
from tests.export.test_onnx_files import GRAY


def test_a_folder_for_a_hub_works_and_tells_no_place(
    untrained: Untrained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = tmp_path / "secret-place"
    secret.mkdir()
    np.save(secret / "my|images.npy", GRAY)
    checkpoint, _ = untrained(secret / "my|images.npy", "plain")
    run = tmp_path / "run"
    save_run(checkpoint, run)
    (run / "summary.json").write_text('{"test_mse": 0.25, "pca_mse": 0.5, "seconds": 1.5}')
    hub = tmp_path / "hub"
    assert main(["export", str(run), "--format", "hub", "-o", str(hub)]) == 0
    said = capsys.readouterr().err
    assert "nothing is uploaded; the data's place on this machine is left out" in said
    assert {path.name for path in hub.iterdir()} == set(FILES)
    for path in hub.iterdir():
        assert b"secret-place" not in path.read_bytes()

    card = (hub / "README.md").read_text()
    _, head, body = card.split("---\n", 2)
    about = {key: json.loads(value) for key, value in re.findall(r"^([\w-]+): (.*)$", head, re.M)}
    assert about["library_name"] == "aecli"
    (result,) = about["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 0.25
    assert result["dataset"]["name"] == "my|images"
    assert "| name | my\\|images |" in body
    assert "| the same of PCA | 0.500 |" in body
    for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", body):
        with Image.open(hub / link) as picture:
            assert min(picture.size) > 100
    for command in re.findall(r"^aecli (\w+)", body, re.M):
        assert command in ("encode", "decode")

    # Whoever has the folder alone can use it.
    shutil.rmtree(run)
    monkeypatch.chdir(hub)
    np.save(tmp_path / "some.npy", GRAY[:20])
    assert main(["encode", ".", str(tmp_path / "some.npy"), "--split", "all", "-o", "c.npy"]) == 0
    import onnxruntime

    session = onnxruntime.InferenceSession("encoder.onnx")
    (codes,) = session.run(None, {"images": GRAY[:20, ..., np.newaxis]})
    np.testing.assert_allclose(codes, np.load("c.npy"), atol=1e-5 * np.abs(codes).max())


def test_what_the_file_tells_of_training_images_is_said(untrained: Untrained) -> None:
    checkpoint, _ = untrained(GRAY, "map", encoder="dense")
    assert "The encoder holds 48 training images, the pixels of each as 48 " in _limits(checkpoint)


def test_names_mean_nothing_to_markdown() -> None:
    assert _markdown("a|b <img> [x](y) `c`") == "a\\|b \\<img\\> \\[x\\](y) \\`c\\`"
