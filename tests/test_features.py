from pathlib import Path

import numpy as np
import pytest

from aecli import features
from aecli.cli import main
from aecli.data import Dataset, Source, open_dataset
from aecli.features import TrainingFeatures
from aecli.neighbors import neighbor_graph
from aecli.pca import fit_on_training
from aecli.pixels import unit_rows
from aecli.run.checkpoint import load


def test_images_are_projected_some_at_a_time(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = fit_on_training(digits, 50)
    expected = components.project(unit_rows(digits.split("train").images))
    monkeypatch.setattr(features, "_ROWS_AT_A_TIME", 500)
    np.testing.assert_allclose(TrainingFeatures(digits).values, expected, atol=1e-5)


def _meaning(digits: Dataset, folder: Path) -> Path:
    """Write features by which digits of one label are near, whatever their pixels."""
    generator = np.random.default_rng(0)
    assert digits.labels is not None
    own = generator.normal(size=(10, 6))[digits.labels]
    np.save(folder / "meaning.npy", own + 0.01 * generator.normal(size=own.shape))
    return folder / "meaning.npy"


def test_neighbours_are_found_by_features(digits: Dataset, tmp_path: Path) -> None:
    path = _meaning(digits, tmp_path)
    dataset = open_dataset(Source("digits", features=str(path)))
    labels = dataset.labels_of("train")
    assert labels is not None
    graph = neighbor_graph(dataset, 5)
    assert (labels[graph.neighbors] == labels[:, np.newaxis]).all()
    # By pixels they are not.
    by_pixels = neighbor_graph(digits, 5).neighbors
    assert not (labels[by_pixels] == labels[:, np.newaxis]).all()
    assert graph.variance == neighbor_graph(digits, 5).variance


def test_a_run_by_features_resumes_and_encodes_without_them(
    digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, run = _meaning(digits, tmp_path), tmp_path / "run"
    words = ["train", "digits", "--hidden", "16,8", "--epochs", "2", "-o"]
    assert main([*words, str(run), "--features", str(path)]) == 0
    assert "neighbours by meaning.npy" in capsys.readouterr().err
    assert load(run / "best.safetensors").config.smoothing == 0
    assert main(["train", "--resume", "-o", str(run), "--epochs", "3", "--quiet"]) == 0
    assert load(run / "last.safetensors").epoch == 3
    path.unlink()
    assert main(["encode", str(run), "--quiet"]) == 0
    assert np.load(run / "codes.npy").shape == (360, 2)


@pytest.mark.parametrize(
    ("values", "words", "expected"),
    [
        (np.zeros((3, 2)), [], "has 3 rows, digits has 1,797 images"),
        (np.zeros(1797), [], "expected numbers (n, f), a row for each image"),
        (np.full((1797, 2), np.nan), [], "not finite: first in row 0"),
        (np.zeros((1797, 2)), ["--smoothing", "0.3"], "--features and --smoothing exclude"),
        (np.zeros((1797, 2)), ["--recipe", "plain"], "the plain recipe asks for none"),
    ],
)
def test_features_that_cannot_be_used_are_refused(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    words: list[str],
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save(tmp_path / "f.npy", values)
    path = str(tmp_path / "f.npy")
    run = tmp_path / "run"
    assert main(["train", "digits", "--features", path, "-o", str(run), *words]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not run.exists()
