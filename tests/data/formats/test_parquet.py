"""Parquet files, as Hugging Face writes them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aecli.data import open_dataset, parquet_file
from aecli.data.encoded_dataset import read_found
from aecli.data.formats import parquet
from aecli.errors import InputError
from tests.data.examples import MANY_LABELS as LABELS
from tests.data.examples import MANY_PIXELS as PIXELS
from tests.data.examples import Act, cut, eps, flipped, png, with_features, write_parquet


def encoded(pixels: Iterable[Any]) -> list[bytes]:
    """Return images as PNG."""
    return [png(image) for image in pixels]


def test_a_file_is_images_labels_names_and_paths(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pets.parquet", row_group_size=70)
    dataset = open_dataset(str(tmp_path / "pets.parquet"))
    np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == LABELS.tolist()
    assert (dataset.name, dataset.class_names) == ("pets", ("cat", "dog", "emu"))
    assert dataset.row_ids is not None
    assert dataset.row_ids[:2] == ("0.png", "1.png")
    assert not dataset.has_own_splits


@pytest.mark.parametrize("folder", [".", "data"])
def test_parts_that_say_so_are_splits(tmp_path: Path, folder: str) -> None:
    place = tmp_path / "pets" / folder
    write_parquet(place / "train-00000-of-00002.parquet", slice(0, 100))
    write_parquet(place / "train-00001-of-00002.parquet", slice(100, 200))
    write_parquet(place / "validation-00000-of-00001.parquet", slice(200, 250))
    write_parquet(place / "test-00000-of-00001.parquet", slice(250, 300))
    dataset = open_dataset(str(tmp_path / "pets"))
    assert dataset.has_own_splits
    assert len(dataset.images) == 300
    for split, rows in (("train", slice(0, 200)), ("validation", slice(200, 250))):
        np.testing.assert_array_equal(dataset.split(split).images[..., 0], PIXELS[rows])  # type: ignore[arg-type]
    test = dataset.split("test")
    assert test.labels is not None
    assert test.labels.tolist() == LABELS[250:].tolist()
    assert test.row_ids is not None
    assert test.row_ids[0] == "250.png"


def test_parts_that_say_nothing_are_one_set(tmp_path: Path) -> None:
    for part in range(3):
        write_parquet(tmp_path / f"{part}.parquet", slice(100 * part, 100 * part + 100))
    dataset = open_dataset(str(tmp_path))
    np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS)
    assert not dataset.has_own_splits


def test_columns_may_be_bytes_alone_and_labels_missing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"picture": encoded(PIXELS[:9])}), tmp_path / "x.parquet")
    dataset = open_dataset(str(tmp_path / "x.parquet"))
    np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS[:9])
    assert (dataset.labels, dataset.row_ids, dataset.class_names) == (None, None, None)


def test_the_first_class_label_is_the_label_where_none_is_called_so(tmp_path: Path) -> None:
    features = {"fine": {"names": ["a", "b", "c"]}, "id": {"dtype": "int64"}}
    table = pa.table({"img": encoded(PIXELS[:9]), "id": np.arange(9), "fine": LABELS[:9]})
    pq.write_table(with_features(table, features), tmp_path / "x.parquet")
    dataset = open_dataset(str(tmp_path / "x.parquet"))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == LABELS[:9].tolist()
    assert dataset.class_names == ("a", "b", "c")


def test_odd_columns_are_read_or_left_out(tmp_path: Path) -> None:
    structs = [{"bytes": data, "path": b"x"} for data in encoded(PIXELS[:3])]
    features = {"label.x": {"names": 5}}
    for number, image in enumerate((structs, encoded(PIXELS[:3]))):
        table = pa.table({"my.image": image, "label.x": [1, 0, 1], "text": ["a", "b", "c"]})
        pq.write_table(with_features(table, features), tmp_path / f"{number}.parquet")
        dataset = open_dataset(str(tmp_path / f"{number}.parquet"))
        np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS[:3])
        assert dataset.labels is not None
        assert dataset.labels.tolist() == [1, 0, 1]
        assert (dataset.class_names, dataset.row_ids) == (None, None)


def test_labels_that_are_held_back_are_none(tmp_path: Path) -> None:
    table = pa.table({"image": encoded(PIXELS[:3]), "label": [-1, -1, -1]})
    pq.write_table(with_features(table), tmp_path / "x.parquet")
    assert open_dataset(str(tmp_path / "x.parquet")).labels is None


def _flip(index: int) -> Act:
    return lambda path: path.write_bytes(flipped(path.read_bytes(), index))


def _columns(**columns: Any) -> Act:
    return lambda path: pq.write_table(pa.table(columns), path)


ONE = encoded(PIXELS[:1])


BAD_FILES: dict[str, tuple[Act, str]] = {
    "only the magic": (cut(4), "is a damaged Parquet file"),
    "cut in the pages": (cut(2000), "is a damaged Parquet file"),
    "cut in the footer": (cut(-20), "is a damaged Parquet file"),
    "no closing magic": (cut(-4), "is a damaged Parquet file"),
    "a footer of gigabytes": (_flip(-5), "is a damaged Parquet file"),
    "a damaged page header": (_flip(5), "is a damaged Parquet file"),
    "no rows": (_columns(image=pa.array([], pa.binary()), label=[]), "holds no rows"),
    "no images": (_columns(label=[1, 2]), "has the columns label: expected one of images"),
    "two columns of images": (_columns(a=ONE, b=ONE), "has the columns a, b"),
    "a row without bytes": (
        _columns(image=[{"bytes": None, "path": "a.png"}, {"bytes": ONE[0], "path": "b.png"}]),
        "row 0 has no bytes",
    ),
    "a row that is no image": (_columns(image=[b"text"]), "row 0 is not an image that can be read"),
    "a row that is PostScript": (_columns(image=[eps()]), "row 0 is not an image that can be read"),
    "two columns of one name": (
        lambda path: pq.write_table(
            pa.Table.from_arrays([pa.array(ONE), pa.array(ONE)], ["image", "image"]), path
        ),
        "has several columns called image",
    ),
    "labels without a name": (
        lambda path: pq.write_table(with_features(pa.table({"image": ONE, "label": [3]})), path),
        "has labels from 3 to 3: expected 0..2, as there are 3 names",
    ),
    "two sizes": (
        _columns(image=[*ONE, *encoded([np.zeros((4, 4), np.uint8)])]),
        "row 1 has 4x4 pixels",
    ),
}


def test_sizes_are_weighed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "x.parquet")
    monkeypatch.setattr("aecli.memory.default_memory", lambda: 300 * 150 // 2 - 1)
    with pytest.raises(InputError, match=r"x\.parquet, of 300 rows, takes 45,000 bytes, but"):
        open_dataset(str(tmp_path / "x.parquet"))
    monkeypatch.undo()
    monkeypatch.setattr(parquet, "default_memory", lambda: 1000)
    with pytest.raises(InputError, match="has longer names of files than memory takes"):
        open_dataset(str(tmp_path / "x.parquet"))


def test_few_rows_are_read_at_a_time_where_all_may_be_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 9), pa.array([bytes(10**6)]))
    pq.write_table(pa.table({"image": long}), tmp_path / "x.parquet", store_schema=False)
    monkeypatch.setattr(parquet_file, "_BATCH_BYTES", 3 * 10**6)
    part = parquet._look(tmp_path / "x.parquet")
    sizes = [len(values) for values in parquet._lists(part, part.columns.data)]
    assert sum(sizes) == 9
    assert max(sizes) <= 2


def test_files_that_are_changed_while_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "x.parquet")

    def change(*arguments: Any) -> Any:
        array = read_found(*arguments)
        write_parquet(tmp_path / "x.parquet", slice(0, 299))
        return array

    monkeypatch.setattr(parquet, "read_found", change)
    with pytest.raises(InputError, match=r"x\.parquet was changed while it was read: start again"):
        open_dataset(str(tmp_path / "x.parquet"))


def test_parts_that_differ_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "0.parquet")
    pq.write_table(pa.table({"image": ONE}), tmp_path / "1.parquet")
    with pytest.raises(InputError, match=r"1\.parquet has other columns than .*0\.parquet"):
        open_dataset(str(tmp_path))
    (tmp_path / "1.parquet").rename(tmp_path / "train.parquet")
    with pytest.raises(InputError, match="has files of all, train: expected train and test"):
        open_dataset(str(tmp_path))


def test_an_id_is_no_label_and_texts_are_classes(tmp_path: Path) -> None:
    columns = {"id": np.arange(4), "image": encoded(PIXELS[:4])}
    pq.write_table(pa.table(columns | {"label": ["b", "a", None, "b"]}), tmp_path / "x.parquet")
    dataset = open_dataset(str(tmp_path / "x.parquet"))
    assert dataset.labels is not None
    assert (dataset.labels.tolist(), dataset.class_names) == ([1, 0, -1, 1], ("a", "b"))
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    assert open_dataset(str(tmp_path / "x.parquet")).labels is None


def test_some_labels_may_be_held_back(tmp_path: Path) -> None:
    table = pa.table({"image": encoded(PIXELS[:3]), "label": [-1, 2, None]})
    pq.write_table(with_features(table), tmp_path / "x.parquet")
    dataset = open_dataset(str(tmp_path / "x.parquet"))
    assert dataset.labels is not None
    assert (dataset.labels.tolist(), dataset.class_names) == ([-1, 2, -1], ("cat", "dog", "emu"))
