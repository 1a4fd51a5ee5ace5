"""Where results go: over what is there, through links, among what is read, and nowhere."""

import os
from collections.abc import Iterator

import numpy as np

from tests.attack.case import (
    ANY,
    BAD,
    EITHER,
    FAILED,
    GOOD,
    REFUSED,
    Case,
    Done,
    Place,
    Prepare,
)
from tests.attack.forge import array, copied, run, special, written
from tests.attack.shared import SETTINGS

_TRAIN = f"train digits {SETTINGS}"
_ALL = copied("run", "images.npy", "labels.npy", "pictures", "idx")


def _linked(link: str, target: str, hard: bool = False) -> Prepare:
    def prepare(place: Place) -> None:
        path = place / link
        path.unlink(missing_ok=True)
        if hard:
            os.link(place / target, path)
        else:
            path.symlink_to(place.folder / target)

    return prepare


def _there(*names: str) -> Prepare:
    """Return what writes files that a copied run does not have."""

    def prepare(place: Place) -> None:
        for name in names:
            if not (place / name).exists():
                (place / name).write_bytes(b"mine")

    return prepare


def _folder(name: str, mode: int = 0o755) -> Prepare:
    def prepare(place: Place) -> None:
        path = place / name
        if path.is_file():
            path.unlink()
        path.mkdir()
        path.chmod(mode)
        if mode != 0o755:
            place.closing.callback(path.chmod, 0o755)

    return prepare


def _needs_another_user() -> str | None:
    return "root may write anywhere" if os.geteuid() == 0 else None


# What there is already, for each command that writes.
_EXISTING = {
    "encode run -o c.npy": ("c.npy", "c.labels.npy", "c.json"),
    "encode run": ("run/codes.npy", "run/codes.labels.npy", "run/codes.json"),
    "decode run -o d.npy": ("d.npy",),
    "decode run": ("run/images.npy",),
    "plot run -o p.png": ("p.png",),
    "plot run": ("run/codes.png",),
    "plot run --kind history": ("run/history.png",),
    "score run --picture p.svg": ("p.svg",),
    "score run --per-point": ("run/codes.trust.npy", "run/codes.error.npy"),
    "data show --picture p.png": ("p.png",),
    "export run --format csv -o e": ("e/codes.csv",),
    "export run --format torch": ("run/torch/load.py", "run/torch/README.md"),
    f"{_TRAIN} -o run": ("run/last.safetensors", "run/summary.json"),
}

# Outputs that are read too, or belong to something else.
_OWN = (
    "encode run images.npy -o images.npy",
    "encode run images.npy --labels labels.npy -o labels.npy",
    "encode run images.npy -o ./run/../images.npy",
    "encode run images.npy -o soft.npy",
    "encode run images.npy -o hard.npy",
    "encode run soft.npy -o images.npy",
    "encode run -o run/config.npy",
    "encode run -o run/summary.npy",
    "decode run -o run/codes.npy",
    "decode run run/codes.npy -o ./run//codes.npy",
    "decode run soft-codes.npy -o run/codes.npy",
    "plot hard-codes.npy -o hard-codes.png",
    "plot run --labels run/codes.labels.npy -o labels.png",
    "score run/codes.npy --picture hard-codes.png",
    "data show images.npy --labels labels.npy --picture hard-labels.png",
    "data show pictures --picture pictures/cat/00.png",
    "data show pictures --picture pictures/cat/new.png",
    "data show pictures --picture pictures/new/new.png",
    "data show soft-pictures --picture pictures/cat/new.png",
    "data show images.npy --picture hard.png",
    "score run pictures --size 8 --picture pictures/cat/00.png",
    "score run pictures --size 8 --picture pictures/cat/new.png",
    "encode run pictures --size 8 --grayscale -o pictures/cat/c.npy",
    "export run --format hub -o run",
    "train images.npy -o images.npy",
    "train images.npy --epochs 1 --hidden 4 --profile images.npy -o new",
    "train pictures --size 8 -o pictures/cat/00.png",
)


def _links(place: Place) -> None:
    _ALL(place)
    for link, target, hard in (
        ("soft.npy", "images.npy", False),
        ("hard.npy", "images.npy", True),
        ("hard.png", "images.npy", True),
        ("soft-codes.npy", "run/codes.npy", False),
        ("hard-codes.npy", "run/codes.npy", True),
        ("hard-codes.png", "run/codes.npy", True),
        ("labels.png", "run/codes.labels.npy", True),
        ("hard-labels.png", "labels.npy", True),
        ("soft-pictures", "pictures", False),
    ):
        _linked(link, target, hard)(place)


def _train_inside(place: Place) -> None:
    place.copy("run")
    place.copy("images.npy", "run/images.npy")


def _is_whole(place: Place, done: Done) -> str | None:
    """Say whether a link leads nowhere any more, or what it led to is gone."""
    target = place.folder / "kept.bin"
    return None if target.read_bytes() == b"kept" else "what the link led to has changed"


def _rows() -> Iterator[Case]:
    for command, files in _EXISTING.items():
        yield Case(
            f"exists: {command}",
            command,
            (run, _there(*files)),
            short="train" not in command,
        )
        for blocked in files:
            yield Case(
                f"a folder is there, --force: {command}: {blocked}",
                f"{command} --force",
                (run, _folder(blocked)),
                # The summary of an older run may go, whatever it is.
                REFUSED,
                leaves=("run/*",) if command.startswith("train") else (),
                changes=("run/*",) if command.startswith("train") else (),
                short="train" not in command and "score" not in command,
            )
    for number, command in enumerate(_OWN):
        yield Case(
            f"--force over what is read: {command[:70]}",
            f"{command} --force",
            (_links,),
            # New names among the images may also be refused, or be no image.
            EITHER if "c.npy" in command else BAD,
            short=not command.startswith("score run") and number % 2 == 0,
        )
    yield Case(
        "a run over the data in it",
        f"train run/images.npy {SETTINGS} -o run --force",
        (_train_inside,),
        EITHER,
        changes=("run/[!i]*",),
        own_process=True,
    )
    for command, link in (
        ("encode run -o link.npy", "link.npy"),
        ("decode run -o link.npy", "link.npy"),
        ("plot run -o link.png", "link.png"),
        ("data show --picture link.png", "link.png"),
        (f"{_TRAIN} -o link", "link"),
    ):
        yield Case(
            f"a link to nothing: {command[:40]}",
            command,
            (run, special("a link to nothing", link)),
            ANY,
            makes=("nowhere/*",),
            # It holds nothing that would be lost.
            changes=(link,),
            own_process=command.startswith("train"),
            short=True,
        )
        yield Case(
            f"a link to a file, without --force: {command[:40]}",
            command,
            (run, written("kept.bin", b"kept"), _linked(link, "kept.bin")),
            BAD,
            check=_is_whole,
            short=True,
        )
        if "train" not in command:
            yield Case(
                f"a hard link to a file, --force: {command[:40]}",
                f"{command} --force",
                (run, written("kept.bin", b"kept"), _linked(link, "kept.bin", hard=True)),
                EITHER,
                check=_is_whole,
                short=command.startswith("plot"),
            )
    # The default output is a link to a file of the run.
    for file in ("last.safetensors", "best.safetensors", "summary.json"):
        for hard in (False, True):
            yield Case(
                f"codes.npy is a {'hard ' if hard else ''}link to {file}",
                "encode run --force",
                (run, _linked("run/codes.npy", f"run/{file}", hard)),
                EITHER,
                makes=("run/codes.*",),
                changes=("run/codes.*",),
                short=hard and file.startswith("best"),
            )
    for command in ("encode run", "decode run", "plot run", f"{_TRAIN} "):
        for out in ("", ".", "..", "/", "x/", "none/../../x", "~", "x.npy/y.npy", "run", "\t"):
            name = command.split()[0]
            expected = BAD if out in ("", "..", "/", "x.npy/y.npy") else EITHER
            # As root it might be made in earnest.
            if name == "train" and out not in ("", "x.npy/y.npy"):
                continue
            yield Case(
                f"{name} -o {out!r}",
                [*command.split(), "-o", out],
                (run, array("x.npy", np.zeros((9, 8, 8), np.uint8))),
                REFUSED if out == "/" else expected,
                short=True,
            )
    for command in ("encode run -o", "decode run -o", "plot run -o", "score run --picture"):
        out = "x.npy" if "code" in command else "x.png"
        for where, expected in (
            (f"file/{out}", REFUSED),
            (f"file/a/b/{out}", REFUSED),
            (f"/proc/{out}", FAILED),
            (f"/proc/self/{out}", FAILED),
            (f"new/a/b/{out}", GOOD),
            ("x.PNG" if out == "x.png" else "x.NPY", GOOD),
            ("x", BAD),
            ("x.gif", BAD),
            (".npy", EITHER),
        ):
            if command.startswith("score") and "proc" not in where and "file" not in where:
                continue
            yield Case(
                f"{command} {where}",
                f"{command} {where}",
                (run, written("file", b"")),
                expected,
                makes=("new/*",),
                short=not command.startswith("score"),
            )
        yield Case(
            f"{command}: a folder that is read-only",
            f"{command} shut/{out}",
            (run, _folder("shut", 0o555)),
            FAILED,
            needs=_needs_another_user,
        )
    for out, expected in (
        ("file", BAD),
        ("file/run", BAD),
        ("/proc/run", REFUSED),
        ("/proc/self/fd/run", REFUSED),
    ):
        yield Case(
            f"train -o {out}",
            f"{_TRAIN} -o {out}",
            (written("file", b""),),
            expected,
            own_process=expected != BAD,
            short=expected == BAD,
        )
    for option in ("--config", "--labels"):
        yield Case(
            f"train {option} of a folder",
            f"{_TRAIN} {option} pictures -o new",
            (copied("pictures"),),
            BAD,
            short=True,
        )
    for name in (
        "codes.labels.npy",
        "codes.error.npy",
        "codes.npy",
        "config.json",
        "best.safetensors",
    ):
        for command in (f"encode run run/{name} -o c.npy", f"plot run/{name} -o p.png"):
            yield Case(
                f"a file of the run as data: {command}",
                command,
                (run,),
                EITHER,
                short=True,
            )
    for name in ("codes.labels.npy", "codes.trust.npy", "codes.error.npy"):
        yield Case(
            f"encode over {name}",
            f"encode run -o run/{name}",
            (run,),
            BAD,
            short=True,
        )
        yield Case(
            f"decode over {name}",
            f"decode run -o run/{name}",
            (run,),
            BAD,
            short=True,
        )


CASES = list(_rows())
