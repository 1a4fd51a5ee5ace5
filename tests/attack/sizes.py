"""Numbers that are too large: layers, epochs, batches, pictures, classes, codes."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.attack.case import ANY, BAD, EITHER, FAILED, GOOD, REFUSED, Case, Place, Prepare
from tests.attack.forge import array, codes, copied, described, npy, run, sparse
from tests.attack.shared import SETTINGS

_TRAIN = "train digits --recipe plain --epochs 1"
_HUGE = str(10**30)

# Options of train, and what they may come to.
_TRAININGS: dict[str, frozenset[int]] = {
    "--hidden 1000000": ANY,
    "--hidden 1000000,1000000": REFUSED,
    "--hidden 99999999999999": REFUSED,
    f"--hidden {_HUGE}": REFUSED,
    f"--hidden {','.join(['8'] * 300)}": EITHER,
    f"--hidden {','.join(['1'] * 10_000)}": REFUSED,
    "--latent 1000000000": REFUSED,
    f"--latent {_HUGE}": REFUSED,
    "--latent 5000": ANY,
    "--epochs 1e30": BAD,
    f"--epochs {_HUGE}": BAD,
    f"--epochs {2**63}": BAD,
    "--batch-size 1e30": BAD,
    f"--batch-size {_HUGE}": EITHER,
    f"--batch-size {2**63}": EITHER,
    "--batch-size 1257": GOOD,
    f"--seed {2**32}": BAD,
    "--seed -1": BAD,
    f"--split-seed {_HUGE}": BAD,
    "--learning-rate 1e30": FAILED,
    "--learning-rate 1e-320": ANY,
    "--learning-rate 1e400": BAD,
    "--learning-rate nan": BAD,
    "--code-penalty 1e300": ANY,
    f"--patience {_HUGE}": EITHER,
    "--validation 1e-320": EITHER,
    "--memory 1KB": ANY,
    "--memory 0.0000001KB": ANY,
    "--memory 999999999TB": EITHER,
    "--memory 99999999999999999999TB": BAD,
    f"--memory {'9' * 5000}GB": BAD,
    "--memory ٣GB": BAD,
    "--memory -1GB": BAD,
    "--memory nanGB": BAD,
}
_NEIGHBORS: dict[str, frozenset[int]] = {
    "--neighbors 1000000000": BAD,
    f"--neighbors {_HUGE}": BAD,
    "--neighbors 1256": ANY,
    "--neighbors 1257": BAD,
    "--neighbor-weight 1e300": ANY,
    "--neighbor-final 2": BAD,
}
_OF_RUNS: dict[str, frozenset[int]] = {
    "score run --stability 1000000000": REFUSED,
    f"score run --stability {_HUGE}": REFUSED,
    "score run --stability 1": BAD,
    "score run --stability -5": BAD,
    f"score run --sample {_HUGE}": EITHER,
    "score run --sample 0": BAD,
    "score run --sample -1": BAD,
    "score run --sample 1": EITHER,
    "score run --sample 3 --json": EITHER,
    f"show run --shapes -n {_HUGE}": EITHER,
    f"show run --shapes --json -n {_HUGE}": EITHER,
    "show run --shapes -n 0": BAD,
    f"show run --shapes -n -{_HUGE}": BAD,
    f"plot run --kind reconstructions --count {_HUGE} -o p.png": BAD,
    "plot run --kind reconstructions --count 0 -o p.png": BAD,
    "plot run --kind reconstructions --count 50 -o p.png": GOOD,
    f"encode run --batch-size {_HUGE} -o c.npy": EITHER,
    f"encode run --batch-size {10**400} -o c.npy": EITHER,
    "encode run --batch-size 0 -o c.npy": BAD,
    "encode run --batch-size -1 -o c.npy": BAD,
    "encode run --batch-size 1 -o c.npy": GOOD,
    "encode run --memory 1KB -o c.npy": ANY,
    f"decode run --batch-size {_HUGE} -o d.npy": EITHER,
    "decode run --batch-size 0 -o d.npy": BAD,
    f"encode run images.npy --size {_HUGE} -o c.npy": BAD,
    "data show pictures --size 65536": REFUSED,
    "data show pictures --size 20000": ANY,
    "data show pictures --size 0": BAD,
    "data show pictures --size 1x60000": EITHER,
    f"data show pictures --size {'9' * 5000}": BAD,
    "data show pictures --size ²": BAD,
    "data show images.npy --rescale=-1e308,1e308": EITHER,
    "data show images.npy --rescale=nan,1": BAD,
    "data show images.npy --rescale=0,1e-320": EITHER,
    "data show images.npy --rescale=0,inf": BAD,
    "data show images.npy --rescale=1,0": BAD,
    "data show images.npy --rescale=0,255": GOOD,
}


def _large_images(place: Place) -> None:
    """Write a run that makes images of 512x512, and 250 codes for it."""
    from aecli.run.checkpoint import load, to_bytes

    place.copy("run")
    path = place / "run/best.safetensors"
    found = load(path)
    pixels, generator = 512 * 512, np.random.default_rng(0)
    tensors = dict(found.tensors)
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.layers.0.kernel": (pixels, 16),
        "decoder.layers.2.bias": (pixels,),
        "decoder.layers.2.kernel": (16, pixels),
    }
    for part, shape in shapes.items():
        tensors[f"parameters.{part}"] = generator.normal(0, 0.1, shape).astype(np.float32)
    data = dataclasses.replace(found.data, image_shape=(512, 512, 1))
    path.write_bytes(to_bytes(dataclasses.replace(found, tensors=tensors, data=data)))
    place.array("x.npy", generator.normal(size=(250, 2)).astype(np.float32))


def _huge_classes(rows: int, dimensions: int) -> Prepare:
    values = np.random.default_rng(0).normal(size=(rows, dimensions)).astype(np.float32)
    return codes("x.npy", values, np.arange(rows), class_names=None, rows=rows)


def _line(*values: float) -> npt.NDArray[Any]:
    with np.errstate(over="ignore"):
        return np.array([[value, value / 2] for value in values], np.float64).astype(np.float32)


_CODES: dict[str, tuple[npt.NDArray[Any], frozenset[int]]] = {
    "around 1e30": (_line(1e30, 2e30, -1e30, 1.5e30), GOOD),
    "around 1e38": (_line(1e38, -3e38, 3.4e38, 0), EITHER),
    "subnormal": (_line(1e-45, 3e-45, 1e-44, 0), GOOD),
    "around 1e-30": (_line(1e-30, 2e-30, 3e-30), GOOD),
    "equal": (np.full((9, 2), 3.5, np.float32), GOOD),
    "zero": (np.zeros((9, 2), np.float32), GOOD),
    "one row": (_line(1.5), GOOD),
    "one row of zeros": (_line(0), GOOD),
    "NaN": (_line(1, math.nan), BAD),
    "infinite": (_line(1, math.inf), BAD),
    "far and near": (_line(*[1e-30] * 50, 1e30), EITHER),
    "on a line": (np.array([[1, 0], [2, 0], [3, 0]], np.float32), GOOD),
    "too large for float32": (np.array([[1e300, 1], [2, 3]]), BAD),
    "whole numbers": (np.array([[2**62, 1], [2, 3]]), EITHER),
    "of one number": (np.array([1e38, -3e38, 1], np.float32), EITHER),
    "of one number, equal": (np.zeros((9, 1), np.float32), GOOD),
    "of one number, subnormal": (np.array([1e-45, 3e-45], np.float32), GOOD),
    "of 3 numbers, equal": (np.zeros((9, 3), np.float32), GOOD),
    "of 3 numbers around 1e38": (np.array([[1e38, -3e38, 1], [1, 2, 3]], np.float32), EITHER),
    "of 5 numbers, equal": (np.zeros((9, 5), np.float32), GOOD),
    "of 5 numbers around 1e38": (np.array([[3e38] * 5, [-3e38] * 5], np.float32), EITHER),
    "of 1,000 numbers, one row": (np.ones((1, 1_000), np.float32), GOOD),
    "of 4 axes": (np.zeros((2, 2, 2, 2), np.float32), BAD),
    "of no numbers": (np.zeros((5, 0), np.float32), BAD),
    "no rows": (np.zeros((0, 2), np.float32), BAD),
    "60,000 equal": (np.full((60_000, 2), 1e30, np.float32), GOOD),
    "60,000 around 1e38": (
        np.random.default_rng(0).uniform(-3e38, 3e38, (60_000, 2)).astype(np.float32),
        EITHER,
    ),
}


def _rows() -> Iterator[Case]:
    for options, expected in _TRAININGS.items():
        yield Case(
            f"train {options[:60]}",
            f"{_TRAIN} {options} -o new",
            (),
            expected,
            leaves=("new/*",) if 1 in expected and expected != REFUSED else (),
            own_process=expected != BAD,
            short=expected == BAD,
        )
    for options, expected in _NEIGHBORS.items():
        yield Case(
            f"train {options[:60]}",
            f"train digits --hidden 4 --epochs 1 {options} -o new",
            (),
            expected,
            leaves=("new/*",) if 1 in expected and expected != REFUSED else (),
            own_process=expected != BAD,
        )
    for command, expected in _OF_RUNS.items():
        heavy = "stability 1000000000" in command or "size 65536" in command or "20000" in command
        yield Case(
            command[:80],
            command,
            (copied("run", "images.npy", "pictures"),),
            expected,
            own_process=heavy,
            short=not heavy and (expected == BAD or command.startswith("show")),
        )
    for out in ("d.png", "d.npy", "d.svg"):
        yield Case(
            f"250 images of 512x512 as {out}",
            f"decode run x.npy -o {out}",
            (_large_images,),
            EITHER,
            own_process=True,
        )
    big = npy(described("(100, 4000, 4000)"))
    yield Case(
        "the first 100 images of 4000x4000",
        "data show x.npy --picture p.png",
        (sparse("x.npy", big, 100 * 4_000 * 4_000),),
        EITHER,
        own_process=True,
    )
    for shape in ("(20, 70001)", "(40, 1, 70001)", "(40, 70001, 1)"):
        size = math.prod(int(part) for part in shape.strip("()").split(","))
        for command in ("data show x.npy --picture p.png", f"{_TRAIN} --hidden 4 -o new"):
            yield Case(
                f"images {shape}: {command.split()[0]}",
                command.replace("digits", "x.npy"),
                (sparse("x.npy", npy(described(shape)), size),),
                ANY,
                own_process=True,
                leaves=("new/*",),
            )
    for dimensions in (1, 2, 3):
        for out in ("p.png", "p.svg"):
            yield Case(
                f"40,000 classes of {dimensions} numbers as {out}",
                f"plot x.npy -o {out}",
                (_huge_classes(40_000, dimensions),),
                EITHER,
                own_process=True,
            )
    yield Case(
        "labels at the ends of int64",
        "plot x.npy -o p.png",
        (codes("x.npy", np.zeros((2, 2)), [-(2**63), 2**63 - 1]),),
        EITHER,
        short=True,
    )
    for number, (what, (values, expected)) in enumerate(_CODES.items()):
        out = ("p.png", "p.svg", "p.pdf")[number % 3]
        yield Case(
            f"codes {what}: plot as {out}",
            f"plot x.npy -o {out}",
            (array("x.npy", values),),
            expected,
            short=number % 2 == 0 and len(values) < 100,
            own_process=len(values) > 1_000,
        )
        if values.ndim == 2 and values.shape[1] == 2 and 0 < len(values) < 100:
            yield Case(
                f"codes {what}: decode",
                "decode run x.npy -o d.npy",
                (run, array("x.npy", values)),
                EITHER if expected != BAD else BAD,
                short=expected == BAD,
            )
            many = np.resize(values, (90, 2))
            yield Case(
                f"codes {what}: score",
                "score x.npy images.npy --labels labels.npy --split all --json",
                (copied("images.npy", "labels.npy"), array("x.npy", many)),
                EITHER if expected != BAD else BAD,
                short=what in ("equal", "around 1e38"),
            )
            if what in ("equal", "one row", "around 1e38", "subnormal"):
                yield Case(
                    f"codes {what}: score --per-point --picture",
                    "score x.npy images.npy --split all --per-point --picture p.svg",
                    (copied("images.npy"), array("x.npy", many)),
                    EITHER if expected != BAD else BAD,
                    makes=("x.trust.npy", "x.trust.*"),
                )
    for what, numbers in (
        ("equal", np.ones(360, np.float32)),
        ("around 1e38", np.linspace(-3e38, 3e38, 360, dtype=np.float32)),
        ("subnormal", np.linspace(0, 1e-44, 360, dtype=np.float32)),
        ("NaN", np.full(360, np.nan, np.float32)),
    ):
        yield Case(
            f"numbers of codes {what}",
            "plot run --color-by trust -o p.svg",
            (run, array("run/codes.trust.npy", numbers)),
            EITHER,
            short=True,
        )
    for rows in (1, 2, 3, 4, 5, 9):
        yield Case(
            f"a data set of {rows} images",
            f"train x.npy {SETTINGS} -o new",
            (array("x.npy", np.zeros((rows, 8, 8), np.uint8)),),
            ANY,
            own_process=rows > 4,
            leaves=("new/*",),
            short=rows < 4,
        )
        yield Case(
            f"a data set of {rows} images: show",
            "data show x.npy --picture p.png --json",
            (array("x.npy", np.zeros((rows, 8, 8), np.uint8)),),
            EITHER,
            short=True,
        )


CASES = list(_rows())
