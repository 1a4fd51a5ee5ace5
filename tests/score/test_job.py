import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from aecli.config import SplitName
from aecli.data import Dataset
from aecli.encode import encode_split
from aecli.errors import InputError
from aecli.run.checkpoint import load
from aecli.run.codes import write_codes
from aecli.score.job import CodesJob, RunJob, codes_job, run_job, score_job


@pytest.fixture
def run(digits_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(digits_run, tmp_path / "run"))


@pytest.fixture
def encoded(run: Path, digits: Dataset) -> Callable[[SplitName, str], Path]:
    """Return a function that writes the run's codes of a split of the digits under a name."""
    checkpoint = load(run / "best.safetensors")

    def write(split: SplitName, name: str) -> Path:
        path = run / name
        write_codes(path, encode_split(checkpoint, digits, split))
        return path

    return write


def _unlike_the_digits(folder: Path, *, rows: int = 60) -> Path:
    """Return images of the shape of the digits in one file without splits."""
    path = folder / "others.npy"
    np.save(path, np.random.default_rng(0).integers(0, 255, (rows, 8, 8), np.uint8))
    return path


def test_importing_the_job_imports_no_jax() -> None:
    program = "import sys, aecli.score.job; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "aecli.score.job" in imported
    assert not {"jax", "flax", "sklearn", "matplotlib"} & imported


def test_a_run_is_scored_by_its_best_parameters_on_its_own_test_images(
    run: Path, digits: Dataset
) -> None:
    job = run_job(run)
    assert job.checkpoint.model_hash == load(run / "best.safetensors").model_hash
    assert job.dataset.fingerprint == digits.fingerprint
    assert (job.split, job.codes_path, job.location) == ("test", run / "codes.npy", None)
    assert job.dimensions == 2
    assert job.folder.path == run
    assert run_job(run / "last.safetensors").codes_path == run / "codes.npy"


def test_the_codes_of_another_split_have_a_name_of_their_own(run: Path) -> None:
    job = run_job(run, split="validation")
    assert (job.split, job.codes_path) == ("validation", run / "codes-validation.npy")


def test_all_images_of_a_named_data_set_without_splits_are_scored(
    run: Path, tmp_path: Path
) -> None:
    path = _unlike_the_digits(tmp_path)
    job = run_job(run, str(path))
    assert (job.split, job.dataset.count("all")) == ("all", 60)
    assert job.location == str(path)
    assert job.fit_seconds is None
    assert run_job(run, str(path), split="test").split == "test"


def test_options_say_how_the_images_of_a_run_are_treated(run: Path, tmp_path: Path) -> None:
    path = str(_unlike_the_digits(tmp_path))
    assert run_job(run, path, {"rescale": (0.0, 510.0)}).dataset.source.rescale == (0, 510)
    with pytest.raises(InputError, match="--rescale without a DATASET"):
        run_job(run, options={"rescale": (0.0, 510.0)})


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1_000.0, "summary"), (0.0, "epochs"), (None, None)]
)
def test_the_time_to_fit_is_that_of_all_epochs_at_least(
    run: Path, seconds: float | None, expected: str | None
) -> None:
    summary = run / "summary.json"
    if seconds is None:
        summary.unlink()
    else:
        values = json.loads(summary.read_text())
        summary.write_text(json.dumps(values | {"seconds": seconds}))
    epochs = sum(epoch.seconds for epoch in load(run / "last.safetensors").history)
    times = {"summary": seconds, "epochs": epochs, None: None}
    assert run_job(run).fit_seconds == times[expected]


def test_the_time_to_fit_is_known_without_the_last_checkpoint(run: Path) -> None:
    (run / "last.safetensors").unlink()
    assert run_job(run).fit_seconds == json.loads((run / "summary.json").read_text())["seconds"]


def test_codes_of_the_run_and_its_images_are_accepted(
    run: Path, encoded: Callable[[SplitName, str], Path]
) -> None:
    encoded("test", "codes.npy")
    run_job(run).read_codes()
    encoded("train", "codes-train.npy")
    run_job(run, split="train").read_codes()


def test_codes_that_are_missing_are_refused(run: Path, tmp_path: Path) -> None:
    words = f"{run}/codes.npy, which does not exist: aecli encode {run} --split test -o {run}/"
    with pytest.raises(InputError, match=words):
        run_job(run).read_codes()
    path = _unlike_the_digits(tmp_path)
    with pytest.raises(InputError, match=f"aecli encode {run} {path} --split all -o {run}/codes.n"):
        run_job(run, str(path)).read_codes()


def test_codes_of_another_split_are_refused(run: Path, tmp_path: Path) -> None:
    path = str(_unlike_the_digits(tmp_path))
    job = run_job(run, path, split="test")
    words = r"does not hold this run's codes of these images: aecli encode .*codes.npy --force"
    # As many images in another split.
    assert job.dataset.count("validation") == job.dataset.count("test")
    write_codes(
        job.codes_path, encode_split(job.checkpoint, job.dataset, "validation"), replace=True
    )
    with pytest.raises(InputError, match=words):
        job.read_codes()
    # Another share of images in this one.
    write_codes(job.codes_path, encode_split(job.checkpoint, job.dataset, "test"), replace=True)
    job.read_codes()
    with pytest.raises(InputError, match=words):
        run_job(run, path, {"test": 0.3}, split="test").read_codes()


def test_codes_of_other_parameters_are_refused(
    run: Path, encoded: Callable[[SplitName, str], Path]
) -> None:
    encoded("test", "codes.npy")
    best = load(run / "best.safetensors")
    job = run_job(run)
    other = next(iter(best.parameters.values()))
    other.flat[0] += 1
    with pytest.raises(InputError, match="does not hold this run's codes of these images"):
        RunJob(run, best, job.dataset, job.split, job.codes_path).read_codes()


def test_codes_of_other_images_are_refused(
    run: Path, encoded: Callable[[SplitName, str], Path], digits: Dataset, tmp_path: Path
) -> None:
    encoded("all", "codes.npy")
    others = _unlike_the_digits(tmp_path, rows=digits.count("all"))
    with pytest.raises(InputError, match="does not hold this run's codes of these images"):
        run_job(run, str(others)).read_codes()


def test_codes_from_elsewhere_in_the_place_of_the_runs_are_refused(run: Path) -> None:
    np.save(run / "codes.npy", np.zeros((360, 2)))
    with pytest.raises(InputError, match="does not hold this run's codes of these images"):
        run_job(run).read_codes()


def test_codes_say_what_images_they_are_of(
    encoded: Callable[[SplitName, str], Path], digits: Dataset
) -> None:
    path = encoded("validation", "mine.npy")
    job = codes_job(path)
    assert_array_equal(job.codes.values, np.load(path))
    assert job.dataset.fingerprint == digits.fingerprint
    assert (job.split, job.codes_path, job.dimensions) == ("validation", path, 2)
    assert job.train_codes is None


def test_codes_with_training_codes(encoded: Callable[[SplitName, str], Path]) -> None:
    job = codes_job(encoded("test", "codes.npy"), train_codes=encoded("train", "train.npy"))
    assert job.train_codes is not None
    assert_array_equal(job.train_codes.values, np.load(job.codes_path.with_name("train.npy")))


@pytest.mark.parametrize(("rows", "split"), [(60, None), (60, "all"), (6, "test")])
def test_codes_from_elsewhere_have_one_for_each_image(
    rows: int, split: SplitName | None, tmp_path: Path
) -> None:
    np.save(tmp_path / "codes.npy", np.zeros((rows, 3)))
    path = str(_unlike_the_digits(tmp_path))
    job = codes_job(tmp_path / "codes.npy", path, split=split)
    assert (job.split, job.dimensions) == (split or "all", 3)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("foreign.npy", {}, "foreign.npy does not say what images it is of: name the DATASET"),
    ("foreign.npy", {"location": "digits"}, "foreign.npy has 5 codes, digits has 360 images in "),
    ("codes.npy", {"split": "train"}, r"images in its train split: .* each; --split names anoth"),
    ("codes.npy", {"options": {"labels": "x.npy"}}, "--labels without a DATASET"),
    ("codes.npy", {"train_codes": "codes.npy"}, "1,257 images in its train split: .* for each$"),
    ("all.npy", {"train_codes": "train.npy"}, "cannot predict labels of .*all.npy: its all split"),
    ("train.npy", {"train_codes": "train.npy"}, "cannot predict labels of .*: its train split"),
    ("codes.npy", {"train_codes": "wide.npy"}, "wide.npy has 3 numbers per code, .* has 2: expect"),
    ("codes.npy", {"train_codes": "nothing.npy"}, "nothing.npy"),
    ("nothing.npy", {}, "nothing.npy"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), REFUSED)
def test_codes_that_do_not_belong_to_their_data_are_refused(
    name: str,
    arguments: dict[str, Any],
    words: str,
    run: Path,
    encoded: Callable[[SplitName, str], Path],
) -> None:
    encoded("test", "codes.npy")
    encoded("train", "train.npy")
    encoded("all", "all.npy")
    np.save(run / "foreign.npy", np.zeros((5, 2)))
    np.save(run / "wide.npy", np.zeros((1257, 3)))
    if "train_codes" in arguments:
        arguments = {**arguments, "train_codes": run / arguments["train_codes"]}
    with pytest.raises(InputError, match=words):
        codes_job(run / name, **arguments)


def test_codes_of_images_that_have_changed_are_refused(run: Path, tmp_path: Path) -> None:
    path = _unlike_the_digits(tmp_path)
    job = run_job(run, str(path))
    write_codes(run / "codes.npy", encode_split(job.checkpoint, job.dataset, "all"))
    assert codes_job(run / "codes.npy").split == "all"
    np.save(path, np.load(path)[::-1])
    words = f"{path} has changed since {run}/codes.npy was made: name the DATASET to take it all"
    with pytest.raises(InputError, match=words):
        codes_job(run / "codes.npy")
    assert codes_job(run / "codes.npy", str(path)).split == "all"


def test_a_run_and_codes_are_told_apart(
    run: Path, encoded: Callable[[SplitName, str], Path]
) -> None:
    codes, train_codes = encoded("test", "codes.npy"), encoded("train", "train.npy")
    job = score_job(codes, split="test", train_codes=train_codes)
    assert isinstance(job, CodesJob)
    assert job.train_codes is not None
    assert isinstance(score_job(run), RunJob)
    other = score_job(run / "last.safetensors", split="all")
    assert isinstance(other, RunJob)
    assert other.split == "all"
    # A folder may be called like codes.
    assert isinstance(score_job(run.rename(run.with_name("run.npy"))), RunJob)


def test_refusals_of_runs(run: Path) -> None:
    with pytest.raises(InputError, match="--train-codes goes with CODES: a run encodes its train"):
        score_job(run, train_codes=run / "codes.npy")
    with pytest.raises(InputError, match="no such run"):
        score_job(run / "nothing")


def test_codes_of_images_whose_labels_have_changed_are_refused(run: Path, tmp_path: Path) -> None:
    images, labels = _unlike_the_digits(tmp_path), tmp_path / "labels.npy"
    np.save(labels, np.arange(60) % 3)
    job = run_job(run, str(images), {"labels": str(labels)})
    write_codes(run / "codes.npy", encode_split(job.checkpoint, job.dataset, "all"))
    assert codes_job(run / "codes.npy").split == "all"
    np.save(labels, (np.arange(60) + 1) % 3)
    with pytest.raises(InputError, match="the labels of the images have changed since"):
        codes_job(run / "codes.npy")


def test_labels_beside_codes_are_those_of_images_that_have_none(tmp_path: Path) -> None:
    images, codes = _unlike_the_digits(tmp_path), tmp_path / "foreign.npy"
    labels = np.arange(60) % 3
    labels[5] = -1
    np.save(codes, np.random.default_rng(1).normal(size=(60, 2)))
    assert codes_job(codes, str(images)).dataset.labels is None
    np.save(tmp_path / "foreign.labels.npy", labels)
    job = codes_job(codes, str(images))
    assert_array_equal(job.dataset.labels_of("all"), labels)
    assert job.labels_beside == tmp_path / "foreign.labels.npy"
    # What is asked for comes first, and what the data have.
    assert codes_job(codes, str(images), {"no_labels": True}).dataset.labels is None
    np.save(tmp_path / "others.labels.npy", np.arange(60) % 5)
    named = codes_job(codes, str(images), {"labels": str(tmp_path / "others.labels.npy")})
    assert_array_equal(named.dataset.labels_of("all"), np.arange(60) % 5)
    assert named.labels_beside is None


def test_labels_beside_codes_of_a_split_and_of_its_training_codes(tmp_path: Path) -> None:
    images = _unlike_the_digits(tmp_path)
    names = {"test": np.array(["b", "a"] * 3), "train": np.array(["a", "aa", "b", ""] * 12)}
    splits: tuple[SplitName, ...] = ("test", "train")
    for split in splits:
        texts = names[split]
        np.save(tmp_path / f"{split}.npy", np.random.default_rng(1).normal(size=(len(texts), 2)))
        np.save(tmp_path / f"{split}.labels.npy", texts)
    job = codes_job(
        tmp_path / "test.npy", str(images), split="test", train_codes=tmp_path / "train.npy"
    )
    for split in splits:
        texts = names[split]
        found = job.dataset.labels_of(split)
        assert found is not None
        assert job.dataset.class_names == ("a", "aa", "b")
        classes = (*job.dataset.class_names, "")
        assert [classes[label] for label in found] == texts.tolist()
    found = job.dataset.labels_of("validation")
    assert found is not None
    assert set(found.tolist()) == {-1}
