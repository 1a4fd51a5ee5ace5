"""Tables of pixels: with and without a header and labels, and what is wrong with them."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from aecli.data import open_dataset
from aecli.errors import InputError
from tests.data.examples import LABELS, PIXELS

SQUARES = PIXELS[:, :5, :5].reshape(90, 25)


def table(values: np.ndarray, header: str | None = None, separator: str = ",") -> str:
    lines = [] if header is None else [header]
    return "\n".join(lines + [separator.join(map(str, row)) for row in values.tolist()]) + "\n"


_HEADER = ",".join(f"pixel{place}" for place in range(25))
_FIRST = np.column_stack([LABELS, SQUARES])
_CORNER = np.column_stack([np.zeros(90, int), SQUARES[:, 1:], LABELS])
_WITH_TEXT = "label," + _HEADER + "\n" + "".join(
    f'"{"abc"[label]}",{",".join(map(str, row))}\r\n'
    for label, row in zip(LABELS, SQUARES.tolist(), strict=True)
)  # fmt: skip
TABLES = {
    "Kaggle's": table(_FIRST, f"label,{_HEADER}"),
    "no header": table(_FIRST),
    "tabs": table(_FIRST, separator="\t"),
    "semicolons": table(_FIRST, separator=";"),
    "a byte order mark": "\ufeff" + table(_FIRST, f"label,{_HEADER}"),
    "a label in the middle": table(
        np.column_stack([SQUARES[:, :3], LABELS, SQUARES[:, 3:]]),
        "a,b,c,Class," + _HEADER.partition("pixel2,")[2],
    ),
    "row numbers": table(np.column_stack([np.arange(90), _FIRST]), f",label,{_HEADER}"),
    "words as labels": _WITH_TEXT,
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_every_kind(kind: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(TABLES[kind])
    dataset = open_dataset(str(tmp_path / "x.csv"))
    assert dataset.images.dtype == np.uint8
    np.testing.assert_array_equal(dataset.images[:], SQUARES.reshape(90, 5, 5, 1))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == LABELS.tolist()
    assert dataset.class_names == (("a", "b", "c") if kind == "words as labels" else None)
    assert dataset.left_out == ({"column without a name": 1} if kind == "row numbers" else {})
    assert dataset.vectors


def test_a_gzipped_table_is_the_same(tmp_path: Path) -> None:
    text = TABLES["Kaggle's"].encode()
    (tmp_path / "x.csv").write_bytes(text)
    for name in ("x.csv.gz", "y.csv"):
        (tmp_path / name).write_bytes(gzip.compress(text))
    found = [open_dataset(str(tmp_path / name)) for name in ("x.csv", "x.csv.gz", "y.csv")]
    assert len({dataset.fingerprint for dataset in found}) == 1
    assert len({dataset.labels_digest for dataset in found}) == 1
    assert [dataset.name for dataset in found] == ["x", "x", "y"]
    packed = (tmp_path / "y.csv").read_bytes()
    for damaged in (packed[:-9], packed[:100], packed[:10] + b"noise" + packed[15:]):
        (tmp_path / "y.csv").write_bytes(damaged)
        with pytest.raises(InputError, match=r"y\.csv is a damaged gzip file|y\.csv, line "):
            open_dataset(str(tmp_path / "y.csv"))


def test_the_last_column_beside_a_corner_that_is_always_the_same(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(table(_CORNER))
    dataset = open_dataset(str(tmp_path / "x.csv"))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == LABELS.tolist()


def test_floats_and_zeros_and_ones(tmp_path: Path) -> None:
    for values in (SQUARES / 255, (SQUARES > 99) * 1, (SQUARES > 99) * 1.0):
        (tmp_path / "x.tsv").write_text(table(values, separator="\t"))
        dataset = open_dataset(str(tmp_path / "x.tsv"))
        assert dataset.images.dtype == np.float32
        expected = values.astype(np.float32).reshape(90, 5, 5, 1)
        np.testing.assert_array_equal(dataset.images[:], expected)
        assert dataset.labels is None


def test_blocks_of_rows_with_one_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aecli.data.formats.table._VALUES_AT_A_TIME", 200)
    values = np.ones((90, 25))
    values[60:] = 0.5
    (tmp_path / "x.csv").write_text(table(values))
    np.testing.assert_array_equal(
        open_dataset(str(tmp_path / "x.csv")).images[:].reshape(90, 25), values
    )


BAD_TABLES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "a header only": (b"label,a,b\n", "column"),
    "one column": (b"1\n2\n", "has one column of pixels"),
    "a row that is shorter": (b"1,2,3,4\n1,2,3,4\n1,2\n", "line 3"),
    "a row that is longer": (b"1,2,3,4\n\n1,2,3,4,5\n", "line 3"),
    "a text": (b"label,a,b,c,d\n0,1,2,3,4\n0,1,2,x,4\n", "line 3, column 4: expected 5 columns"),
    "an empty cell": (b"1,2,3,4\n1,,3,4\n", "line 2, column 2"),
    "NaN": (b"1,2,3,4\n1,nan,3,4\n", "NaN"),
    "too large": (b"1,2,3,4\n1,2,3,1e400\n", "NaN, infinity or a number too large"),
    "NULs": (b"1,2,3,4\n1,\0,3,4\n", "line 2, column 2"),
    "not text": (b"1,2,3,4\n\xff\xfe\n", "line 2 is not text"),
    "an endless line": (b"1" * 17_000_000, "line 1 has more than"),
    "prose": (b"Hello, world.\nThis is, well, text.\n", "one column of pixels or none"),
}


@pytest.mark.parametrize("fault", BAD_TABLES)
def test_bad_tables(fault: str, tmp_path: Path) -> None:
    data, words = BAD_TABLES[fault]
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(InputError) as caught:
        open_dataset(str(tmp_path / "x.csv"))
    assert words in str(caught.value)
