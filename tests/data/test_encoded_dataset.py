"""Broken files of images, all named at once or left out; pages with the labels of their files."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aecli.cli import main
from aecli.data import Source, open_dataset, refuse_data_files
from aecli.errors import InputError
from aecli.labels import UNKNOWN
from aecli.printable import MOST_CHARACTERS
from tests.data.examples import PIXELS, png, save_image, write_images, write_parquet, write_stack
from tests.data.formats.test_archives import IMAGES, WRITERS

CUT = png()[:60]
# A damaged header, and damaged pixels behind a header that is whole.
BROKEN = {"cat/02.png": b"no image", "dog/07.png": CUT, "dog/11.png": b""}


def _write_folder(path: Path, members: dict[str, bytes]) -> None:
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


KINDS: dict[str, Callable[[Path, dict[str, bytes]], None]] = {"folder": _write_folder, **WRITERS}


@pytest.mark.parametrize("kind", KINDS)
def test_broken_files_are_all_named_or_left_out(kind: str, tmp_path: Path) -> None:
    KINDS[kind](tmp_path / "x", {**IMAGES, **BROKEN})
    location = str(tmp_path / "x")
    words = (
        "x has 3 images of 12 that cannot be read, --skip-broken leaves them out: "
        r"cat/02\.png, dog/07\.png, dog/11\.png$"
    )
    source = Source(location, skip_broken=True)
    # Before anything is known, and with what the cache knows then.
    for _ in range(2):
        with pytest.raises(InputError, match=words):
            open_dataset(location)
        dataset = open_dataset(source)
        kept = [row for row in range(12) if row not in (2, 7, 11)]
        np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS[kept])
        assert dataset.labels is not None
        assert dataset.labels.tolist() == [0] * 5 + [1] * 4
        assert dataset.row_ids == tuple(name for name in IMAGES if name not in BROKEN)
        assert dataset.left_out == {"broken": 3}
        assert list(dataset.broken) == list(BROKEN)
        assert dataset.broken["cat/02.png"] == "is not an image that can be read"
        assert dataset.broken["dog/07.png"].startswith("is a damaged image: ")
        assert sum(dataset.count(split) for split in ("train", "validation", "test")) == 9


def test_labels_in_order_are_those_of_all_files(tmp_path: Path) -> None:
    _write_folder(tmp_path / "x", {f"{row:02}.png": png(PIXELS[row]) for row in range(12)})
    for name in ("03.png", "08.png"):
        (tmp_path / "x" / name).write_bytes(CUT)
    np.save(tmp_path / "y.npy", np.arange(12))
    source = Source(str(tmp_path / "x"), labels=str(tmp_path / "y.npy"), skip_broken=True)
    for _ in range(2):
        labels = open_dataset(source).labels
        assert labels is not None
        assert labels.tolist() == [row for row in range(12) if row not in (3, 8)]


def test_broken_files_of_splits(tmp_path: Path) -> None:
    names = [f"{'train' if row < 8 else 'val' if row < 10 else 'test'}/{row}" for row in range(12)]
    _write_folder(tmp_path / "x", {f"{n}.png": png(PIXELS[r]) for r, n in enumerate(names)})
    for row in (1, 8, 9):
        (tmp_path / f"x/{names[row]}.png").write_bytes(CUT)
    dataset = open_dataset(Source(str(tmp_path / "x"), skip_broken=True))
    for split, rows in (("train", [0, 2, 3, 4, 5, 6, 7]), ("test", [10, 11])):
        images = dataset.split(split).images  # type: ignore[arg-type]
        np.testing.assert_array_equal(images[..., 0], PIXELS[rows])
    with pytest.raises(InputError, match="too few for a validation split"):
        dataset.split("validation")


def test_broken_cells_of_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_parquet(tmp_path / "x.parquet", slice(0, 30))
    table = pq.read_table(tmp_path / "x.parquet")
    images = table["image"].to_pylist()
    images[3]["bytes"] = CUT
    images[9]["bytes"] = b"none"
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(
        pa.table({"image": pa.array(images, kind), "label": range(30)}), tmp_path / "x.parquet"
    )
    with pytest.raises(InputError, match=r"has 2 images of 30 .*: 3\.png, 9\.png"):
        open_dataset(str(tmp_path / "x.parquet"))
    dataset = open_dataset(Source(str(tmp_path / "x.parquet"), skip_broken=True))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [row for row in range(30) if row not in (3, 9)]


def test_as_many_names_as_fit_and_how_many_more(tmp_path: Path) -> None:
    names = [f"{row:03} {'long ' * 5}.png" for row in range(40)]
    _write_folder(tmp_path / "x", dict.fromkeys(names, b"no image") | {"good.png": png()})
    with pytest.raises(InputError) as caught:
        open_dataset(str(tmp_path / "x"))
    message = str(caught.value)
    assert MOST_CHARACTERS - 60 < len(message) <= MOST_CHARACTERS
    shown = message.count(".png")
    assert message.endswith(f".png, and {40 - shown} more")


def test_where_nothing_can_be_read_there_is_nothing_to_skip(tmp_path: Path) -> None:
    for data, fault in ((b"none", "is not an image"), (CUT, "is a damaged image")):
        _write_folder(tmp_path / "x", dict.fromkeys(("a.png", "b.png"), data))
        for skip in (False, True):
            with pytest.raises(InputError, match=f"a.png {fault}.*; no other of the 2 images of"):
                open_dataset(Source(str(tmp_path / "x"), skip_broken=skip))


def test_a_run_leaves_out_what_it_left_out_when_it_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _write_folder(Path("x"), {f"{row:02}.png": png(PIXELS[row]) for row in range(40)})
    for name in ("03.png", "28.png"):
        Path("x", name).write_bytes(CUT)
    settings = ["--recipe", "plain", "--epochs", "1", "--hidden", "4", "-o", "run"]
    assert main(["train", "x", *settings]) == 2
    assert not Path("run").exists()
    assert main(["train", "x", "--skip-broken", *settings]) == 0
    said = capsys.readouterr().err
    assert "2 broken" in said
    assert "03.png, 28.png" in said
    rows = list(csv.reader(Path("run/left-out.csv").read_text().splitlines()))
    assert rows[0] == ["file", "reason"]
    assert [row[0] for row in rows[1:]] == ["03.png", "28.png"]
    assert all(row[1].startswith("is a damaged image") for row in rows[1:])
    assert main(["encode", "run", "--split", "all"]) == 0
    assert "left out 2 broken images: 03.png, 28.png" in capsys.readouterr().err
    assert len(json.loads(Path("run/codes-all.json").read_text())["row_ids"]) == 38
    assert main(["train", "--resume", "-o", "run", "--epochs", "2"]) == 0
    # Other images are read as strictly as ever.
    assert main(["encode", "run", "x", "-o", "new.npy"]) == 2
    assert main(["encode", "run", "x", "--skip-broken", "-o", "new.npy"]) == 0
    assert main(["score", "run", "x", "--skip-broken", "--split", "all"]) == 0
    capsys.readouterr()
    assert main(["data", "show", "x", "--skip-broken", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["broken"]) == ["03.png", "28.png"]
    # A run without broken files has no list of them.
    Path("x/03.png").unlink()
    Path("x/28.png").unlink()
    assert main(["train", "x", "--force", *settings]) == 0
    assert not Path("run/left-out.csv").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_pages_have_the_label_of_their_file(kind: str, tmp_path: Path) -> None:
    write_stack(tmp_path / "s.tif", PIXELS[:3])
    stack = (tmp_path / "s.tif").read_bytes()
    members = {"cat/s.tif": stack, "dog/0.png": png(), "dog/t.tif": stack[:-99], "dog/u.tif": stack}
    KINDS[kind](tmp_path / "x", members)
    dataset = open_dataset(Source(str(tmp_path / "x"), skip_broken=True))
    pages = [f"#{page}" for page in (1, 2, 3)]
    assert dataset.row_ids == (
        *(f"cat/s.tif{page}" for page in pages),
        "dog/0.png",
        *(f"dog/u.tif{page}" for page in pages),
    )
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0] * 3 + [1] * 4
    assert list(dataset.broken) == ["dog/t.tif"]


def test_a_table_of_labels_names_files_or_pages(tmp_path: Path) -> None:
    write_stack(tmp_path / "x/s.tif", PIXELS[:3])
    save_image(tmp_path / "x/a#1.png", PIXELS[3])
    write_stack(tmp_path / "x/t.tif", PIXELS[4:6])
    (tmp_path / "y.csv").write_text("file,label\ns.tif,b\nt.tif#2,c\na#1.png,d\n")
    dataset = open_dataset(Source(str(tmp_path / "x"), labels=str(tmp_path / "y.csv")))
    assert dataset.row_ids == ("a#1.png", "s.tif#1", "s.tif#2", "s.tif#3", "t.tif#1", "t.tif#2")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [2, 0, 0, 0, UNKNOWN, 1]
    (tmp_path / "y.csv").write_text("file,label\ns.tif,b\ns.tif#2,c\n")
    with pytest.raises(InputError, match=r"has two labels for s\.tif#2"):
        open_dataset(Source(str(tmp_path / "x"), labels=str(tmp_path / "y.csv")))


def test_files_of_pages_and_broken_files_are_not_written(tmp_path: Path) -> None:
    write_images(tmp_path / "x")
    write_stack(tmp_path / "x/cat/s.tif", PIXELS[:3])
    (tmp_path / "x/dog/b.png").write_bytes(CUT)
    dataset = open_dataset(Source(str(tmp_path / "x"), skip_broken=True))
    for name in ("cat/s.tif", "dog/b.png"):
        with pytest.raises(InputError, match="is read too"):
            refuse_data_files([tmp_path / "x" / name], dataset)


def test_one_file_is_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_image(Path("0.png"), PIXELS[0])
    Path("by content").write_bytes(png(PIXELS[0]))
    write_stack(Path("stack.tif"), PIXELS[:40])
    for name in ("0.png", "by content"):
        dataset = open_dataset(name)
        np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS[:1])
        assert dataset.row_ids == (name,)
        assert dataset.labels is None
    settings = ["--recipe", "plain", "--epochs", "1", "--hidden", "4"]
    assert main(["train", "stack.tif", *settings, "-o", "run"]) == 0
    assert main(["encode", "run", "0.png", "-o", "one.npy"]) == 0
    assert main(["encode", "run", "--split", "all", "-o", "all.npy"]) == 0
    np.testing.assert_array_equal(np.load("one.npy")[0], np.load("all.npy")[0])
    capsys.readouterr()
    assert main(["train", "0.png", "-o", "other"]) == 2
    assert "has 1 image, too few for a validation split" in capsys.readouterr().err
