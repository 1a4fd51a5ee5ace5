"""Rows, names and numbers of parts."""

from itertools import pairwise
from pathlib import Path

import pytest

from aecli.errors import InputError
from aecli.run.part import Part, count_of_parts, find_codes, missing_line, parts_of, ranges


@pytest.mark.parametrize(
    ("rows", "count"), [(1, 1), (16, 16), (17, 16), (1797, 7), (10**9, 99_999)]
)
def test_parts_have_all_rows_once_and_differ_by_one_at_most(rows: int, count: int) -> None:
    bounds = [Part(index, count).bounds(rows) for index in range(count)]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == rows
    assert all(one[1] == other[0] for one, other in pairwise(bounds))
    sizes = {stop - start for start, stop in bounds}
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


def test_more_parts_than_rows_are_refused() -> None:
    with pytest.raises(InputError, match=r"3 images cannot be shared among 4 parts.*at most 3"):
        Part(0, 4).bounds(3)


def test_names_sort_in_order_and_say_which_codes_they_are_of(tmp_path: Path) -> None:
    codes = tmp_path / "my.codes.npy"
    names = [Part(index, 11).path(codes) for index in range(11)]
    assert names == sorted(names)
    assert names[3].name == "my.codes-00003-of-00011.npy"
    assert Part(3, 11).whole(names[3]) == codes
    for path in names[2:5]:
        path.touch()
    for other in ("my.codes-00001-of-00011.labels.npy", "my.codes-00012-of-00011.npy", "x.npy"):
        (tmp_path / other).touch()
    assert parts_of(codes) == {Part(index, 11) for index in (2, 3, 4)}
    assert count_of_parts(codes) == 11
    assert find_codes(tmp_path) == codes


def test_a_folder_of_several_codes_or_of_a_run_is_not_one(tmp_path: Path) -> None:
    Part(0, 2).path(tmp_path / "a.npy").touch()
    Part(0, 2).path(tmp_path / "b.npy").touch()
    with pytest.raises(InputError, match=r"parts of several codes: name one, such as .*a\.npy"):
        find_codes(tmp_path)
    (tmp_path / "best.safetensors").touch()
    assert find_codes(tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([3], "3"), ([3, 7, 8, 9], "3,7-9"), ([0, 1], "0-1"), ([1, 3, 5], "1,3,5"), ([], "")],
)
def test_numbers_are_written_as_schedulers_take_them(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text


def test_many_missing_parts_are_still_one_line() -> None:
    line = missing_line(Path("codes.npy"), range(0, 99_999, 2), 99_999)
    assert len(line) <= 300
    assert "50,000 of 99,999 parts missing or damaged; the first are: 0,2,4,6," in line
    assert "--array=0,2,4,6," in line
    assert ",;" not in line
