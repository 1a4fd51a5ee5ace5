"""A Python program can say what to encode as the shell does."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aecli.encode_job import encode_job
from aecli.errors import InputError


@pytest.fixture
def run(digits_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(digits_run, tmp_path / "run")
    return tmp_path / "run"


def test_by_default_it_is_the_test_split_of_the_runs_own_data(run: Path) -> None:
    job = encode_job(run)
    assert (job.dataset.name, job.split, job.out) == ("digits", "test", run / "codes.npy")
    assert job.checkpoint.epoch == 4


def test_codes_of_a_split_are_called_after_it(run: Path) -> None:
    job = encode_job(run / "last.safetensors", split="train")
    assert (job.split, job.out) == ("train", run / "codes-train.npy")


def test_new_images_are_treated_as_the_runs_and_taken_whole(run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((20, 8, 8), np.uint8))
    job = encode_job(run, str(tmp_path / "x.npy"), {"rescale": (0, 9)}, out=tmp_path / "a.npy")
    assert (job.split, job.dataset.count(job.split)) == ("all", 20)
    assert job.dataset.source.rescale == (0, 9)
    assert job.out == tmp_path / "a.npy"


def test_codes_that_exist_are_replaced_only_by_force(run: Path) -> None:
    (run / "codes.npy").touch()
    with pytest.raises(InputError, match=r"codes\.npy exists already"):
        encode_job(run)
    assert encode_job(run, force=True).out == run / "codes.npy"


def test_what_is_read_is_not_written_over(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((20, 8, 8), np.uint8))
    with pytest.raises(InputError, match="is read too"):
        encode_job(run, str(path), out=path, force=True)
    labels = tmp_path / "y.labels.npy"
    np.save(labels, np.zeros(20, np.int64))
    with pytest.raises(InputError, match="is read too"):
        encode_job(run, str(path), {"labels": str(labels)}, out=tmp_path / "y.npy", force=True)


def test_no_jax_is_imported_before_the_data_are_read() -> None:
    code = "import sys, aecli.encode_job; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
