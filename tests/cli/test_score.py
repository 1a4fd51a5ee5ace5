import json
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from aecli.cli import main
from aecli.config import Config
from aecli.data import Dataset
from aecli.encode import load_model
from aecli.model.autoencoder import autoencoder
from aecli.pixels import unit_range
from aecli.run.checkpoint import load
from aecli.score.metrics import knn_accuracy


@pytest.fixture
def run(digits_run: Path, tmp_path: Path) -> Path:
    """Return a run with codes of its test and its training images."""
    folder = tmp_path / "run"
    shutil.copytree(digits_run, folder)
    for split in ("test", "train"):
        assert main(["encode", str(folder), "--split", split, "-q"]) == 0
    return folder


def _scores(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["score", *map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def own(small_config: Config) -> str:
    """Return the name of the run's map."""
    return f"aecli {small_config.recipe}"


def test_a_run_is_compared_with_pca(
    run: Path, own: str, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _scores(capsys, run)
    rows = digits.count("test")
    assert (report["data"], report["split"], report["rows"]) == ("digits", "test", rows)
    assert report["sample"] == rows
    mine, pca = report["maps"][own], report["maps"]["PCA"]
    summary = json.loads((run / "summary.json").read_text())
    assert mine["mse"] == pytest.approx(summary["test_mse"], rel=1e-5)
    assert pca["mse"] == pytest.approx(summary["pca_mse"], rel=1e-5)
    assert mine["psnr"] == pytest.approx(-10 * np.log10(mine["mse"]))
    assert mine["fit_seconds"] == summary["seconds"]
    labels, train_labels = digits.labels_of("test"), digits.labels_of("train")
    assert labels is not None
    assert train_labels is not None
    codes, train_codes = np.load(run / "codes.npy"), np.load(run / "codes-train.npy")
    expected = knn_accuracy(train_codes, train_labels, codes, labels)
    assert mine["knn_accuracy"] == pytest.approx(expected)
    for scores in (mine, pca):
        assert 0 < scores["place_seconds"] < 5
        for name in ("trustworthiness", "continuity"):
            assert all(0.5 < scores[name][count] < 1 for count in ("5", "15"))


def test_training_and_score_give_the_same_error_where_clipping_matters(
    tmp_path: Path, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "linear"
    arguments = ["--recipe", "plain", "--output", "linear", "--epochs", "3", "--hidden", "32,16"]
    assert main(["train", "digits", *arguments, "-o", str(run), "-q"]) == 0
    checkpoint = load(run / "best.safetensors")
    model = autoencoder(checkpoint.config, digits.image_shape, load_model(checkpoint).parameters)
    images = unit_range(digits.split("test").images)
    decoded = np.asarray(model.decoder(model.encoder(jnp.asarray(images))))
    errors = [np.square(pixels - images).mean() for pixels in (decoded, decoded.clip(0, 1))]
    assert decoded.min() < 0
    assert errors[0] > 1.001 * errors[1]
    summary = json.loads((run / "summary.json").read_text())
    scores = _scores(capsys, run)["maps"][f"aecli {checkpoint.config.recipe}"]
    assert scores["mse"] == pytest.approx(summary["test_mse"], rel=1e-6)
    assert scores["mse"] == pytest.approx(errors[1], rel=1e-5)


def test_codes_score_as_the_run_that_made_them(
    run: Path, own: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = _scores(capsys, run)["maps"][own]
    both = _scores(capsys, run / "codes.npy", "--train-codes", run / "codes-train.npy")
    codes = both["maps"]["codes.npy"]
    unlike = {"mse", "psnr", "fit_seconds", "place_seconds", "why"}
    assert {k: v for k, v in codes.items() if k not in unlike} == {
        k: v for k, v in mine.items() if k not in unlike
    }
    assert codes["why"].keys() | {"why"} == unlike
    assert all(codes[name] is None for name in codes["why"])
    alone = _scores(capsys, run / "codes.npy")["maps"]["codes.npy"]
    assert 0.3 < alone["knn_accuracy"] < 1


def test_codes_from_elsewhere_are_scored(
    idx_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "foreign.npy", np.random.default_rng(0).normal(size=(40, 3)))
    report = _scores(capsys, tmp_path / "foreign.npy", idx_folder)
    assert (report["split"], report["rows"]) == ("test", 40)
    assert 0.3 < report["maps"]["foreign.npy"]["trustworthiness"]["5"] < 0.7


def test_the_table_is_for_people(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(run / "codes.npy"), "--sample", "100"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == ["digits test", "codes.npy", "PCA"]
    assert lines[1][:2] == ["reconstruction mse", "no decoder"]
    assert {len(line) for line in lines} == {3}
    assert "of 100 of the" in err


def test_numbers_of_each_code_are_written_and_drawn(
    run: Path, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(run), "--per-point", "--stability", "2"]) == 0
    _, err = capsys.readouterr()
    assert "over 2 seeds" in err
    drawing = f"aecli plot {run}/codes.npy --color-by trust -o trust.png"
    assert err.rstrip().endswith(f"next: {drawing}")
    rows = digits.count("test")
    trust, error, moved = (np.load(run / f"codes.{n}.npy") for n in ("trust", "error", "moved"))
    for values in (trust, error, moved):
        assert values.shape == (rows,)
        assert values.dtype == np.float32
    assert 0 <= trust.min() < trust.max() <= 1
    summary = json.loads((run / "summary.json").read_text())
    assert error.mean() == pytest.approx(summary["test_mse"], rel=1e-5)
    for name in ("trust", "error", "moved"):
        picture = run / f"{name}.png"
        assert main(["plot", str(run), "--color-by", name, "-o", str(picture)]) == 0
        assert picture.stat().st_size > 10_000
    assert main(["score", str(run), "--per-point"]) == 2
    # Those of other codes are not theirs.
    other = ["--split", "validation", "-o", str(run / "codes.npy"), "--force"]
    assert main(["encode", str(run), *other]) == 0
    assert main(["plot", str(run), "--color-by", "trust", "-o", str(run / "again.png")]) == 2
    assert f"aecli score {run} --per-point --force makes it anew" in capsys.readouterr().err


def test_maps_are_drawn_side_by_side(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = run / "maps.png"
    report = _scores(capsys, run, "--picture", picture)
    assert report["written"] == [str(picture)]
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{run}", "--sample", "5"], "--sample must be at least 31, got 5"),
        (
            ["{run}", "--against", "pca"],
            "'pca' is unknown: expected one or more of umap, tsne, pacmap, localmap",
        ),
        (["{run}", "--against", "umap,,tsne"], "'' is unknown"),
        (["{run}", "--stability", "1"], "--stability must be at least 2"),
        (["{run}/codes.npy", "--stability", "2"], "--stability trains again"),
        (["{run}", "--train-codes", "x.npy"], "--train-codes goes with CODES"),
        (["{run}/codes.npy", "--split", "train"], "expected a code for each"),
        (["{run}/codes.npy", "--train-codes", "{run}/codes.npy"], "images in its train split"),
        (["{run}", "--picture", "{run}/maps.jpg"], "cannot tell the format"),
        (["{run}", "--picture", "{run}/codes.npy.png/x.png"], "codes.npy.png is a file, expected"),
        (["{run}", "--picture", "{run}/codes.npy.png"], "codes.npy.png exists already: --force"),
        (["{run}", "--split", "validation", "--per-point"], "codes-validation.npy, which does not"),
        (["{run}/foreign.npy"], "does not say what images it is of"),
        (["{run}/nothing.npy"], "nothing.npy"),
        (["{run}/nothing"], "no such run"),
    ],
)
def test_bad_input_is_one_line(
    run: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(run / "foreign.npy", np.zeros((5, 2)))
    (run / "codes.npy.png").write_bytes(b"")
    before = sorted(run.iterdir())
    capsys.readouterr()
    assert main(["score", *(word.format(run=run) for word in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len([line for line in err.splitlines() if line.startswith("aecli:")]) == 1
    assert sorted(run.iterdir()) == before


def test_methods_that_are_not_installed_are_named(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["score", str(run), "--against", "umap"]) == 2
    assert "umap-learn, which is not installed: pip install" in capsys.readouterr().err
    # Spaces after the commas are the user's.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name != "openTSNE" or None)
    assert main(["score", str(run), "--against", "umap, tsne"]) == 2
    assert "--against tsne needs openTSNE" in capsys.readouterr().err


def test_codes_are_not_overwritten_by_numbers_of_each_code(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = run / "codes.trust.npy"
    (run / "codes-train.npy").rename(train)
    arguments = ["score", str(run / "codes.npy"), "--train-codes", str(train), "--per-point"]
    before = train.read_bytes()
    assert main([*arguments, "--force"]) == 2
    assert "codes.trust.npy is read too" in capsys.readouterr().err
    assert train.read_bytes() == before


def test_training_images_do_not_vote_for_themselves(
    run: Path, own: str, capsys: pytest.CaptureFixture[str]
) -> None:
    everything, train = (_scores(capsys, run, "--split", split) for split in ("all", "train"))
    for name in (own, "PCA"):
        scores = [report["maps"][name]["knn_accuracy"] for report in (everything, train)]
        assert abs(scores[0] - scores[1]) < 0.1


def test_codes_of_another_split_are_not_taken_for_these(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = str(run / "codes.npy")
    assert main(["encode", str(run), "--split", "validation", "-o", codes, "--force"]) == 0
    assert main(["score", str(run), "--per-point"]) == 2
    error = capsys.readouterr().err
    assert "does not hold this run's codes of these images: aecli encode" in error
    assert main(error.rpartition("aecli ")[2].split()) == 0
    assert main(["score", str(run), "--per-point"]) == 0


def test_a_run_may_be_called_like_codes(
    run: Path, own: str, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed = run.rename(run.with_name("data.npy"))
    assert _scores(capsys, renamed)["maps"][own]["mse"] > 0


def test_numbers_that_lie_where_others_would_go_are_not_removed(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = run / "codes.error.npy"
    mine.write_bytes(b"mine")
    assert main(["encode", str(run), "--force"]) == 0
    assert main(["score", str(run), "--per-point"]) == 2
    assert "codes.error.npy exists already" in capsys.readouterr().err
    assert mine.read_bytes() == b"mine"


def test_a_resumed_run_shows_the_time_of_all_its_epochs(
    run: Path, own: str, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs = sum(epoch.seconds for epoch in load(run / "last.safetensors").history)
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"seconds": epochs / 10}))
    scored = _scores(capsys, run)["maps"][own]["fit_seconds"]
    assert scored == pytest.approx(epochs)
