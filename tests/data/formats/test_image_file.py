"""A single image file, and what is wrong with one."""

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.data.examples import PIXELS, PNG_BOMB, png, wide_png, wide_tiff

COLOURS = np.random.default_rng(0).integers(0, 65536, (6, 5, 3)).astype(np.uint16)


def _stack(form: str, *pages: npt.NDArray[Any], **options: Any) -> bytes:
    images = [Image.fromarray(page) for page in pages]
    file = io.BytesIO()
    images[0].save(file, form, save_all=True, append_images=images[1:], **options)
    return file.getvalue()


TIFF = _stack("TIFF", *PIXELS[:12])
GIF = _stack("GIF", *PIXELS[:12])


def _second_page_at(place: int) -> bytes:
    """Return a TIFF whose list of pages goes on at `place`."""
    data = bytearray(_stack("TIFF", PIXELS[0]))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, place)
    return bytes(data)


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "PNG, only its header": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is"),
    "PNG, cut in the pixels": (png()[:60], "is a damaged image"),
    "PNG, a bomb": (PNG_BOMB, "is refused: it promises more than"),
    "PNG, colours of 16 bits, cut": (wide_png(COLOURS)[:90], "is a damaged image"),
    "TIFF, colours of 16 bits, cut": (wide_tiff(COLOURS, "<", packed=False)[:60], "is"),
    "TIFF, packed colours, spoilt": (
        wide_tiff(COLOURS, "<", packed=True).replace(b"\x78\x9c", b"\xff\xff", 1),
        "is a damaged image",
    ),
    "TIFF, cut in its pages": (TIFF[:-300], "is a damaged image"),
    "TIFF, a page that is beyond its end": (_second_page_at(10**6), "is a damaged image"),
    "TIFF, a page in its own pixels": (_second_page_at(20), "is a damaged image"),
    "TIFF, pages of two sizes": (
        _stack("TIFF", PIXELS[0], PIXELS[0][:4]),
        "data#2 has 4x5 pixels, ",
    ),
    "TIFF, pages of two types": (
        _stack("TIFF", PIXELS[0], PIXELS[0].astype(np.float32)),
        "has 1 images of 32 bits per pixel",
    ),
    "TIFF, ImageJ's pages without a place": (
        _stack("TIFF", PIXELS[0], description="ImageJ=1.54f\nimages=90\n"),
        "is ImageJ's stack of 90 images",
    ),
    "GIF, cut in its frames": (GIF[:-200], "is a damaged image"),
    "GIF, a frame beyond its canvas": (
        # The last frame's place and size follow its comma.
        GIF[: GIF.rindex(b"\x2c\0\0\0\0\5\0\6\0") + 1]
        + struct.pack("<HHHH", 60_000, 60_000, 60_000, 60_000)
        + GIF[GIF.rindex(b"\x2c\0\0\0\0\5\0\6\0") + 9 :],
        "is",
    ),
    "HEIF that is none": (
        struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(99),
        "is",
    ),
}
