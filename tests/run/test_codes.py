import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from aecli.data import Source
from aecli.errors import InputError
from aecli.run.codes import (
    CodeBlocks,
    labels_path,
    provenance_path,
    read_codes,
    refuse_existing_codes,
    write_codes,
)

VALUES = np.arange(12, dtype=np.float32).reshape(6, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])
ABOUT = {
    "data": "some",
    "source": Source("some").to_json(),
    "split": "test",
    "fingerprint": "0" * 64,
    "rows": 6,
    "dimensions": 2,
    "class_names": ["a", "b", "c"],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "codes.npy"
    write_codes(path, CodeBlocks([VALUES[:4], VALUES[4:]], (6, 2), LABELS, ABOUT))
    return path


def test_codes_come_back_with_labels_and_provenance(path: Path) -> None:
    codes = read_codes(path)
    np.testing.assert_array_equal(codes.values, VALUES)
    assert codes.values.dtype == np.float32
    assert codes.labels is not None
    assert codes.labels.tolist() == LABELS.tolist()
    assert codes.class_names == ["a", "b", "c"]


def test_codes_without_labels_leave_none_of_an_older_file(path: Path) -> None:
    assert labels_path(path).exists()
    about = {**ABOUT, "class_names": None}
    written = write_codes(path, CodeBlocks([VALUES], (6, 2), None, about), replace=True)
    assert written == [path, provenance_path(path)]
    assert read_codes(path).labels is None


def test_labels_that_are_nobodys_are_not_removed(path: Path) -> None:
    np.save(labels_path(path), LABELS[::-1])
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"codes\.labels\.npy is not known to be of older codes"):
        write_codes(path, CodeBlocks([VALUES], (6, 2), None, {}), replace=True)
    assert path.read_bytes() == before
    assert np.load(labels_path(path)).tolist() == LABELS[::-1].tolist()


def test_codes_that_came_to_be_meanwhile_are_refused_whole(path: Path) -> None:
    # The labels alone are there: the codes have taken their name already when they are met.
    path.unlink()
    provenance_path(path).unlink()
    with pytest.raises(InputError, match=r"codes\.labels\.npy has come to exist meanwhile"):
        write_codes(path, CodeBlocks([VALUES], (6, 2), LABELS, {}))
    assert [one.name for one in path.parent.iterdir()] == ["codes.labels.npy"]


def test_codes_that_are_just_replaced_are_read_once_they_are_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = provenance_path(path).read_bytes()
    write_codes(path, CodeBlocks([VALUES + 1], (6, 2), LABELS, ABOUT), replace=True)
    newer = provenance_path(path).read_bytes()
    provenance_path(path).write_bytes(older)

    @contextmanager
    def unchanging(folder: Path) -> Iterator[None]:
        provenance_path(path).write_bytes(newer)
        yield

    monkeypatch.setattr("aecli.files.unchanging", unchanging)
    np.testing.assert_array_equal(read_codes(path).values, VALUES + 1)


def test_codes_from_elsewhere_need_nothing_beside_them(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", [0, 1, 2])
    codes = read_codes(tmp_path / "mine.npy")
    assert codes.values.tolist() == [[0.0], [1.0], [2.0]]
    assert (codes.labels, codes.provenance, codes.class_names) == (None, None, None)


def _save(values: object) -> Callable[[Path], None]:
    return lambda path: np.save(path, values)  # type: ignore[arg-type]


BAD_CODES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "cannot read"),
    "text": (lambda path: path.write_text("1,2\n3,4\n"), r"is not a whole \.npy array"),
    "empty": (lambda path: path.write_bytes(b""), r"is not a whole \.npy array"),
    "truncated": (
        lambda path: path.write_bytes(path.read_bytes()[:-4]),
        "is truncated: its header promises 48 bytes, it holds 44",
    ),
    "two arrays": (
        lambda path: path.write_bytes(path.read_bytes() * 2),
        "is too long",
    ),
    "objects": (_save(np.array([{}, {}])), "holds object: expected numbers; nothing of it was run"),
    "images": (_save(np.zeros((3, 4, 4))), r"expected numbers of shape \(n, d\), got float64 \(3"),
    "words": (_save(np.array([["a", "b"]])), "holds <U1: expected numbers"),
    "no rows": (_save(np.zeros((0, 2))), "is not a code matrix"),
    "NaN": (_save([[0.0, 1.0], [np.nan, 1.0]]), "not finite as float32: first in row 1"),
    "too large for float32": (_save([[1e300, 1.0]]), "not finite as float32: first in row 0"),
    "other codes": (_save(VALUES + 1), "belongs to other codes than"),
    "fewer labels": (
        lambda path: np.save(labels_path(path), LABELS[:5]),
        r"expected 6, one for each row, got int64 \(5,\)",
    ),
    "other labels": (
        lambda path: np.save(labels_path(path), LABELS[::-1]),
        "labels.npy belongs to other codes",
    ),
    "labels that are no numbers": (
        lambda path: np.save(labels_path(path), np.full(6, 0.5)),
        "labels.npy belongs to other codes",
    ),
    "provenance without data": (
        lambda path: provenance_path(path).write_text('{"codes_sha256": ""}'),
        "is damaged or was changed: encode again",
    ),
    "labels beyond int64": (
        lambda path: np.save(labels_path(path), np.full(6, 2**63, np.uint64)),
        "has labels beyond int64",
    ),
    "provenance that is no JSON": (
        lambda path: provenance_path(path).write_text("{"),
        "is not valid JSON",
    ),
}


@pytest.mark.parametrize("fault", BAD_CODES)
def test_bad_codes_are_refused(path: Path, fault: str) -> None:
    spoil, words = BAD_CODES[fault]
    spoil(path)
    with pytest.raises(InputError, match=words):
        read_codes(path)


def test_labels_may_come_from_another_file(path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", LABELS[::-1].astype(np.uint8))
    codes = read_codes(path, tmp_path / "y.npy")
    assert codes.labels is not None
    assert codes.labels.tolist() == LABELS[::-1].tolist()
    # Other labels, clusters for example, are not called like the data set's classes.
    assert codes.class_names is None


def test_a_json_file_of_another_kind_is_left_alone(path: Path) -> None:
    provenance_path(path).write_text('{"mine": 1}')
    assert read_codes(path).provenance is None
    with pytest.raises(
        InputError, match="is not the provenance of codes: give the codes another name"
    ):
        refuse_existing_codes(path, force=True)


def test_damage_anywhere_is_refused_or_harmless(path: Path) -> None:
    whole = read_codes(path)
    refused = tried = 0
    for file in (path, labels_path(path), provenance_path(path)):
        data = file.read_bytes()
        for index in range(0, len(data), 3):
            for damaged in (
                data[:index] + bytes([data[index] ^ (1 << index % 8)]) + data[index + 1 :],
                data[:index] + bytes(len(data[index : index + 8])) + data[index + 8 :],
                data[:index],
            ):
                file.write_bytes(damaged)
                tried += 1
                try:
                    codes = read_codes(path)
                except InputError:
                    refused += 1
                    continue
                # In the header's padding, say, or a file that is nobody's provenance any more.
                np.testing.assert_array_equal(codes.values, whole.values)
                assert codes.labels is not None
                assert whole.labels is not None
                np.testing.assert_array_equal(codes.labels, whole.labels)
                assert codes.provenance in (whole.provenance, None)
        file.write_bytes(data)
    assert refused > 0.8 * tried, (refused, tried)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": []}, "has a bad field source: expected object, got array"),
        ({"source": {}}, "has a bad field source: object missing required field location"),
        ({"split": "dev"}, "has a bad field split"),
        ({"rows": 7}, "is of codes of another shape"),
        ({"rows": 12, "dimensions": 1}, "is of codes of another shape"),
        ({"rows": 1e400}, "has a bad field rows: expected int, got float"),
        ({"dimensions": True}, "has a bad field dimensions: expected int, got bool"),
        ({"class_names": "abc"}, r"has a bad field class_names: expected array .* got str"),
        ({"class_names": ["a", 2]}, r"has a bad field class_names\[1\]: expected str, got int"),
        ({"row_ids": ["a"]}, "it has 1 row_ids for 6 rows"),
        ({"fingerprint": None}, "has a bad field fingerprint"),
        ({"fingerprint": "0"}, "has a bad field fingerprint: expected 64 hexadecimal digits"),
        ({"data": "\0"}, "has a bad field data: expected text that can be the name of a file"),
        ({"mine": 1}, "has an unknown field: mine"),
    ],
)
def test_a_provenance_whose_checksum_fits_and_nothing_else_is_refused(
    path: Path, change: dict[str, object], words: str
) -> None:
    content = json.loads(provenance_path(path).read_text()) | change
    del content["sha256"]
    sealed = content | {"sha256": hashlib.sha256(json.dumps(content).encode()).hexdigest()}
    provenance_path(path).write_text(json.dumps(sealed))
    with pytest.raises(InputError, match=words) as caught:
        read_codes(path)
    assert str(provenance_path(path)) in str(caught.value)


def test_labels_of_another_file_may_be_of_any_kind(path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.array(["b", "a", "", "a", "b", "c"]))
    codes = read_codes(path, tmp_path / "y.npy")
    assert codes.labels is not None
    assert (codes.labels.tolist(), codes.class_names) == ([1, 0, -1, 0, 1, 2], ("a", "b", "c"))
    np.save(tmp_path / "y.npy", np.arange(6) / 4)
    codes = read_codes(path, tmp_path / "y.npy")
    assert (codes.labels, codes.class_names) == (None, None)
    np.testing.assert_array_equal(codes.numbers, np.arange(6) / 4)
    np.save(tmp_path / "y.npy", np.ones((6, 2)))
    with pytest.raises(InputError, match=r"has no classes: .* got rows of several labels"):
        read_codes(path, tmp_path / "y.npy")


def test_a_table_names_the_files_that_codes_are_of(tmp_path: Path) -> None:
    path, names = tmp_path / "codes.npy", [f"{row}.png" for row in range(6)]
    about = {**ABOUT, "row_ids": names}
    write_codes(path, CodeBlocks([VALUES], VALUES.shape, LABELS, about))
    (tmp_path / "y.csv").write_text("file,label\n5.png,x\n0.png,y\n9.png,z\n")
    codes = read_codes(path, tmp_path / "y.csv")
    assert codes.labels is not None
    assert (codes.labels.tolist(), codes.class_names) == ([1, -1, -1, -1, -1, 0], ("x", "y"))
    assert codes.left_out == {"rows of labels without an image": 1}
