"""Splits that are drawn, and those of data that come in parts."""

import numpy as np
import pytest

from aecli.data.splits import split_at_random, split_parts
from aecli.errors import InputError

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(("rows", "labelled"), [(3, False), (10, False), (1000, True), (997, True)])
def test_random_splits_part_the_rows_and_keep_the_classes(rows: int, labelled: bool) -> None:
    labels = GENERATOR.choice([0, 1, 5], rows, p=[0.7, 0.2, 0.1]) if labelled else None
    share = 1 / 3 if rows == 3 else 0.1
    splits = split_at_random(rows, labels, share, share, 4)
    joined = np.concatenate([np.asarray(splits[name]) for name in splits])
    assert sorted(joined.tolist()) == list(range(rows))
    for chosen in splits.values():
        assert np.all(np.diff(np.asarray(chosen)) > 0)
        if labels is not None:
            for label in (0, 1, 5):
                whole, part = np.mean(labels == label), np.mean(labels[chosen] == label)
                assert part == pytest.approx(whole, abs=0.02)


def test_random_splits_are_a_function_of_the_seed() -> None:
    def tested(seed: int) -> list[int]:
        rows: list[int] = np.asarray(split_at_random(500, None, 0.1, 0.1, seed)["test"]).tolist()
        return rows

    assert tested(4) == tested(4)
    assert tested(4) != tested(5)


@pytest.mark.parametrize(("rows", "held_out"), [(2, 1), (9, 1), (200, 20)])
def test_without_a_share_to_test_on_the_validation_rows_are_tested(
    rows: int, held_out: int
) -> None:
    splits = split_at_random(rows, None, 0.1, 0.0, 4)
    assert splits["test"] is splits["validation"]
    joined = [*np.asarray(splits["train"]).tolist(), *np.asarray(splits["test"]).tolist()]
    assert sorted(joined) == list(range(rows))
    assert len(joined) - len(np.asarray(splits["train"])) == held_out


def test_the_first_twelfth_of_the_training_part_validates() -> None:
    splits = split_parts({"train": 48, "test": 5}, "x")
    assert splits == {"validation": slice(0, 4), "train": slice(4, 48), "test": slice(48, 53)}


def test_parts_are_splits_one_after_another() -> None:
    splits = split_parts({"validation": 3, "train": 24, "test": 5}, "x")
    assert splits == {"validation": slice(0, 3), "train": slice(3, 27), "test": slice(27, 32)}


def test_one_training_image_is_too_few() -> None:
    with pytest.raises(InputError, match="x holds 1 image: expected at least 2"):
        split_parts({"train": 1, "test": 5}, "x")
