from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from aecli.data import Dataset
from aecli.errors import InputError
from aecli.pixels import unit_rows
from aecli.run.codes import Codes
from aecli.score.baselines import Embedding
from aecli.score.job import CodesJob, run_job
from aecli.score.points import check_memory, point_metrics, point_values
from aecli.score.scores import per_point_trust
from aecli.score.stability import Stability

CODES = np.random.default_rng(0).normal(size=(360, 2)).astype(np.float32)


def _codes_job(digits: Dataset) -> CodesJob:
    return CodesJob(Path("some/codes.npy"), Codes(CODES), digits, "test")


def test_what_can_be_known_of_a_code_depends_on_its_job(digits: Dataset, digits_run: Path) -> None:
    assert point_metrics(_codes_job(digits), stability=False) == ["trust"]
    job = run_job(digits_run)
    assert point_metrics(job, stability=True) == ["trust", "error", "moved"]
    assert point_metrics(job, stability=False) == ["trust", "error"]
    with pytest.raises(InputError, match=r"--per-point writes next to .*codes.npy, which does not"):
        job.read_codes()


def test_values_are_those_that_are_known(digits: Dataset) -> None:
    errors, moved = np.random.default_rng(1).random((2, 360), np.float32)
    embedding = Embedding("some", CODES)
    images = unit_rows(digits.split("test").images)
    values = point_values(digits, "test", embedding, errors, Stability((0, 1), moved, 0.5, 0.5))
    assert list(values) == ["trust", "error", "moved"]
    assert_array_equal(values["trust"], per_point_trust(images, CODES))
    assert_array_equal(values["error"], errors)
    assert_array_equal(values["moved"], moved)
    assert list(point_values(digits, "test", embedding, None, None)) == ["trust"]


def test_images_beyond_memory_are_refused(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 12 * 360 * 64
    monkeypatch.setattr("aecli.memory.default_memory", lambda: needed // 2)
    check_memory(digits, "test")
    monkeypatch.setattr("aecli.memory.default_memory", lambda: needed // 2 - 1)
    with pytest.raises(InputError, match=r"digits test takes 276,480 bytes.*leave out --per-point"):
        check_memory(digits, "test")
