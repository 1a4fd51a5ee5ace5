"""What may stand for labels."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aecli.errors import InputError
from aecli.labels import (
    UNKNOWN,
    labels_of_array,
    labels_of_cells,
    labels_of_parts,
    labels_of_texts,
    labels_of_values,
)

NAN = float("nan")
# What is given for four rows, and the labels and names that come of it.
CLASSES: dict[str, tuple[Any, list[int], tuple[str, ...] | None]] = {
    "whole numbers": ([7, -3, -1, 7], [7, -3, UNKNOWN, 7], None),
    "a column": ([[7], [0], [1], [7]], [7, 0, 1, 7], None),
    "whole floats": ([2.0, 0.0, NAN, -1.0], [2, 0, UNKNOWN, UNKNOWN], None),
    "nothing known": ([NAN] * 4, [UNKNOWN] * 4, None),
    "truth": ([True, False, False, True], [1, 0, 0, 1], ("False", "True")),
    "texts": (["b", "a", "", " b "], [1, 0, UNKNOWN, 1], ("a", "b")),
    "words for yes": (["yes", "no", "nan", "yes"], [1, 0, UNKNOWN, 1], ("no", "yes")),
    "bytes": ([b"b", b"\xff", b"b", b""], [0, 1, 0, UNKNOWN], ("b", "\ufffd")),
    "one-hot": (np.eye(4)[[2, 0, 1, 3]], [2, 0, 1, 3], None),
    "one-hot truth": (np.eye(4, dtype=bool)[[2, 0, 1, 3]], [2, 0, 1, 3], None),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_array_is_classes(kind: str) -> None:
    values, labels, names = CLASSES[kind]
    found = labels_of_array(np.array(values), 4, "y")
    assert found.labels is not None
    assert found.labels.dtype == np.int64
    assert (found.labels.tolist(), found.class_names, found.left_out) == (labels, names, {})


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "u8", "f4", ">f8"])
def test_whole_numbers_stay_as_they_are_in_any_type(dtype: str) -> None:
    found = labels_of_array(np.array([3, 0, 100], dtype), 3, "y")
    assert found.labels is not None
    assert found.labels.tolist() == [3, 0, 100]


def test_texts_in_another_order_of_bytes_are_texts() -> None:
    assert labels_of_array(np.array(["b", "a"], ">U1"), 2, "y").class_names == ("a", "b")


def test_numbers_that_are_not_whole_are_no_classes() -> None:
    found = labels_of_array(np.array([0.5, NAN, 2]), 3, "y")
    assert found.labels is None
    np.testing.assert_array_equal(found.numbers, np.array([0.5, NAN, 2], np.float32))
    assert found.classes().left_out == {"labels that are not whole numbers": 3}
    assert found.classes().numbers is None


@pytest.mark.parametrize("rows", [[[1, 1], [0, 1]], [[0, 0], [0, 1]], [[0.5, 0.5], [0, 1]]])
def test_rows_of_several_labels_are_set_aside(rows: list[list[float]]) -> None:
    found = labels_of_array(np.array(rows), 2, "y")
    assert (found.labels, found.left_out) == (None, {"rows of several labels": 2})


BAD: dict[str, tuple[npt.NDArray[Any], str]] = {
    "fewer": (np.zeros(2, int), r"expected 3, one for each row, got int64 \(2,\)"),
    "three axes": (np.zeros((3, 1, 1)), "does not fit as labels"),
    "no columns": (np.zeros((3, 0)), "does not fit as labels"),
    "complex": (np.zeros(3, complex), "got complex128"),
    "dates": (np.zeros(3, "M8[s]"), "does not fit as labels"),
    "beyond int64": (np.full(3, 2**63, np.uint64), "beyond int64"),
    "infinite": (np.array([0, np.inf, 1]), "infinite labels"),
    "beyond float32": (np.array([0.5, 1e300, 1]), "beyond float32"),
    "no characters": (np.full(3, 0x110000, np.uint32).view("U1"), "characters that there are not"),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_can_be_no_labels_is_refused(fault: str) -> None:
    values, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        labels_of_array(values, 3, "y")


def test_names_have_nothing_that_no_name_of_a_file_has() -> None:
    assert labels_of_texts(["a\0b", "\ud800", "c"]).class_names == ("?", "a\ufffdb", "c")


def test_too_many_texts_are_no_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aecli.labels._MOST_NAMES", 3)
    found = labels_of_texts(map(str, [1, 2, 3, 4, 4]))
    assert (found.labels, found.left_out) == (None, {"labels of too many different texts": 5})


# Cells of a table, and what comes of them.
CELLS: dict[str, tuple[list[str], list[int] | None, tuple[str, ...] | None]] = {
    "whole": (["3", " 1", "", "-1"], [3, 1, UNKNOWN, UNKNOWN], None),
    "floats": (["3.0", "1", "NaN", "2."], [3, 1, UNKNOWN, 2], None),
    "texts": (["3", "x", "", "1_0"], [1, 2, UNKNOWN, 0], ("1_0", "3", "x")),
    "numbers": (["0.5", "1e3"], None, None),
    "nothing": (["", "nan"], [UNKNOWN, UNKNOWN], None),
}


@pytest.mark.parametrize("kind", CELLS)
def test_cells_are_numbers_where_all_are(kind: str) -> None:
    cells, labels, names = CELLS[kind]
    found = labels_of_cells(cells, "y")
    assert (None if found.labels is None else found.labels.tolist()) == labels
    assert found.class_names == names
    assert (found.numbers is not None) == (labels is None)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_whole_numbers_of_tables_are_exact(numbers: list[int]) -> None:
    expected = [UNKNOWN if number == UNKNOWN else number for number in numbers]
    for found in (
        labels_of_cells(list(map(str, numbers)), "y"),
        labels_of_values(numbers, "whole", "y"),
    ):
        assert found.labels is not None
        assert found.labels.tolist() == expected


@given(st.lists(st.text(), min_size=1))
def test_any_texts_are_labels_with_sorted_names(texts: list[str]) -> None:
    found = labels_of_texts(texts)
    assert found.labels is not None
    assert found.class_names is not None
    assert list(found.class_names) == sorted(set(found.class_names))
    assert len(found.labels) == len(texts)
    for text, label in zip(texts, found.labels.tolist(), strict=True):
        if label == UNKNOWN:
            assert text.strip().casefold() in ("", "nan", "-1")
        elif "\0" not in text and text.isprintable():
            assert found.class_names[label] == text.strip()


def test_a_label_beyond_int64_in_a_table_is_refused() -> None:
    with pytest.raises(InputError, match=f"beyond int64, such as {2**63}"):
        labels_of_cells([str(2**63), "1"], "y")


@pytest.mark.parametrize(
    ("values", "kind", "labels"),
    [
        ([None, 4, 2], "whole", [UNKNOWN, 4, 2]),
        ([None, 4.0, NAN], "float", [UNKNOWN, 4, UNKNOWN]),
        ([None, True, False], "truth", [UNKNOWN, 1, 0]),
        ([None, "b", "a"], "text", [UNKNOWN, 1, 0]),
        ([None, [0, 1], [1, 0]], "list", [UNKNOWN, 1, 0]),
        ([[1, 1], [0, 1]], "list", None),
        ([[1], [0, 1]], "list", None),
        ([["a", "b"], [0, 1]], "list", None),
    ],
)
def test_values_that_are_missing_are_unknown(
    values: list[Any], kind: str, labels: list[int] | None
) -> None:
    found = labels_of_values(values, kind, "y")
    assert (None if found.labels is None else found.labels.tolist()) == labels


def test_parts_have_one_set_of_classes_and_may_have_none() -> None:
    found = labels_of_parts(
        [
            (np.array(["c", "a"]), 2, "x, validation"),
            (None, 1, "x, train"),
            (np.array([["b"], ["a"]]), 2, "x, test"),
        ]
    )
    assert found.class_names == ("a", "b", "c")
    assert found.labels is not None
    assert found.labels.tolist() == [2, 0, UNKNOWN, 1, 0]
    assert labels_of_parts([(None, 3, "x")]).labels is None


def test_a_part_that_looks_one_hot_by_chance_is_of_several_labels_like_the_others() -> None:
    parts = [(np.array([[0, 1]]), 1, "x, test"), (np.array([[1, 1]]), 1, "x, train")]
    assert labels_of_parts(parts).left_out == {"rows of several labels": 2}
