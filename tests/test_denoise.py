"""`aecli denoise`: images encoded and decoded, with noise added before or as they are."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.cli import main
from aecli.config import with_settings
from aecli.data import Dataset
from aecli.encode import decode, encode, load_model
from aecli.model.references import reference_shapes
from aecli.pixels import unit_range
from aecli.run.checkpoint import Checkpoint, load, to_bytes
from aecli.run.folder import RunFolder

QUIET = ("--json", "--quiet")


def _changed(run: Path, folder: Path, checkpoint: Checkpoint) -> Path:
    """Write the best checkpoint of a run as another one's."""
    folder.mkdir()
    RunFolder(folder).best.write_bytes(to_bytes(replace(checkpoint, history=())))
    return folder


def _psnr(made: npt.NDArray[np.float32], clean: npt.NDArray[np.float32]) -> float:
    return float(
        np.mean([-10 * np.log10(np.mean((m - c) ** 2)) for m, c in zip(made, clean, strict=True)])
    )


def test_images_come_back_as_their_codes_decode_whatever_the_batch(
    digits_run: Path, digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "clean.npy"
    assert main(["denoise", str(digits_run), "-o", str(out)]) == 0
    said = capsys.readouterr().err
    assert "trained without noise: it gives images back, and was not taught to clean" in said
    assert f"next: aecli denoise {digits_run} -o {tmp_path / 'clean.png'}\n" in said
    assert "PSNR" not in said
    model = load_model(load(RunFolder(digits_run).best))
    expected = decode(model, encode(model, digits.split("test").images))
    np.testing.assert_allclose(np.load(out), expected, atol=1e-6)
    assert main(["denoise", str(digits_run), "-o", str(out), "--batch-size", "1", *QUIET]) == 2
    assert "--force" in capsys.readouterr().err
    again = ["-o", str(out), "--batch-size", "1", "--memory", "1MB", "--force", "--uint8", *QUIET]
    before = np.load(out)
    assert main(["denoise", str(digits_run), *again]) == 0
    np.testing.assert_array_equal(np.load(out), np.rint(before * 255).astype(np.uint8))


def test_noise_that_is_added_is_measured(
    digits_run: Path, digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = load(RunFolder(digits_run).best)
    noisy = replace(best, config=with_settings(best.config, {"noise": "salt:0.25"}))
    run = _changed(digits_run, tmp_path / "run", noisy)
    spoil = ["denoise", str(run), "digits", "--split", "test", "--add-noise", "salt:0.2"]
    out = tmp_path / "clean.npy"
    assert main([*spoil, "-o", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    assert "trained with salt:0.25 noise; the encoder alone gives the codes" in printed.err
    found = json.loads(printed.out)
    clean = unit_range(digits.split("test").images)
    made = np.load(out)
    assert found["after"]["psnr"] == pytest.approx(_psnr(made, clean), rel=1e-5)
    assert found["after"]["mse"] == pytest.approx(np.square(made - clean).mean(), rel=1e-5)
    # A fifth of the pixels: half of these are off by the pixel, half by what is missing to white.
    off = (np.square(clean).mean() + np.square(1 - clean).mean()) / 2
    assert found["before"]["mse"] == pytest.approx(0.2 * off, rel=0.08)
    said = (
        f"{found['before']['psnr']:.2f} dB with salt:0.2, {found['after']['psnr']:.2f} dB cleaned"
    )
    assert f"PSNR, mean of 360 images: {said}" in printed.err
    assert main([*spoil, "-o", str(out), "--force", "--seed", "1", *QUIET]) == 0
    other = json.loads(capsys.readouterr().out)
    assert 0 < abs(other["before"]["mse"] - found["before"]["mse"]) < 0.08 * found["before"]["mse"]


def test_a_picture_shows_the_first_images(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "clean.png"
    words = ["--count", "3", "--add-noise", "gaussian:0.1", "-o", str(out), "--json"]
    assert main(["denoise", str(digits_run), *words]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rows"] == 3
    assert "wrote 3 images of 8x8x1" in printed.err
    assert out.read_bytes().startswith(b"\x89PNG")


def test_neighbours_have_no_say(digits_run: Path, digits: Dataset, tmp_path: Path) -> None:
    """All images would be placed at one code among these."""
    best = load(RunFolder(digits_run).best)
    names = reference_shapes(64, 20, 4, best.config.latent)
    ones: dict[str, Any] = {name: np.ones(shape, kind) for name, (shape, kind) in names.items()}
    config = with_settings(best.config, {"placing": "neighbors"})
    among = replace(best, config=config, tensors={**best.tensors, **ones})
    run = _changed(digits_run, tmp_path / "run", among)
    outs = [tmp_path / "one.npy", tmp_path / "other.npy"]
    for folder, out in zip((digits_run, run), outs, strict=True):
        assert main(["denoise", str(folder), "-o", str(out), "--quiet"]) == 0
    np.testing.assert_array_equal(*map(np.load, outs))
    # Nor do features, which new images need not have.
    data = replace(among.data, source=replace(among.data.source, features="gone.npy"))
    run = _changed(digits_run, tmp_path / "features", replace(among, data=data))
    third = str(tmp_path / "third.npy")
    assert main(["denoise", str(run), "digits", "--split", "test", "-o", third, "--quiet"]) == 0
    np.testing.assert_array_equal(np.load(third), np.load(outs[0]))
    assert np.ptp(np.load(outs[0]), axis=0).max() > 0.1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--count", "0"], "--count must lie in 1..50, got 0"),
        (["--count", "51"], "--count must lie in 1..50, got 51"),
        (["--add-noise", "salt"], "--add-noise 'salt': expected none, gaussian:DEVIATION"),
        (["--seed", "-1"], "--seed must be in 0..4294967295"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["-o", "clean.txt"], "clean.txt"),
        (["-o", "{run}/best.safetensors.npy", "--split", "nothing"], "nothing"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str],
    expected: str,
    digits_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.format(run=tmp_path) for word in words]
    assert main(["denoise", str(digits_run), "-o", "clean.npy", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert expected in lines[-1]
    assert len(lines[-1]) <= 300
    assert not list(tmp_path.iterdir())


def test_what_is_read_is_not_written(digits_run: Path, tmp_path: Path) -> None:
    images = tmp_path / "images.npy"
    np.save(images, np.zeros((3, 8, 8), np.uint8))
    before = images.read_bytes()
    assert main(["denoise", str(digits_run), str(images), "-o", str(images), "--force"]) == 2
    assert images.read_bytes() == before
