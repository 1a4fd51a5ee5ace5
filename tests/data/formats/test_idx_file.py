"""IDX files."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aecli.data import Source, open_dataset
from tests.data.examples import IDX_OF_TERABYTES, PIXELS

BAD_FILES: dict[str, tuple[bytes, str]] = {
    "labels": (b"\0\0\x08\x01\0\0\0\x03abc", "with 3 axes: expected it to start"),
    "terabytes promised": (IDX_OF_TERABYTES, "is truncated"),
    "terabytes promised in gzip": (
        gzip.compress(IDX_OF_TERABYTES),
        "bytes of memory: unpack it with gunzip",
    ),
    "a bomb": (
        gzip.compress(b"\0\0\x08\x03\0\0\0\x09\0\0\0\x01\0\0\0\x01" + bytes(10**8)),
        "promises 9 bytes (9, 1, 1), it holds more",
    ),
}


@pytest.mark.parametrize("code", [8, 9, 11, 12, 13, 14])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_type_of_number(code: int, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    kind = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}[code]
    values = (PIXELS // 2).astype(kind)
    data = struct.pack(">BBBB3I", 0, 0, code, 3, *values.shape) + values.tobytes()
    (tmp_path / "x").write_bytes(pack(data))
    rescale = None if code == 8 else (0.0, 255.0)
    images = open_dataset(Source(str(tmp_path / "x"), rescale=rescale)).images[:]
    expected = PIXELS // 2 if code == 8 else ((PIXELS // 2) / 255).astype(np.float32)
    np.testing.assert_array_equal(images[..., 0], expected)
