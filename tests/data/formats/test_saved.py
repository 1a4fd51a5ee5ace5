"""Arrow files as `datasets.save_to_disk` writes them, and Parquet in folders of splits."""

from pathlib import Path
from typing import Any

import pytest

from aecli.data import open_dataset
from aecli.errors import InputError
from tests.data.examples import MANY_LABELS, MANY_PIXELS, png, with_features, write_parquet

pa = pytest.importorskip("pyarrow")


def write_saved(folder: Path, rows: slice = slice(None), files: int = 2, **columns: Any) -> None:
    """Write a folder of Arrow files with Hugging Face's description."""
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("{}")
    images = [{"bytes": png(pixels), "path": None} for pixels in MANY_PIXELS[rows]]
    table = with_features(pa.table({"image": images, "label": MANY_LABELS[rows], **columns}))
    step = -(-len(images) // files)
    for number in range(files):
        name = f"data-{number:05}-of-{files:05}.arrow"
        with (folder / name).open("wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table.slice(number * step, step), max_chunksize=40)


def test_what_was_saved_is_what_parquet_has(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet")
    expected = open_dataset(str(tmp_path / "x.parquet"))
    write_saved(tmp_path / "x")
    dataset = open_dataset(str(tmp_path / "x"))
    assert dataset.fingerprint == expected.fingerprint
    assert dataset.labels_digest == expected.labels_digest
    assert dataset.splits_digest == expected.splits_digest


def test_a_dictionary_of_splits(tmp_path: Path) -> None:
    write_saved(tmp_path / "x" / "train", slice(0, 240))
    write_saved(tmp_path / "x" / "test", slice(240, 300))
    (tmp_path / "x" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    dataset = open_dataset(str(tmp_path / "x"))
    assert [dataset.count(name) for name in ("train", "validation", "test")] == [220, 20, 60]


@pytest.mark.parametrize("place", ["x/data/{}-0.parquet", "x/{}/0.parquet", "x/any/{}.parquet"])
def test_validation_without_a_test(place: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / place.format("train"), slice(0, 240))
    write_parquet(tmp_path / place.format("validation"), slice(240, 300))
    dataset = open_dataset(str(tmp_path / "x"))
    assert [dataset.count(name) for name in ("train", "validation", "test")] == [220, 20, 60]
    assert dataset.split_names == {"train": "train", "test": "validation"}


def test_texts_are_classes_and_an_id_is_no_label(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    images = [png(pixels) for pixels in MANY_PIXELS[:9]]
    columns = {"image": images, "id": list(range(9)), "kind": ["emu", None, "cat"] * 3}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    dataset = open_dataset(str(tmp_path / "x.parquet"))
    assert dataset.class_names == ("cat", "emu")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [1, -1, 0] * 3


def test_damage(tmp_path: Path) -> None:
    write_saved(tmp_path / "x", slice(0, 60), files=1)
    (path,) = (tmp_path / "x").glob("*.arrow")
    whole = path.read_bytes()
    for size in (0, 10, 200, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"damaged Arrow file"):
            open_dataset(str(tmp_path / "x"))
