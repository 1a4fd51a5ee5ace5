"""The estimator: the same as the shell, and at home among scikit-learn's tools."""

import inspect
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.parallel import Parallel, delayed

import aecli
from aecli import Autoencoder
from aecli.cli import main
from aecli.config import SETTINGS
from aecli.data import Dataset
from aecli.labels import Labels
from aecli.train.prepare import Prepared, prepare

# The smallest program: without a hidden layer.
TINY: dict[str, Any] = {"recipe": "classic", "hidden": (), "epochs": 2, "batch_size": 8}
SMALL_SETTINGS: dict[str, Any] = {
    "recipe": "plain",
    "hidden": (16, 8),
    "epochs": 4,
    "batch_size": 64,
}
# Such trainings learn little, and say so.
LITTLE = "ignore:.*was learned"
Array = npt.NDArray[Any]

pytestmark = pytest.mark.filterwarnings(LITTLE)


@pytest.fixture(scope="module")
def of_digits() -> Autoencoder:
    """Return an estimator fitted on the digits, as the run `digits_run` is."""
    return Autoencoder(**SMALL_SETTINGS).fit("digits")


@pytest.fixture(scope="module")
def images(digits: Dataset) -> Array:
    return digits.split("test").images


@pytest.fixture(scope="module")
def labels(digits: Dataset) -> Labels:
    found = digits.labels_of("test")
    assert found is not None
    return found


@parametrize_with_checks([Autoencoder(**TINY)])  # type: ignore[untyped-decorator]
def test_scikit_learns_own_checks(estimator: Autoencoder, check: Any) -> None:
    check(estimator)


def test_every_setting_is_a_keyword_whose_default_is_the_recipes() -> None:
    parameters = dict(inspect.signature(Autoencoder).parameters)
    names = [name for name in parameters if name in SETTINGS]
    assert names == list(SETTINGS)
    assert parameters["recipe"].default == "map"
    assert all(parameters[name].default is None for name in names if name != "recipe")
    assert all(parameters[n].kind is inspect.Parameter.KEYWORD_ONLY for n in names[1:])
    documented = inspect.getdoc(Autoencoder) or ""
    assert all(f"    {name}: " in documented for name in parameters)


def test_a_data_set_by_its_name_gives_the_bits_of_the_shell(
    of_digits: Autoencoder, digits_run: Path
) -> None:
    shell = Autoencoder.load(digits_run)
    assert of_digits.model_hash_ == shell.model_hash_
    assert of_digits.config_ == shell.config_
    losses = [[one["losses"] for one in fitted.history_] for fitted in (of_digits, shell)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4


def test_an_array_gives_the_bits_of_the_shell(
    images: Array, labels: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    X, y = images[:120, :, :, 0] / np.float32(255) * 3 - 1, labels[:120]
    np.save("X.npy", X)
    np.save("y.npy", y)
    words = "--recipe plain --hidden 8 --epochs 1 --batch-size 64 --placing neighbors --seed 3"
    words += " --label-weight 0.5 --labels y.npy --test 0 -o run"
    assert main(["train", "X.npy", *words.split()]) == 0
    settings: dict[str, Any] = {
        "hidden": (8,),
        "epochs": 1,
        "batch_size": 64,
        "placing": "neighbors",
        "seed": 3,
    }
    fitted = Autoencoder("plain", label_weight=0.5, **settings).fit(X, y)
    assert fitted.config_["placing"] == "neighbors"
    assert fitted.model_hash_ == Autoencoder.load("run").model_hash_
    # What the estimator saves, the shell reads; and both place images alike.
    fitted.save("saved")
    assert main(["encode", "saved", "X.npy", "-o", "codes.npy"]) == 0
    np.testing.assert_array_equal(np.load("codes.npy"), fitted.transform(X))
    assert main(["train", "X.npy", "--labels", "y.npy", "--resume", "-o", "saved"]) == 0
    with pytest.raises(ValueError, match="saved holds a run already"):
        fitted.save("saved")


def test_an_array_in_memory_is_in_no_file(
    of_digits: Autoencoder, images: Array, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Autoencoder(**TINY).fit(images[:40, :2, :3]).save(tmp_path / "run")
    assert main(["encode", str(tmp_path / "run")]) == 2
    assert "aecli encode RUN X.npy makes RUN/codes.npy" in capsys.readouterr().err


def test_images_are_placed_by_path_or_array(of_digits: Autoencoder, digits: Dataset) -> None:
    images = digits.split("all").images
    placed = of_digits.transform(images)
    np.testing.assert_array_equal(of_digits.transform("digits"), placed)
    assert placed.dtype == np.float32
    flat = images.reshape(len(images), -1)
    np.testing.assert_array_equal(of_digits.transform(flat), placed)
    decoded = of_digits.inverse_transform(placed)
    assert decoded.shape == images.shape
    error = np.square((decoded - images) / 255).mean()
    assert of_digits.score(images) == pytest.approx(-error, rel=1e-4)


_RANDOM = np.random.default_rng(0)
# Images, and what decoded ones lie between.
ARRAYS: dict[str, tuple[Array, float, float]] = {
    "uint8": (_RANDOM.integers(0, 256, (20, 2, 3), np.uint8), 0, 255),
    "uint16 in colour": (_RANDOM.integers(0, 65_536, (20, 2, 3, 3), np.uint16), 0, 65_535),
    "bool": (_RANDOM.integers(0, 2, (20, 2, 3)).astype(bool), 0, 1),
    "another range": (_RANDOM.integers(-900, 4_000, (20, 2, 3)), -900, 4_000),
    "vectors": (_RANDOM.normal(500, 10, (20, 5)), 0, 1_000),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_images_come_back_in_their_shape_and_unit(name: str) -> None:
    X, low, high = ARRAYS[name]
    fitted = Autoencoder(**TINY).fit(X)
    codes = fitted.transform(X)
    decoded = fitted.inverse_transform(codes)
    assert decoded.shape == X.shape
    assert fitted.n_features_in_ == X[0].size
    assert low <= decoded.min() < decoded.max() <= high
    assert np.ptp(decoded) > np.ptp(X.astype(np.float64)) / 2
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.inverse_transform(again.transform(X)), decoded)
    # The same numbers of another type are the same images.
    np.testing.assert_allclose(fitted.transform(X.astype(np.float64)), codes, rtol=1e-4, atol=1e-4)


def test_a_saved_run_is_loaded_with_its_settings(
    of_digits: Autoencoder, images: Array, tmp_path: Path
) -> None:
    of_digits.save(tmp_path / "run")
    loaded = Autoencoder.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.transform(images), of_digits.transform(images))
    assert loaded.get_params()["hidden"] == (16, 8)
    assert clone(loaded).fit("digits").model_hash_ == of_digits.model_hash_
    loaded.save(tmp_path / "run", force=True)
    assert Autoencoder.load(tmp_path / "run").history_ == of_digits.history_


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"latent": 0}, "^latent must be at least 1, got 0"),
        ({"batch_size": "x"}, "^batch_size has a value of the wrong type"),
        ({"recipe": "best"}, "^recipe 'best' is unknown"),
        ({"validation": 0.0}, "^validation must lie between 0 and 1"),
        ({"label_weight": 1.0}, r"label_weight needs the class of each image: fit\(X, y\)"),
    ],
)
def test_bad_settings_are_said_by_keyword(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Autoencoder(**settings).fit(np.eye(9))


def test_bad_input_is_a_value_error(of_digits: Autoencoder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="X has images of 9x9, the estimator was fitted on 8x8x1"):
        of_digits.transform(np.zeros((3, 9, 9), np.uint8))
    with pytest.raises(ValueError, match="the codes have 3 dimensions, the run's have 2"):
        of_digits.inverse_transform(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="no such run"):
        Autoencoder.load(tmp_path / "none")
    with pytest.raises(NotFittedError):
        Autoencoder().transform(np.zeros((3, 9, 9), np.uint8))


def test_numbers_of_numpy_are_settings(images: Array) -> None:
    settings = TINY | {
        "seed": np.int64(4),
        "hidden": np.array([], int),
        "validation": np.float64(0.1),
    }
    fitted = Autoencoder(**settings).fit(images[:40, :2, :3])
    assert fitted.config_["seed"] == 4
    assert isinstance(fitted.get_params()["seed"], np.int64)


class _Interrupting:
    """A stderr that is looked at until it shows an epoch: then Ctrl-C is pressed.

    The next epoch has begun by then.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch, self.text = epoch, ""

    def write(self, text: str) -> int:
        self.text += text
        if text.startswith(f"\repoch {self.epoch}/"):
            signal.raise_signal(signal.SIGINT)
        return len(text)

    def flush(self) -> None:
        pass


def test_ctrl_c_leaves_the_best_so_far(images: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = _Interrupting(epoch=3)
    monkeypatch.setattr(sys, "stderr", stream)
    before = signal.getsignal(signal.SIGINT)
    endless = Autoencoder(**TINY | {"epochs": 100_000, "verbose": True})
    with pytest.warns(UserWarning, match="interrupted after epoch 4 of 100000"):
        endless.fit(images[:40, :2, :3])
    assert len(endless.history_) == 4
    assert endless.transform(images[:7, :2, :3]).shape == (7, 2)
    assert "on 36 images of array" in stream.text
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_the_first_epoch_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> Prepared:
        signal.raise_signal(signal.SIGINT)
        return prepare(*arguments)

    monkeypatch.setattr("aecli.train.loop.prepare", interrupted)
    estimator = Autoencoder(**TINY)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(np.eye(9))
    with pytest.raises(NotFittedError):
        estimator.transform(np.eye(9))


def test_it_works_among_scikit_learns_tools(images: Array, labels: Labels) -> None:
    X = images[:40].reshape(40, -1).astype(np.float64)
    steps = make_pipeline(PCA(4), Autoencoder(**TINY), KNeighborsClassifier(1))
    scores = cross_val_score(steps, X, labels[:40] % 2, cv=2, error_score="raise")
    assert ((scores > 0) & (scores <= 1)).all()
    search = GridSearchCV(
        Autoencoder(**TINY), {"seed": np.arange(2)}, cv=2, error_score="raise"
    ).fit(PCA(4).fit_transform(X))
    first, second = search.cv_results_["mean_test_score"]
    assert first != second
    assert search.best_score_ == max(first, second) < 0


def test_columns_have_names(images: Array) -> None:
    fitted = Autoencoder(**TINY).fit(images[:40, :2, :3])
    assert fitted.get_feature_names_out().tolist() == ["autoencoder0", "autoencoder1"]


def test_frames_come_out_as_frames(images: Array) -> None:
    frame = pandas.DataFrame(images[:40, :2, :3].reshape(40, -1), columns=list("abcdef"))
    fitted = Autoencoder(**TINY).set_output(transform="pandas").fit(frame)
    codes = fitted.transform(frame)
    assert list(codes.columns) == ["autoencoder0", "autoencoder1"]
    assert fitted.feature_names_in_.tolist() == list("abcdef")


def test_other_processes_place_the_same(of_digits: Autoencoder, images: Array) -> None:
    halves = Parallel(2)(
        delayed(of_digits.transform)(half) for half in (images[:180], images[180:])
    )
    np.testing.assert_array_equal(np.concatenate(halves), of_digits.transform(images))


def test_data_sets_are_opened_as_by_the_shell(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.eye(9, dtype=np.uint8).reshape(9, 3, 3))
    np.save(tmp_path / "y.npy", np.arange(9) % 2)
    opened = aecli.open_dataset(tmp_path / "X.npy", labels=tmp_path / "y.npy", test=0, size=(4, 4))
    assert opened.split("all").images.shape == (9, 4, 4, 1)
    assert opened.labels_of("train") is not None
    assert opened.count("train") == 8
    with pytest.raises(ValueError, match=r"^size 0x4: expected lengths"):
        aecli.open_dataset("digits", size=(0, 4))
    with pytest.raises(ValueError, match="no data set, file or folder is called 'digit'"):
        aecli.open_dataset("digit")


def test_importing_aecli_imports_nothing_heavy() -> None:
    program = (
        "import sys, time; start = time.process_time(); import aecli; print(aecli.__version__);"
        "print(time.process_time() - start); print(*sys.modules); print(dir(aecli))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    version, seconds, modules, names = done.stdout.splitlines()
    assert version == aecli.__version__
    assert float(seconds) < 0.03
    assert not {"jax", "numpy", "sklearn", "typing"} & set(modules.split())
    assert all(name in names for name in aecli.__all__)
