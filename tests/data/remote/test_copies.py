"""Formats that are read from copies in the cache folder: folders, archives, tables."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from aecli.data import Dataset, open_dataset
from aecli.errors import AecliError, InputError
from tests.data.remote.conftest import Bucket, npy
from tests.data.remote.servers import Front, WebFile

PIXELS = np.random.default_rng(2).integers(0, 256, (12, 5, 5), np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def _folder(root: Path) -> Path:
    """Write images in folders of two classes."""
    for number, pixels in enumerate(PIXELS):
        path = root / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(pixels))
    return root


def _shards(root: Path) -> Path:
    """Write three tars of images with labels beside them."""
    root.mkdir()
    for shard in range(3):
        with tarfile.open(root / f"train-{shard:03d}.tar", "w") as tar:
            for number in range(4 * shard, 4 * shard + 4):
                texts = {"png": _png(PIXELS[number]), "cls": str(number % 3).encode()}
                for suffix, data in texts.items():
                    info = tarfile.TarInfo(f"{number:06d}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return root


def _parquet(path: Path) -> Path:
    """Write images with labels, and a column that nobody needs and that is larger than the rest."""
    noise = np.random.default_rng(0).bytes(12 * 20_000)
    table = pa.table(
        {
            "other": [noise[start : start + 20_000].hex() for start in range(0, 240_000, 20_000)],
            "image": [{"bytes": _png(p), "path": f"{n}.png"} for n, p in enumerate(PIXELS)],
            "label": [number % 3 for number in range(12)],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=4)
    return path


def _same(one: Dataset, other: Dataset) -> None:
    assert one.fingerprint == other.fingerprint
    assert one.splits_digest == other.splits_digest
    assert one.labels_digest == other.labels_digest
    assert one.row_ids == other.row_ids


def test_a_folder_of_images_is_fetched_once(
    bucket: Bucket, quick: list[float], tmp_path: Path
) -> None:
    address = bucket.put_folder("pets", _folder(tmp_path / "pets"))
    bucket.put("pets/.hidden.png", b"no image")
    # Images beside them whose names begin alike are others.
    bucket.put("pets-of-others/cat/1.png", _png(PIXELS[0]))
    local = open_dataset(str(tmp_path / "pets"))
    bucket.front.begin(lambda request: "cut" if request.number == 3 else None)
    dataset = open_dataset(address)
    _same(dataset, local)
    assert dataset.name == "pets"
    assert dataset.source.location == address
    bucket.front.begin(lambda request: None)
    _same(open_dataset(f"{address}/"), local)
    assert not bucket.front.reads(), "nothing has changed"
    bucket.put("pets/cat/1.png", _png(255 - PIXELS[1]))
    assert open_dataset(address).fingerprint != local.fingerprint


def test_a_copy_that_was_interrupted_is_completed(
    bucket: Bucket, quick: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = bucket.put_folder("pets", _folder(tmp_path / "pets"))
    monkeypatch.setattr("aecli.data.staged._FILES_AT_ONCE", 1)
    monkeypatch.setattr("aecli.remote.objects._PATIENCE_SECONDS", 0.2)
    bucket.front.begin(lambda request: "503" if request.number > 5 else None)
    with pytest.raises(AecliError, match=r"cannot reach s3://.*png"):
        open_dataset(address)
    bucket.front.begin(lambda request: None)
    _same(open_dataset(address), open_dataset(str(tmp_path / "pets")))
    assert 0 < len(bucket.front.reads()) < len(PIXELS)


def test_shards_in_braces_are_one_data_set_here_and_elsewhere(
    bucket: Bucket, quick: list[float], tmp_path: Path
) -> None:
    folder = open_dataset(str(_shards(tmp_path / "set")))
    address = bucket.put_folder("set", tmp_path / "set")
    here = open_dataset(str(tmp_path / "set" / "train-{000..002}.tar"))
    _same(here, folder)
    elsewhere = open_dataset(f"{address}/train-{{000..002}}.tar")
    _same(elsewhere, folder)
    two = open_dataset(str(tmp_path / "set" / "train-{000,002}.tar"))
    assert len(two.images) == 8
    with pytest.raises(InputError, match=r"1 of 4 are missing, first .*train-003\.tar"):
        open_dataset(f"{address}/train-{{000..003}}.tar")
    with pytest.raises(InputError, match=r"train-003\.tar"):
        open_dataset(str(tmp_path / "set" / "train-{000..003}.tar"))


@pytest.mark.parametrize("name", ["one.parquet", "data/train-00000-of-00001.parquet"])
def test_of_parquet_the_columns_alone_are_fetched(
    bucket: Bucket, quick: list[float], tmp_path: Path, name: str
) -> None:
    path = _parquet(tmp_path / "set" / name)
    bucket.put_folder("set", tmp_path / "set")
    bucket.put("set/README.md", b"words")
    place = "one.parquet" if name == "one.parquet" else ""
    local = open_dataset(str(tmp_path / "set" / place))
    bucket.front.begin(lambda request: None)
    dataset = open_dataset(f"s3://{bucket.name}/set/{place}".rstrip("/"))
    _same(dataset, local)
    fetched = sum(r.range[1] - r.range[0] for r in bucket.front.reads("parquet") if r.range)
    assert fetched < path.stat().st_size / 2


def test_labels_and_features_may_be_elsewhere_too(
    bucket: Bucket, quick: list[float], tmp_path: Path
) -> None:
    from aecli.data import Source

    images = bucket.put("images.npy", npy(PIXELS))
    labels = bucket.put("labels.csv", b"label\n" + b"a\nb\n" * 6)
    features = bucket.put("clip.npy", npy(np.ones((12, 3), np.float32)))
    dataset = open_dataset(Source(images, labels=labels, features=features))
    assert dataset.class_names == ("a", "b")
    assert (dataset.source.labels, dataset.source.features) == (labels, features)
    assert dataset.features is not None
    assert dataset.features.shape == (12, 3)
    few = bucket.put("few.npy", npy(np.ones((3, 3), np.float32)))
    with pytest.raises(InputError, match=rf"--features {few} has 3 rows"):
        open_dataset(Source(images, features=few))
    bucket.put("short.csv", b"label\na\n")
    with pytest.raises(InputError, match=rf"{labels[:9]}.*short.csv has 1 rows of labels"):
        open_dataset(Source(images, labels=labels.replace("labels", "short")))


def test_npz_of_a_web_server(
    web: tuple[Front, dict[str, WebFile]], quick: list[float], tmp_path: Path
) -> None:
    front, files = web
    np.savez(tmp_path / "set.npz", a=PIXELS, b=PIXELS[:, :4])
    files["/a%20b/set.npz"] = WebFile((tmp_path / "set.npz").read_bytes())
    address = f"http://{front.place}/a%20b/set.npz"
    dataset = open_dataset(f"{address}:b")
    assert dataset.fingerprint == open_dataset(f"{tmp_path / 'set.npz'}:b").fingerprint
    assert (dataset.name, dataset.source.location) == ("set", f"{address}:b")
    with pytest.raises(InputError, match=rf"^{address} has several arrays"):
        open_dataset(address)


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    bucket: Bucket, quick: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    address = bucket.put_folder("pets", _folder(tmp_path / "pets"))
    bucket.front.begin(lambda request: None)
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=10))
    with pytest.raises(InputError, match=r"10 are free in .*XDG_CACHE_HOME"):
        open_dataset(address)
    assert not bucket.front.reads()


def test_copies_that_were_not_used_for_longest_go(
    bucket: Bucket, quick: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.data.staged._MOST_BYTES", 1)
    monkeypatch.setattr("aecli.data.staged._IN_USE", {})
    for name in ("a", "b"):
        address = bucket.put_folder(name, _folder(tmp_path / name))
        open_dataset(address)
        # As if it were another process.
        for lock in __import__("aecli.data.staged").data.staged._IN_USE.values():
            lock.close()
        monkeypatch.setattr("aecli.data.staged._IN_USE", {})
    assert len(list((tmp_path / "cache" / "remote").iterdir())) == 1
