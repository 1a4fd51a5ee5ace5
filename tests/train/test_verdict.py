import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecli.cli import main
from aecli.config import Config, with_settings
from aecli.data import Dataset
from aecli.run.folder import RunFolder
from aecli.train.loop import Summary, train
from aecli.train.verdict import Evidence, verdict
from tests.helpers import tiny_dataset

CODES = np.random.default_rng(0).normal(size=(360, 2)).astype(np.float32)
GOOD = Evidence(CODES, test_mse=0.03, pca_mse=0.05, mean_mse=0.07, variance=0.07)


def _collapsed() -> np.ndarray:
    return CODES[np.arange(360) % 5]


def _with_a_dead_number() -> np.ndarray:
    return np.stack([CODES[:, 0], 3 + CODES[:, 1] * np.float32(1e-5)], axis=1)


def test_a_good_training_needs_no_line(digits: Dataset, small_config: Config) -> None:
    assert verdict(digits, small_config, GOOD) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_mse": 0.05}, "little was learned: PCA with 2 numbers decodes as well or better"),
        ({"test_mse": 0.0699}, "nothing was learned: images are decoded no better than by the mea"),
        ({"codes": _collapsed()}, "little was learned: 360 different test images have 5 codes; "),
        ({"codes": CODES * np.float32(0)}, "360 different test images have 1 code; try more"),
        ({"codes": _with_a_dead_number()}, "number 2 of the code is the same for all images; try"),
        ({"variance": 1e-6}, "vary by 0.00100 where 0..255 is taken as 0..1; try --rescale LOW,H"),
    ],
)
def test_what_is_wrong_is_said_with_what_may_help(
    changes: dict[str, object], words: str, digits: Dataset, small_config: Config
) -> None:
    line = verdict(digits, small_config, replace(GOOD, **changes))  # type: ignore[arg-type]
    assert line is not None
    assert words in line
    assert "; try " in line
    assert len(line) <= 300


def test_two_findings_have_the_remedy_of_the_first(digits: Dataset, small_config: Config) -> None:
    evidence = replace(GOOD, codes=CODES * np.float32(0), test_mse=0.07)
    assert verdict(digits, small_config, evidence) == (
        "nothing was learned: images are decoded no better than by the mean image (mse 0.0700 "
        "against 0.0700); 360 different test images have 1 code; try more --epochs than 4, a lower "
        "--learning-rate, or --recipe map"
    )


def test_few_test_images_say_nothing_of_the_code(small_config: Config) -> None:
    few = tiny_dataset(249)
    assert verdict(few, small_config, replace(GOOD, codes=CODES[:9] * np.float32(0))) is None


def test_equal_test_images_may_have_equal_codes(digits: Dataset, small_config: Config) -> None:
    rows = np.arange(len(digits.images)) % 20
    copies = replace(digits, images=digits.images[rows])
    codes = CODES[np.arange(1437, 1797) % 20]
    assert verdict(copies, small_config, replace(GOOD, codes=codes)) is None


def test_the_numbers_are_those_of_the_training(tmp_path: Path, small_config: Config) -> None:
    dataset = tiny_dataset()
    config = with_settings(small_config, {"epochs": 1, "learning_rate": 1e-6})
    summary = train(dataset, config, RunFolder(tmp_path / "run"))
    assert isinstance(summary, Summary)
    images = dataset.split("all").images.reshape(300, 16) / 255
    error = np.square(images[240:] - images[:200].mean(axis=0)).mean()
    assert summary.verdict is not None
    assert f"against {error:.4f}" in summary.verdict
    assert summary.verdict.startswith("nothing was learned: images are decoded no better than")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["verdict"]


def test_equal_images_end_with_a_line_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "same.npy", np.full((60, 4, 4), 7, np.uint8))
    run, small = tmp_path / "run", ["--recipe", "plain", "--hidden", "4", "--epochs", "1"]
    assert main(["train", str(tmp_path / "same.npy"), *small, "-o", str(run)]) == 0
    err = capsys.readouterr().err
    assert "nothing was learned: all training images are equal; train on images that" in err
    assert "mse  0.0000" not in err
    # And their scores say why there are none.
    assert main(["score", str(run), "--json"]) == 0
    (own, pca) = json.loads(capsys.readouterr().out)["maps"].values()
    assert own["why"]["recall"] == pca["why"]["recall"] == "all images are equal"
    assert own["mse"] is not None
