"""Files that do not belong together: codes, labels, numbers, provenance, data and runs."""

import dataclasses
import shutil
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.attack.case import BAD, EITHER, GOOD, Case, Done, Place, Prepare
from tests.attack.forge import array, codes, copied, cut, removed, run
from tests.attack.shared import SETTINGS

_PARTS = {"codes": ".npy", "labels": ".labels.npy", "provenance": ".json"}


def _mixed(**sources: str) -> Prepare:
    """Return what puts codes together from files of several."""

    def prepare(place: Place) -> None:
        for part, source in sources.items():
            place.copy(f"run/{source}{_PARTS[part]}", f"x{_PARTS[part]}")

    return prepare


def _beside(pattern: str, source: str, codes_of: str) -> Prepare:
    """Return what puts files of one run's codes beside another run's codes."""

    def prepare(place: Place) -> None:
        for part in _PARTS.values():
            place.copy(f"{codes_of}/codes{part}", f"x{part}")
        for path in (place.shared / source).glob(pattern):
            shutil.copyfile(path, place / path.name.replace("codes", "x", 1))

    return prepare


def _shuffled(place: Place) -> None:
    """Write the run's codes in another order, with a provenance and labels that fit them."""
    order = np.random.default_rng(0).permutation(360)
    values = np.load(place.shared / "run/codes.npy")[order]
    codes("x.npy", values, np.load(place.shared / "run/codes.labels.npy")[order])(place)
    for path in (place.shared / "run").glob("codes.trust*"):
        shutil.copyfile(path, place / path.name.replace("codes", "x", 1))


def _trained_on(name: str, source: str) -> Prepare:
    """Return what copies a data set, and makes the run one that was trained on it."""

    def prepare(place: Place) -> None:
        from aecli.data import open_dataset
        from aecli.run.checkpoint import load, to_bytes

        place.copy("run")
        place.copy(source, name)
        data = open_dataset(str(place / name)).describe()
        for which in ("best", "last"):
            path = place / f"run/{which}.safetensors"
            path.write_bytes(to_bytes(dataclasses.replace(load(path), data=data)))
        for path in place.folder.glob("run/codes*"):
            path.unlink()

    return prepare


def _moved(name: str) -> Prepare:
    return lambda place: (place / name).rename(place / f"moved-{name}")


def _changed(name: str) -> Prepare:
    def prepare(place: Place) -> None:
        values = np.load(place / name)
        values[0, 0, 0] ^= 1
        np.save(place / name, values)

    return prepare


def _replaced_by_a_folder(name: str) -> Prepare:
    def prepare(place: Place) -> None:
        (place / name).unlink()
        place.copy("pictures", name)

    return prepare


def _from_the_map(which: str) -> Prepare:
    name = f"{which}.safetensors"
    return lambda place: place.copy(f"map/{name}", f"run/{name}")


def _replaced_by_the_map(place: Place) -> None:
    """Train the run again, as it were: all is another run's but the codes."""
    for path in (place.shared / "map").iterdir():
        if "codes" not in path.name:
            shutil.copyfile(path, place / f"run/{path.name}")


_DATA: dict[str, tuple[Prepare, ...]] = {
    "as they were": (),
    "changed": (_changed("x.npy"),),
    "gone": (removed("x.npy"),),
    "moved": (_moved("x.npy"),),
    "cut": (cut("x.npy", 1_000),),
    "longer": (array("x.npy", np.zeros((91, 8, 8), np.uint8)),),
    "of another type": (array("x.npy", np.zeros((90, 8, 8), np.float32)),),
    "a folder now": (_replaced_by_a_folder("x.npy"),),
}


_OTHER_CODES: dict[str, npt.NDArray[Any]] = {
    "of 3 numbers": np.zeros((9, 3), np.float32),
    "of 1 number": np.zeros(9, np.float32),
    "of 1,000 numbers": np.zeros((2, 1_000), np.float32),
}
_OTHER_IMAGES: dict[str, npt.NDArray[Any]] = {
    "of two channels": np.zeros((40, 9, 9, 2), np.uint8),
    "of four channels": np.zeros((40, 8, 8, 4), np.uint8),
    "of vectors": np.zeros((40, 65), np.uint8),
}


def _same_codes(place: Place, done: Done) -> str | None:
    if done.code:
        return None
    mine, shared = (np.load(path) for path in (place / "c.npy", place.shared / "of-images.npy"))
    return None if np.array_equal(mine, shared) else "other codes"


def _rows() -> Iterator[Case]:
    for parts in product(("codes", "codes-train"), repeat=3):
        mixed = dict(zip(_PARTS, parts, strict=True))
        for command in ("plot x.npy -o p.png", "score x.npy --json"):
            whole = len(set(parts)) == 1
            if whole and command.startswith("score"):
                continue
            yield Case(
                f"codes, labels, provenance of {', '.join(p[5:] or 'test' for p in parts)}: "
                f"{command.split()[0]}",
                command,
                (_mixed(**mixed),),
                GOOD if whole else BAD,
                short=command.startswith("plot") and parts[0] == "codes",
            )
    for missing in ("labels", "provenance"):
        there = {part: "codes" for part in _PARTS if part != missing}
        yield Case(
            f"no {missing}",
            "plot x.npy -o p.png",
            (_mixed(**there),),
            EITHER,
            short=True,
        )
    for what in ("trust", "error"):
        yield Case(
            f"{what} of another run's codes, as many",
            f"plot x.npy --color-by {what} -o p.png",
            (_beside(f"codes.{what}*", "run", "map"),),
            BAD,
            short=True,
        )
    yield Case(
        "trust of the same codes in another order",
        "plot x.npy --color-by trust -o p.png",
        (_shuffled,),
        BAD,
        short=True,
    )
    yield Case(
        "labels of another run's codes",
        "plot x.npy -o p.png",
        (_beside("codes.labels.npy", "run", "map"), array("x.labels.npy", np.zeros(360, int))),
        BAD,
        short=True,
    )
    for what, rows in (("labels", 359), ("labels", 361), ("trust", 359), ("trust", 361)):
        numbers = np.zeros(rows, np.int64 if what == "labels" else np.float32)
        yield Case(
            f"{rows} {what} of 360 codes",
            f"plot run {'' if what == 'labels' else '--color-by trust'} -o p.png",
            (run, array(f"run/codes.{what}.npy", numbers)),
            BAD,
            short=rows == 359,
        )
    for name in ("codes.npy", "codes.labels.npy", "codes.json", "codes.trust.npy"):
        for size in (0, 100, -1):
            yield Case(
                f"{name} cut to {size}",
                f"plot run {'--color-by trust ' if 'trust' in name else ''}-o p.png",
                (run, cut(f"run/{name}", size)),
                EITHER if name == "codes.json" else BAD,
                short=size == -1,
            )
    for command in ("decode run -o d.npy", "score run/codes.npy", "score run --per-point --force"):
        yield Case(
            f"codes that are cut: {command}",
            command,
            (run, cut("run/codes.npy", 1_000)),
            BAD,
            short=True,
        )
    for fault, values in _OTHER_CODES.items():
        yield Case(
            f"decode codes {fault}",
            "decode run x.npy -o d.npy",
            (run, array("x.npy", values)),
            BAD,
            short=True,
        )
    yield Case(
        "decode codes of another run",
        "decode run x.npy -o d.npy",
        (run, _beside("nothing", "run", "map")),
        EITHER,
    )
    yield Case(
        "numbers for codes of another run",
        "score run --per-point --force",
        (run, _replaced_by_the_map),
        BAD,
    )
    for what, prepare in _DATA.items():
        for command in (
            "encode run -o c.npy",
            "plot run --kind reconstructions -o p.png",
            "score run --split train --json",
            "train --resume -o run --epochs 5",
        ):
            resumes = command.startswith("train")
            yield Case(
                f"the data are {what}: {command.split()[0]}",
                command,
                (_trained_on("x.npy", "images.npy"), *prepare),
                GOOD if not prepare else BAD,
                makes=("run/*",) if resumes else (),
                changes=("run/*",) if resumes and not prepare else (),
                short=command.startswith("encode") or (bool(prepare) and resumes),
            )
    yield Case(
        "the data are another array of that shape, named",
        "encode run images.npy --split all -o c.npy",
        (run, copied("images.npy")),
        GOOD,
        check=_same_codes,
        short=True,
    )
    for fault, values in _OTHER_IMAGES.items():
        for command in ("encode run x.npy -o c.npy", "score run x.npy"):
            yield Case(
                f"images {fault}: {command.split()[0]}",
                command,
                (run, array("x.npy", values)),
                BAD,
                short=command.startswith("encode"),
            )
    for which, command in (
        ("best", "plot run --kind history -o p.png"),
        ("best", "encode run -o c.npy"),
        ("best", "train --resume -o run --epochs 5"),
        ("last", "plot run -o p.png"),
        ("last", "score run --json"),
        ("last", "plot run --kind history -o p.png"),
    ):
        yield Case(
            f"{which}.safetensors of another run: {command[:20]}",
            command,
            (
                run,
                _from_the_map(which),
            ),
            EITHER,
            makes=("run/*",) if "train" in command else (),
            changes=("run/*",) if "train" in command else (),
        )
    for missing in ("best.safetensors", "last.safetensors", "summary.json", "metrics.jsonl"):
        for command in ("show run --json", "train --resume -o run --epochs 5", "plot run -o p.png"):
            yield Case(
                f"{missing} is gone: {command.split()[0]}",
                command,
                (run, removed(f"run/{missing}")),
                EITHER,
                makes=("run/*",) if "train" in command else (),
                changes=("run/*",) if "train" in command else (),
                short=not command.startswith("train"),
            )
    yield Case(
        "--train-codes of another map",
        "score run/codes.npy --train-codes x.npy --json",
        (run, array("x.npy", np.zeros((1257, 3), np.float32))),
        BAD,
        short=True,
    )
    yield Case(
        "--train-codes of as many numbers",
        "score run/codes.npy --train-codes run/codes-train.npy --json",
        (run,),
        GOOD,
    )
    yield Case(
        "--train-codes of the test images",
        "score run/codes.npy --train-codes run/codes.npy",
        (run,),
        BAD,
        short=True,
    )
    yield Case(
        "a run over another, without --force",
        f"train digits {SETTINGS} -o map",
        (copied("map"),),
        BAD,
        short=True,
    )


CASES = list(_rows())
