"""Row selections: a slice selects what its row numbers do."""

import numpy as np
import pytest

from aecli.data import count_of, rows_at, rows_between, spread_evenly

VALUES = np.arange(100)


@pytest.mark.parametrize("numbers", [np.arange(10, 30), np.array([3, 4, 9, 50, 99])])
def test_array_rows(numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> None:
    assert count_of(numbers) == len(numbers)
    assert VALUES[rows_between(numbers, 1, 3)].tolist() == numbers[1:3].tolist()
    assert VALUES[rows_at(numbers, np.array([0, 2]))].tolist() == numbers[[0, 2]].tolist()


def test_slice_rows() -> None:
    rows = slice(10, 30)
    assert count_of(rows) == 20
    assert VALUES[rows_between(rows, 1, 3)].tolist() == [11, 12]
    assert VALUES[rows_between(rows, 18, 25)].tolist() == [28, 29], "not beyond the slice"
    assert VALUES[rows_at(rows, np.array([0, 2]))].tolist() == [10, 12]


def test_positions_are_spread_evenly() -> None:
    assert spread_evenly(10, 4).tolist() == [0, 2, 5, 7]
    assert spread_evenly(3, 5).tolist() == [0, 1, 2]
