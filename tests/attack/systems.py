"""File systems that lack a call, or fail at one: work goes on without it, or ends in a line."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.attack.case import ANY, FAILED, GOOD, Case, Place, Prepare
from tests.attack.forge import copied, run
from tests.attack.shared import TRAIN

_SOURCE = Path(__file__).parent / "refusing.c"

# Calls, what they fail with, after how many, and what a command may come to.
_CALLS: tuple[tuple[str, int, frozenset[int]], ...] = (
    # Network file systems, FUSE and the mounts of Windows lack these: nothing depends on them.
    ("flock", errno.ENOSYS, GOOD),
    ("flock", errno.ENOLCK, GOOD),
    ("flock", errno.EOPNOTSUPP, GOOD),
    ("fsync-folder", errno.EINVAL, GOOD),
    ("fsync-folder", errno.EIO, ANY),
    ("fchmod", errno.EPERM, GOOD),
    ("fchmod", errno.ENOSYS, GOOD),
    ("chmod", errno.EPERM, GOOD),
    ("link", errno.EPERM, GOOD),
    ("utime", errno.EPERM, GOOD),
    # Without these nothing is done.
    ("fsync-file", errno.EIO, FAILED),
    ("fsync-file", errno.ENOSPC, FAILED),
    ("rename", errno.EXDEV, FAILED),
    ("rename", errno.EACCES, FAILED),
    ("read", errno.EIO, ANY),
    ("pread", errno.EIO, ANY),
    ("mkdir", errno.EROFS, ANY),
    ("ftruncate", errno.EPERM, ANY),
)
# Bytes that a disk has room for, and what it says then.
_FULL = (
    (0, errno.ENOSPC),
    (100, errno.ENOSPC),
    (3_100, errno.ENOSPC),
    (5_000, errno.EDQUOT),
    (20_000, errno.EIO),
)
_COMMANDS = {
    "encode": "encode run --split all -o c.npy",
    "plot": "plot run -o p.svg",
    "train": f"{TRAIN} -o new",
    "decode": "decode run -o d.npy",
    "data show": "data show pictures",
    "score": "score run --per-point --force",
    "export": "export run --format torch -o e",
}


def _needs_compiler() -> str | None:
    return None if shutil.which("gcc") else "gcc is not installed"


@cache
def _library(folder: Path) -> Path:
    made = folder / "refusing.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", made, _SOURCE, "-ldl"], check=True)
    return made


def _refusing(rule: str, where: str) -> Prepare:
    def prepare(place: Place) -> None:
        below = place.folder if where == "place" else place.cache
        place.variables |= {
            "LD_PRELOAD": str(_library(place.shared)),
            "REFUSE": rule,
            "REFUSE_BELOW": str(below),
        }

    return prepare


def _rows() -> Iterator[Case]:
    for number, (call, why, expected) in enumerate(_CALLS):
        names = ("encode", "train", "plot", "decode", "data show", "score")
        chosen = [names[number % 4], "train"] if expected == GOOD else [names[number % 5]]
        for name in dict.fromkeys(chosen):
            yield _case(name, f"{call}:{why}", f"{call} says {errno.errorcode[why]}", expected)
    for room, why in _FULL:
        for name in ("encode", "plot", "train", "decode"):
            yield _case(
                name,
                f"write:{why}:{room}",
                f"{errno.errorcode[why]} after {room:,} bytes",
                FAILED,
            )
    # The cache folder: what cannot be kept there is not needed, but for decoded images.
    for call, why in (
        ("flock", errno.ENOSYS),
        ("fsync-folder", errno.EINVAL),
        ("fchmod", errno.EPERM),
        ("rename", errno.EACCES),
        ("mkdir", errno.EROFS),
        ("read", errno.EIO),
        ("utime", errno.EPERM),
        ("unlink", errno.EPERM),
        ("write", errno.ENOSPC),
    ):
        for name in ("encode", "data show"):
            needed = call in ("rename", "read", "write", "mkdir", "unlink") and name != "encode"
            yield _case(
                name,
                f"{call}:{why}",
                f"{call} of the cache folder says {errno.errorcode[why]}",
                ANY if needed else GOOD,
                where="cache",
            )


def _empty_cache(place: Place) -> None:
    """Leave nothing in the cache folder, so that all is written anew."""
    shutil.rmtree(place.cache / "aecli", ignore_errors=True)


def _case(name: str, rule: str, what: str, expected: frozenset[int], where: str = "place") -> Case:
    command = _COMMANDS[name]
    trains = name == "train"
    return Case(
        f"{what}: {name}",
        command,
        (
            run,
            copied("pictures"),
            *([_empty_cache] if where == "cache" else []),
            _refusing(rule, where),
        ),
        expected,
        # A disk that fills while a run goes on leaves what is whole.
        leaves=("new/*.safetensors", "new/*.json*") if trains else (),
        changes=("run/codes.*.npy", "run/codes.*.json") if name == "score" else (),
        makes=("run/codes.*",) if name == "score" else (),
        own_process=True,
        needs=_needs_compiler,
        short=what.startswith("flock says ENOSYS") and name == "encode",
    )


CASES = list(_rows())
