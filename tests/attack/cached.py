"""The cache folder: what is in it may be damaged, forged, unwritable or missing altogether."""

import hashlib
import json
import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.attack.case import ANY, GOOD, Case, Done, Place, Prepare
from tests.attack.forge import SPECIAL, copied, run, written
from tests.attack.running import apart
from tests.data.examples import PIXELS

_SHOW = "data show pictures --json"
_ENCODE = "encode run -o c.npy"


def _each(pattern: str, change: Callable[[Path], object]) -> Prepare:
    """Return what changes each file of the cache folder whose name has this pattern."""

    def prepare(place: Place) -> None:
        found = list(place.cache.glob(f"aecli/{pattern}"))
        assert found, pattern
        for path in found:
            change(path)

    return prepare


def _flip(index: int) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[index] ^= 0xFF
        path.write_bytes(data)

    return change


def _become(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _special(kind: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        path.unlink()
        SPECIAL[kind](path)

    return change


def _signed(data: bytes) -> bytes:
    """Return what is taken for a compiled program, by its checksum."""
    return hashlib.sha256(data).digest() + data


def _right_pixels(place: Place, done: Done) -> str | None:
    """Say whether the pixels are not those of the images."""
    if done.code:
        return None
    from aecli.data import Dataset, Source

    right = Dataset("", Source(""), PIXELS[:40, ..., np.newaxis], None, None, {}).fingerprint
    return None if json.loads(done.out)["fingerprint"] == right else "other pixels"


def right_codes(place: Place, done: Done) -> str | None:
    """Say whether codes are others than the run's."""
    if done.code:
        return None
    codes, right = (np.load(p) for p in (place.folder / "c.npy", place.shared / "run/codes.npy"))
    return None if np.array_equal(codes, right) else "other codes"


def _noted(place: Place) -> None:
    """Let aecli note what is in the folder of pictures, as it does once that is old enough."""
    place.copy("pictures")
    time.sleep(2.2)
    done = apart(Case("note", _SHOW), place)
    assert done.code == 0, done.err


_DECODED: dict[str, Callable[[Path], object]] = {
    "its last byte flipped": _flip(-1),
    "a pixel flipped": _flip(-700),
    "its header flipped": _flip(20),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "too long": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "empty": _become(b""),
    "text": _become(b"\x1b[31m\n"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "of fewer images": lambda path: np.save(path, np.zeros((3, 6, 5, 1), np.uint8)),
    "of another size": lambda path: np.save(path, np.zeros((40, 9, 9, 1), np.uint8)),
    "of floats": lambda path: np.save(path, np.full((40, 6, 5, 1), np.nan, np.float32)),
    "of objects": lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
    "of no axes": lambda path: np.save(path, np.uint8(3)),
    **{kind: _special(kind) for kind in SPECIAL if kind != "a socket"},
}

_NOTES: dict[str, Callable[[Path], object]] = {
    "empty": _become(b""),
    "a path": _become(b"../../../../etc/passwd"),
    "long": _become(b"x" * 5_000),
    "not text": _become(b"\xff\0\xd8"),
    "of another content": _become(b"0" * 64),
    "a NUL": _become(b"a\0b"),
    "a pipe": _special("a pipe"),
    "a folder": _special("a folder"),
}

_PROGRAMS: dict[str, Callable[[Path], object]] = {
    "empty": _become(b""),
    "rubbish": _become(os.urandom(5_000)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:1_000]),
    "its last byte flipped": _flip(-1),
    "its checksum flipped": _flip(3),
    "signed rubbish": _become(_signed(b"rubbish")),
    "signed nothing": _become(_signed(b"")),
    "a signed number": _become(_signed(pickle.dumps(5))),
    "a signed triple": _become(_signed(pickle.dumps((b"x", None, None)))),
    "a signed name of a module that is gone": _become(_signed(b"cnot_there\nthing\n.")),
    "signed text of a pickle": _become(_signed(b"\x80\x04\x95")),
    **{kind: _special(kind) for kind in SPECIAL if kind != "a socket"},
}


def _all_alike(path: Path) -> None:
    """Give all programs the bytes of one: they are whole, but do something else."""
    first = min(path.parent.iterdir(), key=lambda other: other.name)
    path.write_bytes(first.read_bytes())


def _folder(name: str, make: Callable[[Path], object]) -> Prepare:
    """Return what puts something else in the place of a folder of the cache."""

    def prepare(place: Place) -> None:
        import shutil

        path = place.cache / name
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)

    return prepare


def _shut(mode: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.mkdir(mode=0o700)
        path.chmod(mode)

    return make


def _for_all(place: Place) -> None:
    """Let all users write into the cache folder."""
    for path in (place.cache, *place.cache.rglob("*")):
        path.chmod(0o777)


def _of_another(place: Place) -> None:
    """Give the cache folder to another user."""
    for path in (place.cache, *place.cache.rglob("*")):
        os.chown(path, 65534, 65534)


def _needs_root() -> str | None:
    return None if os.geteuid() == 0 else "only root may give files away"


def _rows() -> Iterator[Case]:
    for number, (fault, change) in enumerate(_DECODED.items()):
        yield Case(
            f"decoded images: {fault}",
            _SHOW,
            (copied("pictures"), _each("decoded/*.npy", change)),
            # What cannot be replaced may be refused.
            ANY if fault in ("a folder",) else GOOD,
            check=_right_pixels,
            own_process=fault == "endless",
            short=fault != "endless" and (number % 2 == 0 or fault in SPECIAL),
        )
    for fault, change in _NOTES.items():
        yield Case(
            f"a note that is {fault}",
            _SHOW,
            (_noted, _each("decoded/*.note", change)),
            ANY if fault == "a folder" else GOOD,
            check=_right_pixels,
            own_process=True,
        )
    for number, (fault, change) in enumerate(_PROGRAMS.items()):
        yield Case(
            f"programs: {fault}",
            _ENCODE,
            (run, _each("programs/*", change)),
            check=right_codes,
            codes=GOOD,
            own_process=fault == "endless",
            short=number % 2 == 1 and fault != "endless",
        )
    yield Case(
        "programs: of another function",
        _ENCODE,
        (run, _each("programs/*", _all_alike)),
        GOOD,
        check=right_codes,
    )
    makes: dict[str, Callable[[Path], object]] = {
        "a file": lambda path: path.write_bytes(b"mine"),
        "a pipe": SPECIAL["a pipe"],
        "a loop": SPECIAL["a loop"],
        "a link to nothing": SPECIAL["a link to nothing"],
        "shut": _shut(0),
        "read-only": _shut(0o555),
    }
    for name in ("aecli", "aecli/programs", "aecli/decoded"):
        for number, (fault, make) in enumerate(makes.items()):
            for command in (_ENCODE, _SHOW):
                # Decoded images have no other place.
                yield Case(
                    f"{name} is {fault}: {command.split()[0]}",
                    command,
                    (run, copied("pictures"), _folder(name, make)),
                    ANY if command == _SHOW else GOOD,
                    check=_right_pixels if command == _SHOW else right_codes,
                    short=number == 0 and command == _SHOW,
                )
    for fault, prepare in (("writable for all", _for_all), ("another user's", _of_another)):
        for command in (_ENCODE, _SHOW):
            yield Case(
                f"the cache folder is {fault}: {command.split()[0]}",
                command,
                (run, copied("pictures"), prepare),
                ANY if command == _SHOW else GOOD,
                check=_right_pixels if command == _SHOW else right_codes,
                needs=_needs_root if "another" in fault else None,
                short=command == _SHOW,
            )
    for where in ("mine/below", "/proc/nowhere", "", "relative", "~", "x" * 300, "a\nb"):
        for command in (_ENCODE, _SHOW):
            yield Case(
                f"XDG_CACHE_HOME is {where[:20]!r}: {command.split()[0]}",
                command,
                (run, copied("pictures"), written("mine", b"")),
                ANY if command == _SHOW else GOOD,
                variables={"XDG_CACHE_HOME": where, "HOME": "/proc/nowhere"},
                makes=("relative/*", "~/*", "a\nb/*", "aecli/*"),
                leaves=("relative/*", "~/*", "a\nb/*"),
                short=command == _SHOW,
            )


CASES = list(_rows())
