"""Names that act on terminals, break pictures or are too long: of classes, files, runs and data."""

import json
import os
from collections.abc import Iterator

import numpy as np

from tests.attack.case import ANY, EITHER, GOOD, REFUSED, Case, Done, Place, Prepare
from tests.attack.forge import array, codes, copied, provenance, run
from tests.attack.shared import TRAIN
from tests.data.examples import PIXELS, save_image

# What the name of a file or a folder may be on Linux.
NAMES: dict[str, str] = {
    "an escape sequence": "\x1b[31mred\x1b[0m",
    "a line break": "a\nb",
    "a carriage return": "a\rb",
    "a tab": "a\tb",
    "a bell": "\x07",
    "from right to left": "\u202eabc\u2066",
    "no text": os.fsdecode(b"\xff\xfe"),
    "markup": "[red]x[/red]",
    "open markup": "[bold",
    "a formula": "$\\frac{x}{y}$",
    "half a formula": "$x",
    "XML": "<b>&amp;]]>",
    "quotes": "\"'`",
    "an underscore": "_hidden",
    "a dash": "-rf",
    "spaces": "  ",
    "braces": "{x} %s %(x)s",
    "a mark that is no character": "a\ufffeb\uffff",
    "a letter beyond": "\U0001f9ea\U0010fffd",
    "a language": "猫 کتاب ß",
    "bytes of a console": "\x9b31m",
    "255 bytes": "x" * 255,
    "a form feed": "a\x0cb",
}
_IN_JSON = {
    "a closing tag": "[/]",
    "half a surrogate": "\ud800x",
    "a NUL": "a\x00b",
    "nothing": "",
    "a mile": "x" * 3_000,
}


def _classes(*names: str) -> Prepare:
    def prepare(place: Place) -> None:
        for row, name in enumerate(names):
            for column in range(3):
                save_image(place / f"odd/{name}/{column}.png", PIXELS[3 * row + column])

    return prepare


def _is_clean(place: Place, done: Done) -> str | None:
    """Say whether a table on stdout holds what acts on a terminal."""
    odd = {c for c in done.out if not (c.isprintable() or c in "\n\t\u200c\u200d")}
    return f"not printable on stdout: {sorted(odd)}" if odd else None


def _named_run(name: str) -> Prepare:
    return lambda place: place.copy("run", name)


def _array_named(name: str) -> Prepare:
    return array(name, np.zeros((90, 8, 8), np.uint8))


def _rows() -> Iterator[Case]:
    for number, (what, name) in enumerate(NAMES.items()):
        yield Case(
            f"a class called by {what}: show",
            "data show odd",
            (_classes(name, "other"),),
            EITHER,
            check=_is_clean,
            short=True,
        )
        kind = ("p.svg", "p.png", "p.pdf")[number % 3]
        yield Case(
            f"a class called by {what}: {kind}",
            f"plot x.npy -o {kind}",
            (
                codes(
                    "x.npy",
                    PIXELS[:12, 0, :2],
                    np.arange(12) % 2,
                    class_names=[os.fsencode(name).decode(errors="replace"), "other"],
                ),
            ),
            GOOD,
            short=number % 6 == 0,
        )
        yield Case(
            f"a run called by {what}",
            ["show", "--", name] if number % 2 else ["encode", "-o", "c.npy", "--", name],
            (_named_run(name),),
            # A name of 255 bytes is fine; a run of two spaces too.
            GOOD,
            check=_is_clean if number % 2 else None,
            short=bool(number % 2),
        )
        yield Case(
            f"a run that is not there, called by {what}",
            ["show", "--", f"{name}"],
            (),
            says="no such run|is not a run|cannot",
            short=True,
        )
        if number % 3 != 1:
            yield Case(
                f"a picture called by {what}",
                ["plot", "run", f"--out={name[:200]}.svg"],
                (run,),
                EITHER,
                makes=("*.svg",),
                short=number % 6 == 0,
            )
        if number % 3 == 0:
            yield Case(
                f"codes called by {what}",
                ["encode", "run", f"--out={name[:200]}.npy"],
                (run,),
                EITHER,
                makes=("*.npy", "*.json"),
                short=number % 2 == 0,
            )
            yield Case(
                f"an array called by {what}",
                ["data", "show", "--json", "--", f"{name[:200]}.npy"],
                (_array_named(f"{name[:200]}.npy"),),
                EITHER,
                short=True,
            )
        if number % 6 == 1:
            yield Case(
                f"a data set called by {what}: train",
                [*TRAIN.replace("digits ", "").split(), "-o", "new", "--", f"{name[:200]}.npy"],
                (_array_named(f"{name[:200]}.npy"),),
                GOOD,
                own_process=True,
            )
    for what, name in {**NAMES, **_IN_JSON}.items():
        if what not in _IN_JSON and what not in ("XML", "an escape sequence", "half a formula"):
            continue
        yield Case(
            f"class names in codes.json of {what}",
            "plot run -o p.svg",
            (run, provenance("run/codes.json", "class_names", json.dumps([name] * 10))),
            EITHER,
            short=what == "a mile",
        )
        if what not in ("XML", "nothing"):
            yield Case(
                f"the data in codes.json are called by {what}",
                "plot run -o p.svg",
                (run, provenance("run/codes.json", "data", json.dumps(name))),
                EITHER,
                short=what == "half a surrogate",
            )
    yield Case(
        "maps of classes of odd names",
        "score of.npy odd --per-point --picture p.svg --force --json",
        (
            _classes(*[name for name in NAMES.values() if len(name) < 100]),
            lambda place: place.array(
                "of.npy", np.random.default_rng(0).normal(size=(3 * len(NAMES) - 3, 2))
            ),
        ),
        EITHER,
        makes=("of.*",),
        own_process=True,
    )
    for length in (200, 230, 236, 240, 250, 251, 255, 256, 300, 5_000):
        for command, suffix in (
            ("encode run", ".npy"),
            ("decode run", ".npy"),
            ("plot run", ".png"),
            ("data show --picture", ".png"),
        ):
            if length not in (236, 255, 256) and command != "encode run":
                continue
            name = "x" * (length - 4) + suffix
            yield Case(
                f"-o of {length} bytes: {command}",
                [*command.split(), *([] if "picture" in command else ["-o"]), name],
                (run,),
                ANY if length <= 255 else REFUSED,
                short=length in (236, 255, 256),
            )
    yield Case(
        "train -o of 255 bytes",
        f"{TRAIN} -o {'x' * 255}",
        (),
        ANY,
        own_process=True,
        leaves=(f"{'x' * 255}/*",),
    )
    yield Case(
        "folders of 5,000 bytes",
        f"encode run -o {'/'.join(['x' * 200] * 20)}/c.npy",
        (run, copied("images.npy")),
        ANY,
        makes=(f"{'x' * 200}/*",),
        short=True,
    )


CASES = list(_rows())
