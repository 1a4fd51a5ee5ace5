"""What `--json` prints is JSON, without NaN, for codes and data that are as odd as can be."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.attack.case import EITHER, GOOD, Case
from tests.attack.forge import array, codes, copied, metadata, run, written
from tests.attack.shared import TRAIN

_N = 90
_GENERATOR = np.random.default_rng(0)
_CODES: dict[str, npt.NDArray[Any]] = {
    "equal": np.zeros((_N, 2), np.float32),
    "two values": np.repeat([[0, 0], [1, 1]], _N // 2, 0).astype(np.float32),
    "huge": _GENERATOR.uniform(-3e38, 3e38, (_N, 2)).astype(np.float32),
    "subnormal": (_GENERATOR.uniform(0, 1, (_N, 2)) * 1e-44).astype(np.float32),
    "on a line": np.arange(_N, dtype=np.float32)[:, np.newaxis] * [[1, 0]],
    "of one number": np.arange(_N, dtype=np.float32),
    "of 64 numbers": _GENERATOR.normal(size=(_N, 64)).astype(np.float32),
    "of more numbers than images": _GENERATOR.normal(size=(_N, 500)).astype(np.float32),
}
_LABELS: dict[str, npt.NDArray[Any]] = {
    "one class": np.zeros(_N, int),
    "a class for each": np.arange(_N),
    "the ends of int64": np.where(np.arange(_N) % 2, 2**63 - 1, -(2**63)),
    "one alone": (np.arange(_N) == 0).astype(int),
}
_IMAGES: dict[str, npt.NDArray[Any]] = {
    "black": np.zeros((_N, 8, 8), np.uint8),
    "equal": np.full((_N, 8, 8), 7, np.uint8),
    "of one pixel": np.arange(_N, dtype=np.uint8).reshape(_N, 1, 1),
    "of floats": np.full((_N, 8, 8), 0.5, np.float32),
    "of truth": np.zeros((_N, 8, 8), bool),
}


def _rows() -> Iterator[Case]:
    for what, values in _CODES.items():
        yield Case(
            f"score codes: {what}",
            "score x.npy images.npy --labels labels.npy --split all --json",
            (copied("images.npy", "labels.npy"), array("x.npy", values)),
            EITHER,
            short=what in ("equal", "huge"),
        )
    for what, labels in _LABELS.items():
        yield Case(
            f"score labels: {what}",
            "score x.npy images.npy --labels y.npy --split all --json",
            (
                copied("images.npy"),
                array("x.npy", _CODES["of 64 numbers"][:, :2]),
                array("y.npy", labels),
            ),
            EITHER,
            short=what in ("one alone", "the ends of int64"),
        )
        yield Case(
            f"show labels: {what}",
            "data show images.npy --labels y.npy --json",
            (copied("images.npy"), array("y.npy", labels)),
            EITHER,
            short=True,
        )
    for what, images in _IMAGES.items():
        yield Case(
            f"score images: {what}",
            "score x.npy y.npy --split all --json",
            (array("x.npy", _CODES["of 64 numbers"][:, :2]), array("y.npy", images)),
            EITHER,
            short=what == "black",
        )
        yield Case(
            f"show images: {what}",
            "data show y.npy --json",
            (array("y.npy", images),),
            GOOD,
            short=True,
        )
        yield Case(
            f"train on images: {what}",
            f"{TRAIN.replace('digits', 'y.npy')} -o new --json",
            (array("y.npy", images),),
            GOOD,
            own_process=True,
        )
    for what, value in (("NaN", "NaN"), ("infinite", "Infinity"), ("below all", "-1e400")):
        yield Case(
            f"show a run whose loss is {what}",
            "show run --json",
            (run, metadata("run/best.safetensors", "best.validation_loss", value)),
            EITHER,
            short=True,
        )
        yield Case(
            f"show a summary whose error is {what}",
            "show run --json --shapes",
            (run, written("run/summary.json", f'{{"test_mse": {value}, "pca_mse": {value}}}')),
            EITHER,
            short=True,
        )
        yield Case(
            f"score a run whose time is {what}",
            "score run --json",
            (run, written("run/summary.json", f'{{"seconds": {value}}}')),
            EITHER,
        )
    for command in (
        "data list --json",
        "data show --json",
        "show run --json --shapes -n 1",
        "encode run -o c.npy --json",
        "decode run -o d.npy --json",
        "plot run -o p.png --json",
        "plot x.npy -o p.png --json",
        "score run --per-point --force --json",
        "score run --stability 2 --json",
    ):
        yield Case(
            command,
            command,
            (run, codes("x.npy", [[math.pi, 1e38]], [5])),
            GOOD,
            makes=("run/codes.*",),
            changes=("run/codes.*",) if "per-point" in command else (),
            own_process="stability" in command,
            short="score" not in command,
        )


CASES = list(_rows())
