"""Files of one array, `.npy`."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aecli.data import open_dataset
from tests.data.examples import NPY_OF_TERABYTES, PIXELS, npy, npy_header


@pytest.mark.parametrize(
    ("shape", "vectors"),
    [((9, 49), True), ((9, 50), True), ((9, 1, 50), False), ((9, 7, 7), False)],
)
def test_only_arrays_of_two_axes_are_vectors(
    tmp_path: Path, shape: tuple[int, ...], vectors: bool
) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    assert open_dataset(str(tmp_path / "x.npy")).vectors is vectors


class Canary:
    """Would leave a file behind if it were unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch canary",)


GOOD = npy(PIXELS)
OBJECTS = npy(np.array([Canary(), Canary()], object), allow_pickle=True)
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "only the magic": (GOOD[:6], "whole .npy array"),
    "cut in the header": (GOOD[:40], "whole .npy array"),
    "no pixels after the header": (GOOD[:128], "is truncated: its header promises 2,700"),
    "the last pixel missing": (GOOD[:-1], "is truncated: its header promises 2,700"),
    "more than the header says": (GOOD + b"x", "is too long"),
    "terabytes promised": (NPY_OF_TERABYTES, "promises 1,000,000,000,000 bytes, it holds 0"),
    "a negative length": (npy_header("(-1, 4, 4)"), "has an impossible header"),
    "a header that is no dict": (
        b"\x93NUMPY\x01\x00\x06\x00[1,2]\n",
        "whole .npy array",
    ),
    "a header that is broken off": (
        GOOD.replace(b", ", b"{ ", 1),
        "whole .npy array",
    ),
    "format of the future": (GOOD[:6] + b"\x09" + GOOD[7:], "of version (9, 0)"),
    "objects": (OBJECTS, "holds object: expected numbers; nothing of it was run"),
    "numbers too far apart": (
        npy(np.where(np.arange(90)[:, None, None] % 2, -1.7e308, PIXELS * 7e305)),
        "too far apart: expected 0..1",
    ),
    "terabytes in Fortran's order": (
        npy_header("(1000000, 1000, 1000)").replace(b"False", b"True "),
        "is truncated: its header promises",
    ),
    "complex": (npy(PIXELS.astype(complex)), "holds complex128: expected numbers"),
    "words": (npy(np.array(["a", "b"])), "holds <U1: expected numbers"),
    "dates": (npy(np.zeros(3, "M8[s]")), "expected numbers"),
    "NaN": (
        npy(np.where(np.arange(90)[:, None, None] == 7, np.nan, PIXELS / 255)),
        "holds NaN, infinity or a number too large for float32, first at (7, 0, 0)",
    ),
    "a scalar": (npy(np.uint8(3)), "has the shape (): expected images"),
    "five axes": (npy(np.zeros((1, 2, 3, 4, 5))), "has the shape (1, 2, 3, 4, 5)"),
    "channels first": (npy(np.zeros((9, 3, 32, 32))), "1 to 4 channels on the last axis"),
    "no images": (npy(PIXELS[:0]), "holds no pixels: its shape is (0, 6, 5, 1)"),
    "images of no pixels": (npy(PIXELS[:, :0]), "holds no pixels"),
}
