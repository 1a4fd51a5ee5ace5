from dataclasses import replace
from pathlib import Path

import pytest

from aecli.data import Dataset, Source
from aecli.errors import InputError
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import RunFolder
from aecli.run.reopen import check_same_data, default_split, open_for, reopen
from tests.helpers import tiny_dataset


@pytest.fixture
def checkpoint(digits_run: Path) -> Checkpoint:
    return load(RunFolder(digits_run).best)


def test_the_data_of_a_run_are_opened_again(checkpoint: Checkpoint, digits: Dataset) -> None:
    assert reopen(checkpoint).fingerprint == digits.fingerprint
    assert open_for(checkpoint, None).fingerprint == digits.fingerprint


def test_other_data_are_opened_without_a_check(checkpoint: Checkpoint, idx_folder: Path) -> None:
    assert open_for(checkpoint, Source(str(idx_folder))).count("test") == 40


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fingerprint": "another"}, "its pixels differ; name the DATASET to take it all the same"),
        ({"splits_digest": "another"}, "is not split as when the run was trained"),
        ({"labels_digest": "another"}, "has other labels than when the run was trained, or other"),
    ],
)
def test_data_that_have_changed_are_refused(
    checkpoint: Checkpoint, change: dict[str, str], words: str
) -> None:
    changed = replace(checkpoint, data=replace(checkpoint.data, **change))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=words):
        reopen(changed)


def test_runs_of_the_first_format_know_nothing_of_their_splits_and_labels(
    checkpoint: Checkpoint, digits: Dataset
) -> None:
    old = replace(checkpoint, data=replace(checkpoint.data, splits_digest=None, labels_digest=None))
    check_same_data(old, digits)
    with pytest.raises(InputError, match="its pixels differ"):
        check_same_data(old, tiny_dataset())


def test_splits_drawn_at_random_say_nothing_of_data_that_were_named() -> None:
    with_own, without = tiny_dataset(), replace(tiny_dataset(), has_own_splits=False)
    assert default_split(with_own, named=True) == default_split(with_own, named=False) == "test"
    assert default_split(without, named=False) == "test"
    assert default_split(without, named=True) == "all"
