"""The scores of plain arrays are those of the shell."""

import json
from pathlib import Path

import numpy as np
import pytest

from aecli import score_map
from aecli.cli import main
from aecli.data import Dataset


def test_arrays_have_the_scores_of_their_files(
    digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = digits.split("test")
    assert test.labels is not None
    images, labels = test.images[:200] / np.float32(100), test.labels[:200]
    codes = images.reshape(200, -1)[:, [10, 20]]
    paths = [str(tmp_path / name) for name in ("codes.npy", "X.npy", "y.npy")]
    for path, values in zip(paths, (codes, images, labels), strict=True):
        np.save(path, values)
    command = ["score", paths[0], paths[1], "--labels", paths[2], "--json", "--sample", "90"]
    assert main(command) == 0
    shell = json.loads(capsys.readouterr().out)
    ours = json.loads(json.dumps(score_map(images, codes, labels, sample=90)))
    assert ours["maps"]["codes"] == shell["maps"]["codes.npy"]
    assert ours["maps"]["codes"]["knn_accuracy"] > 0.1
    for scores in (ours, shell):
        del scores["maps"]["PCA"]["fit_seconds"], scores["maps"]["PCA"]["place_seconds"]
    assert ours["maps"]["PCA"] == shell["maps"]["PCA"]
    assert (ours["rows"], ours["sample"], ours["labelled"]) == (200, 90, 200)


def test_arrays_that_do_not_fit_are_value_errors() -> None:
    images, codes = np.zeros((50, 4, 4), np.uint8), np.zeros((40, 2))
    with pytest.raises(ValueError, match="40 codes, array has 50 images"):
        score_map(images, codes)
    with pytest.raises(ValueError, match=r"^sample must be at least 31"):
        score_map(images, np.zeros((50, 2)), sample=3)
