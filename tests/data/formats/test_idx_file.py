"""IDX files."""

import gzip

from tests.data.examples import IDX_OF_TERABYTES

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
