import numpy as np
import pytest

from aecli.errors import InputError
from aecli.plot.planes import (
    code_of,
    line_of_codes,
    one_for_each_cell,
    plan_plane,
    traversals,
)

CODES = np.random.default_rng(0).normal([3, -1], [2, 1], (2_000, 2)).astype(np.float32)


def test_a_plane_lies_over_the_codes_and_says_where_they_are() -> None:
    plane = plan_plane(CODES, 20)
    rows, columns = plane.covered.shape
    assert max(rows, columns) in (20, 21)
    left, right, bottom, top = plane.extent
    # From left to right, and from the top down; each place in the middle of its cell.
    assert (np.diff(plane.codes[0, :, 0]) > 0).all()
    assert (np.diff(plane.codes[:, 0, 1]) < 0).all()
    cell = (right - left) / columns
    np.testing.assert_allclose(plane.codes[0, 0], [left + cell / 2, top - cell / 2], rtol=1e-4)
    for row in range(rows):
        for column in range(columns):
            x, y = plane.codes[row, column]
            there = (np.abs(CODES - [x, y]) < cell / 2).all(axis=1).any()
            if there:
                assert plane.covered[row, column]
    assert not plane.covered[0, 0]
    assert bottom < np.quantile(CODES[:, 1], 0.01)


def test_images_that_are_higher_lie_farther_apart() -> None:
    plane = plan_plane(CODES, 20, aspect=2.0)
    steps = np.diff(plane.codes[0, :2, 0])[0], -np.diff(plane.codes[:2, 0, 1])[0]
    assert steps[1] / steps[0] == pytest.approx(2, rel=1e-4)


def test_equal_codes_have_a_plane_too() -> None:
    plane = plan_plane(np.full((5, 2), 7, np.float32), 4)
    assert np.isfinite(plane.codes).all()
    assert plane.covered.any()


def test_one_code_is_taken_of_each_cell_the_nearest_to_its_middle() -> None:
    grid = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), axis=-1).reshape(-1, 2)
    near = np.concatenate([grid, grid + 0.01, grid[:1] + 1e3]).astype(np.float32)
    rows = one_for_each_cell(near[::-1], 9)
    assert (np.diff(rows) > 0).all()
    rows = one_for_each_cell(near, 9)
    assert len(rows) == len(set(rows.tolist()))
    # One of each pair, and not the one that is far out.
    assert 80 <= len(rows) <= 121
    assert 200 not in rows
    few = one_for_each_cell(near, 3)
    assert 9 <= len(few) <= 16


def test_a_line_is_straight_and_a_traversal_moves_one_number() -> None:
    start, end = np.array([0, 1], np.float32), np.array([4, -1], np.float32)
    line = line_of_codes(start, end, 5)
    np.testing.assert_allclose(line[:, 0], [0, 1, 2, 3, 4])
    np.testing.assert_allclose(line[:, 1], [1, 0.5, 0, -0.5, -1])
    moved = traversals(CODES, start, 7)
    assert moved.shape == (2, 7, 2)
    assert (moved[0, :, 1] == 1).all()
    assert (moved[1, :, 0] == 0).all()
    np.testing.assert_allclose(moved[0, [0, -1], 0], np.quantile(CODES[:, 0], [0.02, 0.98]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", CODES[3]), ("b.png", CODES[1]), ("x/b.png", CODES[1]), ("1.5,-2", [1.5, -2])],
)
def test_codes_are_named_by_row_file_or_numbers(text: str, expected: list[float]) -> None:
    names = ("x/a.png", "x/b.png", "x/c.png", "y/c.png")
    np.testing.assert_allclose(code_of(text, CODES[:4], names, "--from"), expected)


@pytest.mark.parametrize("text", ["4", "c.png", "no.png", "1,2,3", "nan,0", "1,", ""])
def test_what_names_no_code_is_refused(text: str) -> None:
    names = ("x/a.png", "x/b.png", "x/c.png", "y/c.png")
    with pytest.raises(InputError, match="--from"):
        code_of(text, CODES[:4], names, "--from")
