"""Zip and tar files of images: read in place, they mean what folders mean."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from aecli.data import open_dataset
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.labels import UNKNOWN
from tests.data.examples import PIXELS, png, write_images

Members = Mapping[str, bytes]
IMAGES: Members = {
    f"{'cat' if row < 6 else 'dog'}/{row:02}.png": png(pixels)
    for row, pixels in enumerate(PIXELS[:12])
}


def write_zip(path: Path, members: Members = IMAGES, method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def write_tar(path: Path, members: Members = IMAGES) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_deflated(path: Path, members: Members = IMAGES) -> None:
    write_zip(path, members, zipfile.ZIP_DEFLATED)


WRITERS = {"zip": write_zip, "deflated": write_deflated, "tar": write_tar}


@pytest.mark.parametrize("kind", WRITERS)
def test_an_archive_is_what_its_folder_is(kind: str, tmp_path: Path) -> None:
    write_images(tmp_path / "x")
    expected = open_dataset(str(tmp_path / "x"))
    WRITERS[kind](tmp_path / "x.any")
    dataset = open_dataset(str(tmp_path / "x.any"))
    assert dataset.fingerprint == expected.fingerprint
    assert dataset.labels_digest == expected.labels_digest
    assert dataset.splits_digest == expected.splits_digest
    assert dataset.row_ids == expected.row_ids
    assert dataset.name == "x"


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_of_labels_names_the_images(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / "x.any")
    (tmp_path / "y.csv").write_text("file,label\n00.png,a\ndog/11.png,b\n")
    source = Source(str(tmp_path / "x.any"), labels=str(tmp_path / "y.csv"))
    dataset = open_dataset(source)
    assert dataset.class_names == ("a", "b")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, *[UNKNOWN] * 10, 1]
    assert dataset.left_out == {"labels of the data themselves": 12}
    assert open_dataset(Source(source.location, no_labels=True)).class_names is None


@pytest.mark.parametrize("kind", WRITERS)
def test_splits_and_what_is_left_out(kind: str, tmp_path: Path) -> None:
    members = {
        f"./pets/{part}/{name}": data for part in ("Train", "val") for name, data in IMAGES.items()
    }
    members |= {
        "__MACOSX/pets/Train/cat/._00.png": b"x",
        "pets/.DS_Store": b"x",
        "pets/readme.md": b"x",
        "pets/Train/cat/by_content": png(),
    }  # fmt: skip
    WRITERS[kind](tmp_path / "x", members)
    dataset = open_dataset(str(tmp_path / "x"))
    assert dataset.split_names == {"train": "Train", "test": "val"}
    assert dataset.class_names == ("cat", "dog")
    assert len(dataset.images) == 25
    assert dataset.left_out == {"__MACOSX": 1, "hidden": 1, ".md": 1}


def test_a_zip_of_windows_and_names_that_come_twice(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {name.replace("/", "\\"): b"old" for name in IMAGES})
    with zipfile.ZipFile(tmp_path / "x.zip", "a") as archive:
        for name, data in IMAGES.items():
            archive.writestr(name, data)
    dataset = open_dataset(str(tmp_path / "x.zip"))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.left_out == {"of the same name": 12}


def test_links_devices_and_long_names_in_a_tar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("cat/link.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name, data in IMAGES.items():
            info = tarfile.TarInfo(f"{'long' * 60}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    dataset = open_dataset(str(tmp_path / "x.tar"))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.left_out == {"links or devices": 4}


def _pairs(labels: Mapping[int, bytes], suffix: str) -> Members:
    members = {}
    for row, pixels in enumerate(PIXELS[:12]):
        members[f"{row:06}.png"] = png(pixels)
        if row in labels:
            members[f"{row:06}.{suffix}"] = labels[row]
    return members


@pytest.mark.parametrize(
    ("suffix", "labels", "names", "expected"),
    [
        ("cls", [b"3\n", b"5\n"], None, [3, 5]),
        ("txt", [b"emu", b"cat"], ("cat", "emu"), [1, 0]),
        ("json", [b'{"label": 3}', b'{"label": 5}'], None, [3, 5]),
    ],
)
def test_pairs_of_webdataset(
    suffix: str,
    labels: list[bytes],
    names: tuple[str, ...] | None,
    expected: list[int],
    tmp_path: Path,
) -> None:
    write_tar(tmp_path / "x.tar", _pairs({row: labels[row % 2] for row in range(11)}, suffix))
    dataset = open_dataset(str(tmp_path / "x.tar"))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [expected[row % 2] for row in range(11)] + [-1]
    assert dataset.class_names == names
    assert dataset.left_out == {}


def test_captions_are_no_labels(tmp_path: Path) -> None:
    texts = {row: f"a picture of {row}".encode() for row in range(12)}
    write_tar(tmp_path / "x.tar", _pairs(texts, "txt"))
    dataset = open_dataset(str(tmp_path / "x.tar"))
    assert dataset.labels is None
    assert dataset.left_out == {".txt": 12}


def test_shards_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    folder.mkdir()
    for shard in ("train-000000", "train-000001", "val-000000"):
        write_tar(folder / f"{shard}.tar", _pairs(dict.fromkeys(range(12), b"1"), "cls"))
    dataset = open_dataset(str(folder))
    assert dataset.split_names == {"train": "train", "test": "val"}
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [1] * 36
    assert dataset.row_ids is not None
    assert len(set(dataset.row_ids)) == 36
    # Beside folders of images a tar is just a file.
    write_images(folder / "images")
    assert len(open_dataset(str(folder)).images) == 12


def _zip_bytes(members: Members, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _tar_bytes(*infos: tarfile.TarInfo, data: bytes = b"") -> bytes:
    return b"".join(info.tobuf(tarfile.GNU_FORMAT) for info in infos) + data + bytes(1024)


def _info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info


def _patched(data: bytes, magic: bytes, offset: int, value: bytes) -> bytes:
    """Return data with bytes changed after each place of a signature."""
    changed, place = bytearray(data), data.find(magic)
    while place >= 0:
        changed[place + offset : place + offset + len(value)] = value
        place = data.find(magic, place + 1)
    return bytes(changed)


_ONE = {"a.png": png(), "b.png": png()}
_STORED, _DEFLATED = _zip_bytes(_ONE), _zip_bytes(_ONE, zipfile.ZIP_DEFLATED)
_BIG = struct.pack("<I", 900_000_000)
BAD_ZIPS: dict[str, tuple[bytes, str]] = {
    "encrypted": (_patched(_STORED, b"PK\1\2", 8, b"\1"), "is encrypted"),
    "another compression": (
        _zip_bytes(_ONE, zipfile.ZIP_BZIP2), "is compressed with method 12"
    ),
    "truncated": (_STORED[:-40], "is a damaged zip file"),
    "no images": (_zip_bytes({"a.txt": b"x"}), "has no images (left out: 1 .txt)"),
    "not an image": (_zip_bytes({"a.png": b"x", "b.png": png()}), "a.png is not an image"),
    "longer than it says": (_patched(_DEFLATED, b"PK\1\2", 24, b"\5\0\0\0"), "is damaged"),
    "shorter than it says": (_patched(_DEFLATED, b"PK\1\2", 24, _BIG), "a.png"),
    "stored beyond its end": (
        _patched(_patched(_STORED, b"PK\1\2", 24, _BIG), b"PK\1\2", 20, _BIG), "a.png"
    ),
    "no header of a member": (_patched(_STORED, b"PK\1\2", 42, b"\5"), "not where it should be"),
    "noise deflated": (
        _patched(_DEFLATED, b"PK\3\4", 35, b"\xff" * 20), "is damaged"
    ),
    "two broken": (
        _zip_bytes({**_ONE, "c.png": b"x", "d.png": png()[:60]}),
        "has 2 images of 4 that cannot be read, --skip-broken leaves them out: c.png, d.png",
    ),
    "beside folders": (
        _zip_bytes({"a/a.png": png(), "b.png": png()}), "both in folders of labels and outside"
    ),
}  # fmt: skip
BAD_TARS: dict[str, tuple[bytes, str]] = {
    "truncated": (_tar_bytes(_info("a.png", 10**6)), "a.png ends beyond its end"),
    "a size below 0": (_tar_bytes(_info("a.png", -2048)), "damaged tar file"),
    "terabytes": (_tar_bytes(_info("a.png", 2**50)), "a.png ends beyond its end"),
    "a name of terabytes": (
        _tar_bytes(_info("a.png", 2**50, tarfile.GNUTYPE_LONGNAME)), "tar file"
    ),
    "names of names": (
        _tar_bytes(*[_info("a.png", 0, tarfile.GNUTYPE_LONGNAME)] * 3000), "damaged tar file"
    ),
    "a checksum that is wrong": (
        _tar_bytes(_info("a.png", 0), _info("b.png")).replace(b"b.png", b"c.png"),
        "damaged tar file: a header whose sum is wrong, at byte 512",
    ),
    "no images": (_tar_bytes(_info("a.txt")), "has no images"),
    "an empty image": (_tar_bytes(_info("a.png"), _info("b.png")), "a.png is not an image"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_ZIPS)
def test_bad_zips(fault: str, tmp_path: Path) -> None:
    data, words = BAD_ZIPS[fault]
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(InputError) as caught:
        open_dataset(str(tmp_path / "x.zip"))
    assert words in str(caught.value)


@pytest.mark.parametrize("fault", BAD_TARS)
def test_bad_tars(fault: str, tmp_path: Path) -> None:
    data, words = BAD_TARS[fault]
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(InputError) as caught:
        open_dataset(str(tmp_path / "x.tar"))
    assert words in str(caught.value)


@pytest.mark.parametrize(("mode", "name"), [("gz", "x"), ("gz", "x.tgz"), ("bz2", "x.tar.bz2")])
def test_a_compressed_tar_is_to_be_unpacked(mode: str, name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / name, f"w:{mode}") as archive:  # type: ignore[call-overload]
        archive.addfile(_info("a.png"))
    with pytest.raises(InputError, match="is a compressed tar: unpack it"):
        open_dataset(str(tmp_path / name))
