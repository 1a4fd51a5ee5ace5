"""Labels in files of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aecli.data import Source, files_of, open_dataset
from aecli.data.describe import count_classes, facts
from aecli.data.describe import describe as describe_dataset
from aecli.data.label_files import read_labels
from aecli.errors import InputError
from aecli.labels import UNKNOWN
from tests.data.examples import LABELS, PIXELS, npy, npz, save_image, write_images, write_parquet
from tests.helpers import write_idx

IDS = ("a/0.png", "a/1.png", "b/2.png", "b/3.jpg")


def _labels(path: Path | str, rows: int = 4, ids: tuple[str, ...] | None = None) -> list[int]:
    found = read_labels(str(path), rows, ids).labels
    assert found is not None
    return [int(label) for label in found]


@pytest.mark.parametrize("name", ["y.npy", "y.npz", "many.npz:b", "y.idx"])
def test_arrays_have_a_label_for_each_row(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "y.npy", [3, 1, -1, 2])
    (tmp_path / "y.npz").write_bytes(npz(y=npy([3, 1, -1, 2])))
    (tmp_path / "many.npz").write_bytes(npz(a=npy([0]), b=npy([3.0, 1, np.nan, 2])))
    write_idx(tmp_path / "y.idx", np.array([3, 1, 9, 2], np.uint8))
    assert _labels(tmp_path / name) == [3, 1, 9 if name == "y.idx" else UNKNOWN, 2]


def test_a_file_whose_name_has_a_colon_is_that_file(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npz:b.npy", [1, 2])
    np.savez(tmp_path / "y.npz", b=[3, 4])
    assert _labels(tmp_path / "y.npz:b.npy", 2) == [1, 2]
    assert _labels(tmp_path / "y.npz:b", 2) == [3, 4]


# Tables whose labels are those of IDS: x, y, unknown, x.
TABLES = {
    "whole names": "file,label\na/0.png,x\na/1.png,y\nb/3.jpg,x\n",
    "last parts": "filename,class\n3.jpg,x\n0.png,x\nelse/1.png,y\n",
    "stems": "id,category\n3,x\n0,x\n1,y\n",
    "stems with another suffix": "image,label\n3.png,x\n0.jpg,x\n1.tif,y\n",
    "an empty cell": "file,label\n0.png,x\n1.png,y\n2.png,\n3.jpg,x\n",
    "other columns": "index,Label ,note,File Name\n1,x,n,0.png\n2,y,n,1.png\n3,x,n,3.jpg\n",
    "the only other column": ",file,what\n0,0.png,x\n1,1.png,y\n2,3.jpg,x\n",
    "semicolons and a mark of the order of bytes": "\ufefffile;label\n0.png;x\n1.png;y\n3.jpg;x\n",
    "tabs": "file\tlabel\n0.png\tx\n1.png\ty\n3.jpg\tx\n",
    "backslashes": "file,label\na\\0.png,x\n.\\a\\1.png,y\n\nb\\3.jpg,x\n",
    "no header": "0.png,x\n1.png,y\n3.jpg,x\n",
    "the same twice": "file,label\n0.png,x\n0.png,x\n1.png,y\n3.jpg,x\n",
    "by row": "x\ny\n\nx\n",
    "by row, with a name": "label\nx\ny\n\nx\n\n\n",
    "by row, with another name": "animal\r\nx\r\ny\r\n\r\nx\r\n",
    "by row, with more columns": "n,y\n1,x\n2,y\n3,\n4,x\n",
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_name_images_or_have_a_row_for_each(tmp_path: Path, table: str) -> None:
    path = tmp_path / "y.csv"
    path.write_text(TABLES[table], newline="")
    found = read_labels(str(path), 4, IDS)
    assert found.labels is not None
    assert (found.labels.tolist(), found.class_names) == ([0, 1, UNKNOWN, 0], ("x", "y"))
    assert not found.left_out


def test_rows_without_an_image_are_counted_and_are_no_classes(tmp_path: Path) -> None:
    path = tmp_path / "y.tsv"
    path.write_text("path\ttarget\nb/2.png\t5\nc/9.png\tnine\n")
    found = read_labels(str(path), 4, IDS)
    assert found.labels is not None
    assert found.labels.tolist() == [UNKNOWN, UNKNOWN, 5, UNKNOWN]
    assert (found.class_names, found.left_out) == (None, {"rows of labels without an image": 1})


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["x", "y", None, "x"], [0, 1, UNKNOWN, 0]),
        ([3, 4, None, 3], [3, 4, UNKNOWN, 3]),
        ([True, False, None, True], [1, 0, UNKNOWN, 1]),
        (pa.array(["x", "y", None, "x"]).dictionary_encode(), [0, 1, UNKNOWN, 0]),
    ],
)
def test_parquet_is_a_table(tmp_path: Path, labels: Any, expected: list[int]) -> None:
    path = tmp_path / "any.name"
    pq.write_table(pa.table({"file": ["3.jpg", "1.png", "2.png", "0.png"], "label": labels}), path)
    # By name the first and the last change places, and have the same label.
    assert _labels(path, 4, IDS) == expected
    assert _labels(path, 4) == expected
    pq.write_table(pa.table({"id": [3, 1, 2, 0], "what": labels}), path)
    assert _labels(path, 4, IDS) == expected


# What is in a table, and what is said of it.
BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "has 0 rows of labels: expected 4"),
    "fewer rows": (b"label\n1\n2\n3\n", "has 3 rows of labels: expected 4"),
    "more rows": (b"1\n2\n3\n4\n5\n6\n", "has 5 rows of labels: expected 4"),
    "ragged rows": (b"file,label\n0.png\n", "row 2, has 1 cells: expected 2"),
    "a row of two": (b"1\n2,3\n", "row 2, has 2 cells: expected 1"),
    "no label": (b"file,size,colour\n0.png,1,2\n", "has the columns file, size, colour"),
    "an id alone": (b"id,file\n1,0.png\n", "has the columns id, file"),
    "other images": (b"file,label\nz.png,1\n", "names none of the images: its first name is z.png"),
    "two labels": (b"file,label\n0.png,1\na/0.png,2\n", "has two labels for a/0.png"),
    "not UTF-8": ("file,label\n0.png,\xe9\n".encode("latin-1"), "is not UTF-8"),
    "an endless cell": (b'file,label\n0.png,"' + b"x" * 200_000, "is no table"),
    "beyond int64": (b"file,label\n0.png,9223372036854775808\n", "beyond int64"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_tables_are_refused(tmp_path: Path, fault: str) -> None:
    data, words = BAD[fault]
    (tmp_path / "y.csv").write_bytes(data)
    with pytest.raises(InputError, match=words):
        read_labels(str(tmp_path / "y.csv"), 4, IDS)


def test_a_name_that_several_images_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "y.csv").write_text("file,label\n0.png,1\n")
    with pytest.raises(InputError, match=r"several images are called 0\.png"):
        read_labels(str(tmp_path / "y.csv"), 2, ("a/0.png", "b/0.png"))


@pytest.mark.parametrize("name", ["no.npy", "", "y.npz", "y.npz:c", "y.npy:a"])
def test_files_that_hold_no_labels_are_refused(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "y.npz", a=[1], b=[2])
    np.save(tmp_path / "y.npy", [1])
    with pytest.raises(InputError, match=r"no such file|expected the name of one|is no \.npz file"):
        read_labels(str(tmp_path / name), 1)


def test_a_table_that_memory_cannot_take_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.memory.default_memory", lambda: 100)
    (tmp_path / "y.csv").write_text("label\n" * 5)
    with pytest.raises(InputError, match=r"the table .* takes 1,200 bytes"):
        read_labels(str(tmp_path / "y.csv"), 4)


def test_a_folder_of_images_has_the_labels_of_a_table(tmp_path: Path) -> None:
    folder, table = tmp_path / "all", tmp_path / "names.csv"
    for row, pixels in enumerate(PIXELS[:12]):
        save_image(folder / "images" / f"{row}.png", pixels)
    rows = [f"{row}.png,{'even' if row % 2 == 0 else 'odd'}" for row in range(10)]
    table.write_text("\n".join(["file,label", *rows, "99.png,none"]))
    dataset = open_dataset(Source(str(folder), labels=str(table)))
    assert dataset.row_ids is not None
    assert dataset.labels is not None
    numbers = [int(Path(name).stem) for name in dataset.row_ids]
    assert dataset.labels.tolist() == [n % 2 if n < 10 else UNKNOWN for n in numbers]
    assert count_classes(dataset) == {"even": 5, "odd": 5}
    about = dict(facts(describe_dataset(dataset)))
    assert about["classes"] == "even: 5, odd: 5; 2 without a label"
    assert about["left out"] == "1 rows of labels without an image"
    assert table in files_of(dataset)


def test_labels_of_a_file_take_the_place_of_folders(tmp_path: Path) -> None:
    write_images(tmp_path / "all")
    (tmp_path / "y.csv").write_text("id,label\n" + "".join(f"{n:02},{n % 3}\n" for n in range(12)))
    dataset = open_dataset(Source(str(tmp_path / "all"), labels=str(tmp_path / "y.csv")))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [n % 3 for n in range(12)]
    assert (dataset.class_names, dataset.left_out) == (
        None,
        {"labels of the data themselves": 12},
    )
    # The splits take the same share of each label.
    assert {dataset.count(split) for split in ("validation", "test")} == {1}


def test_folders_of_splits_need_names_of_images(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_images(tmp_path / "all" / split)
    np.save(tmp_path / "y.npy", np.arange(24))
    with pytest.raises(InputError, match="does not say which image each label is of"):
        open_dataset(Source(str(tmp_path / "all"), labels=str(tmp_path / "y.npy")))
    names = [f"{split}/{kind}/{n:02}.png,{split}" for split in ("train", "test")
             for n, kind in enumerate(["cat"] * 6 + ["dog"] * 6)]  # fmt: skip
    (tmp_path / "y.csv").write_text("\n".join(["file,label", *names]))
    dataset = open_dataset(Source(str(tmp_path / "all"), labels=str(tmp_path / "y.csv")))
    assert dataset.class_names == ("test", "train")
    assert set(dataset.labels_of("test")) == {0}  # type: ignore[arg-type]


def test_parquet_may_have_labels_from_elsewhere(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", slice(0, 9))
    (tmp_path / "y.csv").write_text("id,label\n8,a\n")
    source = Source(str(tmp_path / "x.parquet"), labels=str(tmp_path / "y.csv"))
    dataset = open_dataset(source)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [UNKNOWN] * 8 + [0]
    assert dataset.class_names == ("a",)


@pytest.mark.parametrize("labels", [np.arange(90) + 0.5, np.ones((90, 3))])
def test_labels_that_are_no_classes_are_set_aside_and_said(tmp_path: Path, labels: Any) -> None:
    np.save(tmp_path / "x.npy", PIXELS)
    np.save(tmp_path / "y.npy", labels)
    dataset = open_dataset(Source(str(tmp_path / "x.npy"), labels=str(tmp_path / "y.npy")))
    assert (dataset.labels, sum(dataset.left_out.values())) == (None, 90)


def test_data_can_be_read_without_their_labels(tmp_path: Path, idx_folder: Path) -> None:
    write_images(tmp_path / "pictures")
    # Images beside folders of classes are refused otherwise.
    save_image(tmp_path / "pictures" / "x.png", PIXELS[0])
    write_parquet(tmp_path / "x.parquet", slice(0, 9))
    keras = {"x_train": npy(PIXELS), "y_train": npy(LABELS[:3]), "x_test": npy(PIXELS)}
    (tmp_path / "x.npz").write_bytes(npz(**keras))
    (idx_folder / "t10k-labels-idx1-ubyte").write_bytes(b"")
    places = [tmp_path / "pictures", tmp_path / "x.parquet", tmp_path / "x.npz", idx_folder]
    for location in [*map(str, places), "digits"]:
        dataset = open_dataset(Source(location, no_labels=True))
        assert (dataset.labels, dataset.class_names) == (None, None)
        assert Source.from_json(dataset.source.to_json()) == dataset.source


def test_labels_and_no_labels_exclude_each_other() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        Source("digits", labels="y.npy", no_labels=True)


def test_sources_of_older_files_have_their_labels() -> None:
    older = {name: value for name, value in Source("x").to_json().items() if name != "no_labels"}
    assert Source.from_json(older) == Source("x")
