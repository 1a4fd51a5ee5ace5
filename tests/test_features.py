import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecli import features
from aecli.cli import main
from aecli.data import Dataset, Source, open_dataset
from aecli.encode import decode, encode, encode_split, image_errors, load_model
from aecli.features import TrainingFeatures
from aecli.neighbors import neighbor_graph
from aecli.pca import fit_on_training
from aecli.pixels import unit_rows
from aecli.run.checkpoint import load, to_bytes
from aecli.run.folder import RunFolder
from aecli.train.job import new_job
from aecli.train.loop import Stopped, train


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
    np.save(folder / "meaning.npy", own + 0.1 * generator.normal(size=own.shape))
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


# What trains quickly: a small network that places images by features.
PLACED = ("--recipe", "plain", "--placing", "neighbors", "--neighbor-weight", "1", "--quiet")
QUICK = (*PLACED, "--hidden", "16,8", "--epochs", "2", "--batch-size", "64")


@pytest.fixture(scope="module")
def by_features(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that places images by features, `run`, and of its features."""
    folder = tmp_path_factory.mktemp("by-features")
    path = _meaning(digits, folder)
    words = ["train", "digits", *QUICK, "--features", str(path), "-o", str(folder / "run")]
    assert main(words) == 0
    return folder


@pytest.fixture
def own(by_features: Path, tmp_path: Path) -> Path:
    """Return a copy of the run, whose features lie where they were when it was trained."""
    shutil.copytree(by_features / "run", tmp_path / "run")
    return tmp_path / "run"


def _error(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert len(error) <= 300
    return error


def test_images_are_placed_by_what_is_near_by_features(by_features: Path) -> None:
    checkpoint = load(by_features / "run" / "best.safetensors")
    dataset = open_dataset(Source("digits", features=str(by_features / "meaning.npy")))
    model, rows = load_model(checkpoint), dataset.features_of("test")
    assert rows is not None
    images, labels = dataset.split("test").images, dataset.labels_of("test")
    codes = encode(model, images, rows)
    # With the features of another image an image lies where that one does, but for a fifth.
    shifted = encode(model, images, np.roll(rows, 1, axis=0))
    assert not np.allclose(codes, shifted, atol=0.05)
    # Digits of one label are near: they lie together, whatever their pixels.
    assert labels is not None
    within = np.mean([codes[labels == label].std(axis=0).mean() for label in range(10)])
    alone = encode(replace(model, references=None, by_features=False), images)
    apart = np.mean([alone[labels == label].std(axis=0).mean() for label in range(10)])
    assert within < 0.9 * apart


def test_a_code_depends_on_the_features_of_its_image_alone(by_features: Path) -> None:
    checkpoint = load(by_features / "run" / "best.safetensors")
    assert checkpoint.places_by_features
    dataset = open_dataset(Source("digits", features=str(by_features / "meaning.npy")))
    model, features = load_model(checkpoint), dataset.features_of("test")
    assert features is not None
    codes = encode_split(checkpoint, dataset, "test").gather().values
    pixels = dataset.split("test").images
    for size in (1, 7, 100):
        some = encode(model, pixels[:9], features[:9], batch_size=size)
        np.testing.assert_array_equal(some, codes[:9])
    order = np.random.default_rng(0).permutation(len(features))
    np.testing.assert_array_equal(encode(model, pixels[order], features[order]), codes[order])
    images = dataset.split("test").images[:5].reshape(5, -1) / np.float32(255)
    decoded = decode(model, codes[:5]).reshape(5, -1)
    mean_error = image_errors(checkpoint, dataset, "test")[:5]
    np.testing.assert_allclose(np.square(images - decoded).mean(axis=1), mean_error, rtol=1e-3)


def test_a_training_that_was_stopped_resumes_to_the_same_bits(by_features: Path, own: Path) -> None:
    whole, folder = load(by_features / "run" / "last.safetensors"), RunFolder(own)
    dataset = open_dataset(whole.data.source)
    shutil.rmtree(own)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    assert train(dataset, whole.config, folder, stop=stop) == Stopped(True)
    assert load(folder.last).epoch == 1
    assert main(["train", "--resume", "-o", str(own), "--quiet"]) == 0
    resumed = load(folder.last)
    for name in whole.tensors:
        np.testing.assert_array_equal(whole.tensors[name], resumed.tensors[name])


def test_streamed_images_are_placed_as_in_memory(by_features: Path, tmp_path: Path) -> None:
    words = ["train", "digits", *QUICK, "--features", str(by_features / "meaning.npy")]
    words += ["--epochs", "1", "--memory", "220kB", "-o", str(tmp_path / "streamed")]
    assert main(words) == 0
    streamed = load(tmp_path / "streamed" / "best.safetensors")
    assert load(tmp_path / "streamed" / "last.safetensors").layout is not None
    in_memory = load(by_features / "run" / "best.safetensors")
    name = "references.coordinates"
    np.testing.assert_array_equal(streamed.tensors[name], in_memory.tensors[name])
    summary = json.loads((tmp_path / "streamed" / "summary.json").read_text())
    errors = image_errors(streamed, open_dataset(streamed.data.source), "test")
    assert errors.mean() == pytest.approx(summary["test_mse"], rel=1e-4)


def test_features_in_another_order_than_the_images_are_noticed(
    digits: Dataset, tmp_path: Path
) -> None:
    folder, path = RunFolder(tmp_path / "run"), _meaning(digits, tmp_path)
    source = Source("digits", features=str(path))
    assert new_job(folder, {}, source).note is None
    np.save(path, np.roll(np.load(path), 500, axis=0))
    note = new_job(folder, {}, source).note
    assert note is not None
    assert "near by meaning.npy differ as much as any two" in note


def test_new_images_are_placed_by_their_features(
    digits: Dataset, by_features: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own.parent
    images, features = digits.images[1437:1537], np.load(by_features / "meaning.npy")[1437:1537]
    np.save(folder / "new.npy", images)
    np.save(folder / "f.npy", features)
    new, f = str(folder / "new.npy"), str(folder / "f.npy")
    assert main(["encode", str(own), "--quiet"]) == 0
    named = ["encode", str(own), new, "-o", str(folder / "new-codes.npy")]
    assert main([*named, "--features", f]) == 0
    codes = np.load(folder / "new-codes.npy")
    np.testing.assert_array_equal(codes, np.load(own / "codes.npy")[:100])
    assert "--features not used" not in capsys.readouterr().err
    assert "expected --features FILE.npy, a row of 6 numbers" in _error([*named, "--force"], capsys)
    score = ["score", str(own), new]
    assert "expected --features FILE.npy" in _error(score, capsys)
    assert main([*score, "--features", f, "--quiet"]) == 0
    np.save(folder / "f5.npy", features[:, :5])
    wrong = [*named, "--force", "--features", str(folder / "f5.npy")]
    assert "has rows of 5 numbers, those of the run have 6" in _error(wrong, capsys)
    np.save(folder / "few.npy", features[:3])
    wrong = [*named, "--force", "--features", str(folder / "few.npy")]
    assert "has 3 rows, new has 100 images" in _error(wrong, capsys)
    wrong = [*named, "--features", f, "-o", f, "--force"]
    assert "is read too" in _error(wrong, capsys)
    assert "goes with a RUN" in _error(
        ["score", str(own / "codes.npy"), *score[2:], *wrong[-5:-3]], capsys
    )


def test_features_that_are_gone_or_have_changed_are_said(
    digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, run = _meaning(digits, tmp_path), tmp_path / "run"
    assert main(["train", "digits", *QUICK, "--features", str(path), "-o", str(run)]) == 0
    assert main(["encode", str(run), "--quiet"]) == 0
    values = np.load(path)
    np.save(path, values + 1)
    others = ["--split", "train"]
    for words in (["encode", str(run), *others], ["explore", str(run), *others]):
        assert "meaning.npy has changed since the run was trained" in _error(words, capsys)
    assert "has changed" in _error(["train", "--resume", "-o", str(run), "--epochs", "9"], capsys)
    path.unlink()
    for words in (
        ["encode", str(run), *others],
        ["score", str(run)],
        ["explore", str(run), *others],
        ["plot", str(run), "--kind", "worst"],
        ["plot", str(run), "--kind", "reconstructions"],
    ):
        assert "places images by features: " in _error(words, capsys)
    # What needs no codes anew goes on.
    capsys.readouterr()
    assert main(["explore", str(run)]) == 0
    assert "the page places no new images" in capsys.readouterr().err
    assert main(["plot", str(run / "codes.npy"), "--quiet"]) == 0


def test_a_run_whose_encoder_alone_places_says_so(
    digits: Dataset, digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, run = _meaning(digits, tmp_path), tmp_path / "run"
    shutil.copytree(digits_run, run)
    # As if its neighbours had been found by features.
    best = load(run / "best.safetensors")
    source = replace(best.data.source, features=str(path))
    (run / "last.safetensors").unlink()
    best = replace(best, data=replace(best.data, source=source))
    (run / "best.safetensors").write_bytes(to_bytes(best))
    named = ["encode", str(run), "digits", "--features", str(path)]
    assert main([*named, "-o", str(tmp_path / "named.npy")]) == 0
    assert "--features not used: the run's encoder alone places images" in capsys.readouterr().err
    path.unlink()
    assert main(["encode", str(run), "--quiet"]) == 0
    np.testing.assert_array_equal(np.load(run / "codes.npy"), np.load(tmp_path / "named.npy"))


def test_a_run_that_knows_no_features_refuses_them(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["encode", str(digits_run), "digits", "--features", "f.npy"]
    expected = "--features does not fit: the run was trained without"
    assert expected in _error([*words, "-o", str(tmp_path / "c.npy")], capsys)


@pytest.mark.parametrize(
    ("values", "words", "expected"),
    [
        (np.zeros((3, 2)), [], "has 3 rows, digits has 1,797 images"),
        (np.zeros(1797), [], "expected numbers (n, f), a row for each image"),
        (np.full((1797, 2), np.nan), [], "not finite: first in row 0"),
        (np.zeros((1797, 2)), [], "the same numbers for all training images"),
        (np.full((1797, 2), 1e20), [], "holds numbers up to 1e+20"),
        (np.eye(1797, 2), ["--recipe", "plain"], "the plain recipe asks for none"),
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
    assert expected in _error(
        ["train", "digits", "--features", path, "-o", str(run), *words], capsys
    )
    assert not run.exists()
