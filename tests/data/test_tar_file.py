"""The files of a tar are those that Python's own reader finds, and damage is said."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from aecli.data.reading import reading
from aecli.data.tar_file import Entry, tar_entries
from aecli.errors import InputError

NAMES = [
    "a.png",
    f"{'deep/' * 20}/{'deep/' * 10}b.png",
    "n" * 100,
    "m" * 101,
    f"{'w' * 240}.png",
    "ü ñ/line\nbreak",
    "not utf-8 \udcff.png",
    "./dot//c.png",
]


def _list(path: Path, left_out: Counter[str] | None = None) -> list[Entry]:
    counter: Counter[str] = Counter() if left_out is None else left_out
    with reading(path) as file:
        return list(tar_entries(file, path, counter))


def _info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_those_that_python_finds(form: int, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    # The oldest form has no longer names than these.
    names = NAMES if form != tarfile.USTAR_FORMAT else [n for n in NAMES if n[100:101] in ("", "/")]
    with tarfile.open(path, "w", format=form) as archive:
        archive.addfile(_info("folder", kind=tarfile.DIRTYPE))
        for number, name in enumerate(names):
            data = bytes([number]) * (number * 300)
            archive.addfile(_info(name, len(data)), io.BytesIO(data))
    with tarfile.open(path) as archive:
        expected = [(i.name, i.offset_data, i.size) for i in archive if i.isfile()]
    found = _list(path)
    assert [(entry.name, entry.span.offset, entry.span.size) for entry in found] == expected
    assert len(found) == len(names)


def test_links_devices_and_holes_are_left_out_and_what_follows_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    holes = bytearray(_info("holes", 600, tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    # Its list of holes goes on in one more block.
    holes[482] = 1
    holes[148:156] = b"        "
    holes[148:156] = b"%06o\0 " % sum(holes)
    link = _info("link", 700, tarfile.SYMTYPE)
    link.linkname = "/etc/passwd"
    pax = tarfile.TarInfo("holes.png")
    pax.size, pax.pax_headers = 10, {"GNU.sparse.major": "1"}
    path.write_bytes(
        b"".join(
            [
                link.tobuf(tarfile.GNU_FORMAT),
                bytes(holes), bytes(512), bytes(1024),
                pax.tobuf(tarfile.PAX_FORMAT), bytes(512),
                _info("pipe", 0, tarfile.FIFOTYPE).tobuf(tarfile.GNU_FORMAT),
                _info("a.png", 3).tobuf(tarfile.GNU_FORMAT), b"abc", bytes(509),
            ]
        )
    )  # fmt: skip
    left_out: Counter[str] = Counter()
    # There need be no empty blocks at the end.
    (entry,) = _list(path, left_out)
    assert left_out == {"links or devices": 4}
    assert entry.name == "a.png"
    assert path.read_bytes()[entry.span.offset :][: entry.span.size] == b"abc"


_HEADER = _info("a.png").tobuf(tarfile.GNU_FORMAT)


def _pax(records: bytes) -> bytes:
    header = _info("x", len(records), tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT)
    return header + records.ljust(512, b"\0") + _HEADER


def _summed(header: bytes, place: int, value: bytes) -> bytes:
    changed = bytearray(header)
    changed[place : place + len(value)] = value
    changed[148:156] = b"        "
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is empty, at byte 0"),
    "empty blocks": (bytes(1024), "nothing follows, at byte 0"),
    "half a header": (_HEADER + _HEADER[:100], "it ends within a header"),
    "noise after a file": (_HEADER + b"noise" * 200, "a number that is none, at byte 512"),
    "a sum that is wrong": (_HEADER + _HEADER.replace(b"a.png", b"b.png"), "sum is wrong"),
    "a size of letters": (_summed(_HEADER, 124, b"wordswords\0"), "a number that is none"),
    "a size below 0": (_summed(_HEADER, 124, b"\xff" * 12), "a number that is none"),
    "a name without a file": (
        _info("n", 0, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT), "within a header"
    ),
    "a name before the end": (
        _info("n", 0, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT) + bytes(1024),
        "nothing follows",
    ),
    "a name of gigabytes": (
        _info("n", 2**32, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT), "a name of 4,294"
    ),
    "a name that is cut": (
        _info("n", 5000, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT), "is truncated: the"
    ),
    "a record without a length": (_pax(b"path=x\n"), "a record that is none"),
    "a record of no length": (_pax(b"0 path=x\n"), "a record that is none"),
    "a record longer than all": (_pax(b"99999 path=x\n"), "a record that is none"),
    "a record without a value": (_pax(b"8 path\n"), "a record that is none"),
    "a record of letters as size": (_pax(b"11 size=ab\n"), "a size that is no number"),
    "a record of terabytes": (_pax(b"28 size=9999999999999999999\n"), "a.png ends beyond its end"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_damage_is_one_line(fault: str, tmp_path: Path) -> None:
    data, words = BAD[fault]
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        _list(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
