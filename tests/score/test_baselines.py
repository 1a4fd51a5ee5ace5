import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aecli.config import SplitName
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.pixels import unit_rows
from aecli.score import baselines
from aecli.score.baselines import (
    BASELINES,
    Baseline,
    check_installed,
    has_separate_train_split,
    known_baselines,
    place_with,
    place_with_pca,
)
from aecli.score.scores import make_scorer
from tests.helpers import tiny_dataset

Floats = npt.NDArray[np.float32]


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Floats]:
    """Add a method that is installed, makes maps of 2 dimensions, and keeps what it is fitted on.

    Its codes are the first pixels of the images; those that are placed later get 10 added.
    """
    seen: list[Floats] = []

    def fit(rows: Floats, dimensions: int) -> tuple[Floats, Callable[[Floats], Floats]]:
        seen.append(rows)
        return rows[:, :dimensions], lambda others: others[:, :dimensions] + 10

    row = Baseline("First pixels", "first-pixels", "json", fit, dimensions=(2,))
    monkeypatch.setitem(BASELINES, "first", row)
    return seen


def test_names_are_taken_once_and_in_their_order(fitted: list[Floats]) -> None:
    assert known_baselines([]) == ()
    assert known_baselines(["first", "umap", "first"]) == ("first", "umap")


@pytest.mark.parametrize("name", ["pca", "", "UMAP"])
def test_a_name_that_is_not_in_the_table_is_refused(name: str) -> None:
    words = f"--against {name!r} is unknown: expected one or more of umap, tsne, pacmap, localmap"
    with pytest.raises(InputError, match=words):
        known_baselines(["umap", name])


def test_a_row_of_the_table_is_enough_for_a_method(fitted: list[Floats]) -> None:
    data = tiny_dataset()
    check_installed(["first"], 2)
    embedding = place_with("first", data, "test", 2)
    train, test = (unit_rows(data.split(split).images) for split in ("train", "test"))
    assert_array_equal(fitted[0], train)
    assert embedding.name == "First pixels"
    assert_array_equal(embedding.codes, test[:, :2] + 10)
    assert embedding.train_codes is not None
    assert_array_equal(embedding.train_codes, train[:, :2])
    assert embedding.train_labels is None
    assert embedding.fit_seconds is not None
    assert embedding.place_seconds is not None


def test_what_a_method_says_does_not_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def talk() -> None:
        print("to stdout")
        print("to stderr", file=sys.stderr)
        logging.getLogger("peer").warning("to the log")
        warnings.filterwarnings("always")
        warnings.warn("to all", stacklevel=1)

    def fit(rows: Floats, dimensions: int) -> tuple[Floats, Callable[[Floats], Floats]]:
        def place(others: Floats) -> Floats:
            talk()
            return others[:, :dimensions]

        talk()
        return rows[:, :dimensions], place

    monkeypatch.setitem(BASELINES, "talker", Baseline("Talker", "talker", "json", fit))
    filters = warnings.filters[:]
    place_with("talker", tiny_dataset(), "test", 2)
    assert capfd.readouterr() == ("", "")
    # And everything speaks again.
    assert warnings.filters == filters
    logging.getLogger("ours").warning("to the log")
    print("to stdout")
    assert "to stdout" in capfd.readouterr().out
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize("name", BASELINES)
def test_a_method_makes_maps_with_its_package(
    name: str, digits: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(BASELINES[name].module)
    capfd.readouterr()
    embedding = place_with(name, digits, "validation", 2)
    assert capfd.readouterr() == ("", "")
    assert embedding.name == BASELINES[name].name
    assert embedding.train_codes is not None
    for codes, count in ((embedding.codes, 180), (embedding.train_codes, 1257)):
        assert codes.shape == (count, 2)
        assert np.isfinite(codes).all()
    accuracy = make_scorer(digits, "validation").score(embedding).knn_accuracy
    assert accuracy is not None
    assert accuracy > 0.85


@pytest.mark.parametrize("split", ["train", "all"])
def test_a_method_is_fitted_on_images_that_have_no_others(
    split: SplitName, fitted: list[Floats]
) -> None:
    data = tiny_dataset()
    embedding = place_with("first", data, split, 2)
    rows = unit_rows(data.split(split).images)
    assert_array_equal(fitted[0], rows)
    assert_array_equal(embedding.codes, rows[:, :2])
    assert embedding.train_codes is None
    assert embedding.place_seconds is None


def test_many_training_images_are_sampled(
    fitted: list[Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "MOST_FITTED", 50)
    data = tiny_dataset()
    embedding = place_with("first", data, "test", 2)
    assert_array_equal(fitted[0], unit_rows(data.sample("train", 50).images))
    assert len(embedding.codes) == data.count("test")


def test_a_package_that_is_missing_is_named(
    fitted: list[Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = replace(BASELINES["first"], module="no_such_module")
    monkeypatch.setitem(BASELINES, "first", row)
    words = r"--against first needs first-pixels, which is not installed: pip install 'aecli\[ag"
    with pytest.raises(InputError, match=words):
        check_installed(["first"], 2)


def test_dimensions_that_a_method_has_no_maps_of_are_refused(
    fitted: list[Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="first makes maps of 2 dimensions, these codes have 3"):
        check_installed(["first"], 3)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    check_installed(["umap"], 10)
    check_installed(["tsne"], 2)
    with pytest.raises(InputError, match="tsne makes maps of 1 or 2 dimensions, these codes hav"):
        check_installed(["umap", "tsne"], 3)


def test_pca_equals_scikit_learn(digits: Dataset) -> None:
    from sklearn.decomposition import PCA

    train, test = (unit_rows(digits.split(split).images) for split in ("train", "test"))
    expected = PCA(3, svd_solver="full").fit(train.astype(np.float64))
    embedding = place_with_pca(digits, "test", 3)
    assert embedding.train_codes is not None
    for codes, rows in ((embedding.codes, test), (embedding.train_codes, train)):
        # The sign of a component means nothing.
        assert_allclose(np.abs(codes), np.abs(expected.transform(rows)), atol=1e-4)
    lost = expected.inverse_transform(expected.transform(test)) - test
    assert embedding.mse == pytest.approx(np.square(lost).mean(), rel=1e-5)
    train_labels = digits.labels_of("train")
    assert train_labels is not None
    assert embedding.train_labels is not None
    assert_array_equal(embedding.train_labels, train_labels)


@pytest.mark.parametrize("split", ["train", "all"])
def test_pca_is_fitted_on_images_that_have_no_others(split: SplitName, digits: Dataset) -> None:
    from sklearn.decomposition import PCA

    rows = unit_rows(digits.split(split).images)
    expected = PCA(2, svd_solver="full").fit_transform(rows.astype(np.float64))
    embedding = place_with_pca(digits, split, 2)
    assert_allclose(np.abs(embedding.codes), np.abs(expected), atol=1e-4)
    assert embedding.train_codes is None
    assert embedding.train_labels is None


def test_the_error_of_pca_does_not_depend_on_the_batches(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = place_with_pca(digits, "test", 2)
    monkeypatch.setattr(baselines, "_ROWS_AT_A_TIME", 100)
    parts = place_with_pca(digits, "test", 2)
    assert parts.mse == pytest.approx(whole.mse, rel=1e-6)
    assert_allclose(parts.codes, whole.codes, atol=1e-5)


@pytest.mark.parametrize(
    ("split", "train_rows", "expected"),
    [
        ("test", 200, True),
        ("validation", 200, True),
        ("train", 200, False),
        ("all", 200, False),
        ("test", 0, False),
    ],
)
def test_only_training_images_outside_a_split_are_separate(
    split: SplitName, train_rows: int, expected: bool
) -> None:
    data = tiny_dataset()
    data = replace(data, splits={**data.splits, "train": slice(0, train_rows)})
    assert has_separate_train_split(data, split) is expected


def test_the_table_is_in_the_help_of_the_shell_and_imports_no_numpy() -> None:
    program = "import sys, aecli.score.baselines; print(*sys.modules)"
    imported = _output([sys.executable, "-c", program]).split()
    assert "aecli.score.baselines" in imported
    assert not {"numpy", "jax", "sklearn"} & set(imported)
    shown = _output([sys.executable, "-m", "aecli", "score", "--help"]).replace("│", " ")
    assert f"separated by commas: {', '.join(BASELINES)}." in " ".join(shown.split())


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
