"""Vectors that another network made go through every command without a flag."""

import json
from pathlib import Path

import numpy as np
import pytest

from aecli.cli import main
from aecli.data import open_dataset
from aecli.data.describe import first_images
from aecli.plot.images import lines_figure, reconstructions_figure
from aecli.plot.kinds import PLOTS
from aecli.plot.options import PlotOptions
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder

GENERATOR = np.random.default_rng(0)
LABELS = np.arange(120) % 4
VECTORS = (GENERATOR.normal(0, 0.1, (4, 12))[LABELS] + GENERATOR.normal(0, 0.02, (120, 12))).astype(
    np.float32
)
# The quickest recipe, with which more epochs change nothing of the first ones.
QUICK = ["--recipe", "plain", "--hidden", "16", "--schedule", "constant", "--quiet"]
TRAIN = ["train", "vectors.npy", *QUICK]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of vectors and of a run on them, of four epochs."""
    folder = tmp_path_factory.mktemp("vectors")
    np.save(folder / "vectors.npy", VECTORS[:100])
    np.save(folder / "later.npy", VECTORS[100:] * 1.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TRAIN, "--epochs", "4", "-o", "run"]) == 0
    return folder


def test_a_run_that_is_resumed_is_the_same_bits(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert main([*TRAIN, "--epochs", "2", "-o", "resumed"]) == 0
    assert main(["train", "--resume", "--epochs", "4", "-o", "resumed", "--quiet"]) == 0
    straight, resumed = (load(RunFolder(place / name).last) for name in ("run", "resumed"))
    assert resumed.data.source == straight.data.source
    assert resumed.data.source.columns is not None
    assert resumed.tensors.keys() == straight.tensors.keys()
    for name, values in straight.tensors.items():
        np.testing.assert_array_equal(resumed.tensors[name], values)


def test_later_vectors_are_encoded_and_those_that_reach_further_are_counted(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["encode", "run", "later.npy", "-o", "later-codes.npy"]) == 0
    source = load(RunFolder(place / "run").best).data.source
    assert source.columns is not None
    assert source.reach is not None
    mean, deviation = map(np.array, source.columns)
    far = np.abs((VECTORS[100:] * 1.5 - mean) / deviation).max(axis=1) > source.reach
    assert far.sum() > 0
    said = capsys.readouterr().err
    assert f"{far.sum()} of 20 vectors are further from the mean than any" in said
    assert np.load("later-codes.npy").shape == (20, 2)
    for flags, words in (
        (["--rescale", "0,1"], "--rescale does not fit: the run was trained on vectors"),
        (["--size", "4"], "--size 4x4 does not fit"),
    ):
        assert main(["encode", "run", "later.npy", "-o", "no.npy", *flags]) == 2
        assert words in capsys.readouterr().err
    assert main(["encode", "run", "digits", "-o", "no.npy"]) == 2
    assert "digits has 64 numbers per row, as images: expected vectors of 12" in (
        capsys.readouterr().err
    )


def test_pictures_draw_a_vector_as_a_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    dataset = open_dataset("vectors.npy")
    figure = PLOTS["reconstructions"].draw(Path("run"), PlotOptions(count=3))
    lines = [axes.lines[0].get_ydata() for axes in figure.axes]
    assert len(lines) == 6
    np.testing.assert_array_equal(lines[:3], dataset.split("test").images[:3].reshape(3, 12))
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert not any(axes.images for axes in figure.axes)
    figure = lines_figure(first_images(dataset, 5), 5)
    drawn = [axes.lines[0].get_ydata() for axes in figure.axes if axes.lines]
    np.testing.assert_array_equal(drawn, dataset.split("train").images[:5].reshape(5, 12))
    assert main(["data", "show", "vectors.npy", "--picture", "grid.png"]) == 0
    # Numbers that are all equal have no scale.
    equal = np.ones((1, 1, 4, 1), np.float32)
    reconstructions_figure(equal, equal, "x", lines=True)


def test_a_score_of_vectors_has_no_ratio_to_a_peak(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["score", "run", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["maps"]
    for one in scores.values():
        assert one["mse"] is not None
        assert one["psnr"] is None
        assert one["why"]["psnr"] == "vectors have no peak"


def test_vectors_are_cleaned_in_their_own_units(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    words = ["denoise", "run", "later.npy", "--add-noise", "gaussian:0.5"]
    assert main([*words, "-o", "clean.npy", "--json"]) == 0
    printed = capsys.readouterr()
    assert "wrote 20 vectors of 12 numbers" in printed.err
    assert "mean squared error, columns in deviations: " in printed.err
    # Nothing is clipped: a deviation of 0.5 has a mean square of 0.25.
    assert json.loads(printed.out)["before"]["mse"] == pytest.approx(0.25, rel=0.2)
    columns = load(RunFolder(place / "run").best).data.source.columns
    assert columns is not None
    error = np.square((np.load("clean.npy") - VECTORS[100:] * 1.5) / np.array(columns[1])).mean()
    assert error == pytest.approx(json.loads(printed.out)["after"]["mse"], rel=1e-3)
    assert main([*words, "-o", "clean.png", "--quiet"]) == 0
    for refused in (["--uint8"], ["--add-noise", "salt:0.1"]):
        assert main([*words, *refused, "-o", "x.npy", "--quiet"]) == 2
    assert main(["train", "vectors.npy", "--noise", "salt:0.1", "-o", "x", "--quiet"]) == 2
    assert "choose gaussian or mask" in capsys.readouterr().err
