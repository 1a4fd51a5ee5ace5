from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aecli.data import Dataset, Source, choose_source, open_dataset
from aecli.errors import InputError
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import RunFolder
from aecli.run.reopen import check_same_data, default_split, notes, open_for, reopen
from tests.data.examples import save_image
from tests.helpers import tiny_dataset


@pytest.fixture
def checkpoint(digits_run: Path) -> Checkpoint:
    return load(RunFolder(digits_run).best)


def test_the_data_of_a_run_are_opened_again(checkpoint: Checkpoint, digits: Dataset) -> None:
    assert reopen(checkpoint).fingerprint == digits.fingerprint
    assert open_for(checkpoint, None).fingerprint == digits.fingerprint


def test_other_data_are_converted_to_what_the_run_takes(
    checkpoint: Checkpoint, idx_folder: Path
) -> None:
    dataset = open_for(checkpoint, Source(str(idx_folder)))
    assert dataset.count("test") == 40
    assert dataset.image_shape == (8, 8, 1)
    assert notes(dataset, "test", named=True) == [
        "images converted as the run's: 280 stretched to 8x8"
    ]
    assert notes(dataset, "test", named=False) == []


def _of(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    return replace(checkpoint, data=replace(checkpoint.data, **changes))


def test_colours_bits_and_ground_are_the_runs(checkpoint: Checkpoint, tmp_path: Path) -> None:
    gray, black = np.full((6, 5), 40_000, np.uint16), np.zeros((6, 5, 4), np.uint8)
    black[..., 3] = 255
    black[3, :, 3] = 0
    save_image(tmp_path / "a" / "gray.png", gray)
    own = replace(checkpoint.data.source, kind="uint8")
    run = _of(checkpoint, image_shape=(6, 5, 3), source=own)
    dataset = open_for(run, choose_source(str(tmp_path / "a"), {}, like=own))
    # White is 1 in all types: no bit needs to go.
    np.testing.assert_array_equal(dataset.images[:], np.full((1, 6, 5, 3), 40_000, np.uint16))
    assert notes(dataset, "all", named=True)[0] == "images converted as the run's: 1 gray made RGB"
    # The codes' own source reads the same again.
    assert open_dataset(dataset.source).fingerprint == dataset.fingerprint
    save_image(tmp_path / "b" / "black.png", black)
    dataset = open_for(run, choose_source(str(tmp_path / "b"), {}, like=own))
    assert dataset.images[0:1][0, 3].min() == 255
    assert notes(dataset, "all", named=True) == [
        "images converted as the run's: transparent images lie on white"
    ]


def test_bits_are_those_that_a_range_is_meant_for(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_image(tmp_path / "a" / "gray.png", np.full((8, 8), 100 * 257, np.uint16))
    own = replace(checkpoint.data.source, kind="uint8", rescale=(0.0, 200.0))
    run = _of(checkpoint, source=own)
    dataset = open_for(run, choose_source(str(tmp_path / "a"), {}, like=own))
    np.testing.assert_array_equal(dataset.images[:], np.full((1, 8, 8, 1), 0.5))
    assert notes(dataset, "all", named=True)[0] == (
        "images converted as the run's: 1 of 16 bits brought to 8"
    )
    # A range that is given is one of the files.
    given = choose_source(str(tmp_path / "a"), {"rescale": (0.0, 51_400.0)}, like=own)
    dataset = open_for(run, given)
    np.testing.assert_array_equal(dataset.images[:], np.full((1, 8, 8, 1), 0.5))
    assert dataset.converted == {}


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({}, {"size": (9, 8)}, "--size 9x8 does not fit: the run was trained on images of 8x8x1"),
        ({"image_shape": (8, 8, 3)}, {"grayscale": True}, "--grayscale does not fit: the run was"),
        (
            {"source": Source("x", columns=((0.0,), (1.0,)))},
            {"rescale": (0.0, 1.0)},
            "--rescale does not fit: the run was trained on vectors",
        ),
        ({"image_shape": (1, 64, 1)}, {}, "images of 6x5x1, the run was trained on 1x64x1"),
        ({"image_shape": (8, 8, 4)}, {}, "images of 8x8x1, the run was trained on 8x8x4"),
    ],
)
def test_what_contradicts_the_run_is_refused(
    checkpoint: Checkpoint,
    idx_folder: Path,
    changes: dict[str, Any],
    options: dict[str, Any],
    words: str,
) -> None:
    run = _of(checkpoint, **changes)
    source = choose_source(str(idx_folder), options, like=run.data.source)
    with pytest.raises(InputError, match=words) as caught:
        open_for(run, source)
    assert len(str(caught.value)) <= 300
    # What the run has itself may be said.
    same = choose_source(str(idx_folder), {"size": (8, 8), "grayscale": True}, like=None)
    assert open_for(checkpoint, same).image_shape == (8, 8, 1)


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
