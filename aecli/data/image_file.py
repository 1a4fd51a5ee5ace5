"""Open encoded images with Pillow: which formats, how many pages, and what is wrong with one."""

import io
import logging
import math
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from aecli.cores import usable_cores
from aecli.data.encoded import EncodedImage
from aecli.data.reading import DamagedSpan, Span, first_bytes, read_span, reading
from aecli.data.workers import all_memory, holding, show_progress
from aecli.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2",
    ".pgm", ".ppm", ".pbm", ".pnm", ".heic", ".heif",
)  # fmt: skip
_HEIF = rb"....ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)"
# How files of the formats below begin.
_SIGNATURES = (
    rb"\x89PNG|\xff\xd8\xff|GIF8|BM|P[1-6]\s|RIFF....WEBP|II[*+]\0|MM\0[*+]|....ftypavi|"
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51|" + _HEIF
)
_SIGNATURE_BYTES = 16
HEIF_REMEDY = "pip install 'aecli[heic]'"
# What is decoded, by content, whatever a file is called: pixels that Pillow decodes by itself and
# that have a signature. All else stays closed: for EPS, Pillow would start Ghostscript.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000")
# The formats each page of which is an image; of others the first frame is.
_OF_PAGES = ("TIFF", "GIF")
# More in a file than anyone has; each takes a while to be found.
_MOST_PAGES = 1_000_000
# TIFF's tags that say what a page is, and the values that mean no image of its own: a smaller
# version of another page, or its mask (TIFF 6.0, 1992, pages 36 and 40).
_NEW_SUBFILE_TYPE, _REDUCED_OR_MASK = 254, 0b101
_SUBFILE_TYPE, _REDUCED = 255, 2
_DESCRIPTION = 270
# What Pillow's readers raise where the bytes are not what they expect.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    AssertionError,
    RuntimeError,
)

# The most pixels that Pillow decodes without being told that they are no bomb.
_MOST_PIXELS = 178_956_970
# What a pixel takes: decoded, turned, with its transparency, on its ground, and as bytes.
_DECODING_BYTES = 20
# Images that take less than this are decoded without asking whether there is room.
_SMALL_BYTES = 16_000_000


class BrokenImage(InputError):
    """An image that cannot be read, whatever the machine; `reason` follows its name."""

    def __init__(self, name: str, reason: str) -> None:
        """Take what messages call the image, and words that follow the name."""
        super().__init__(f"{name} {reason}")
        self.reason = reason


def looks_like_image(data: Path | Span) -> bool:
    """Return whether a file, or a span of one, begins as images do."""
    start = first_bytes(data, _SIGNATURE_BYTES)
    return re.match(_SIGNATURES, start, re.DOTALL) is not None


def is_image(data: Path | Span) -> bool:
    """Return whether a file, or a span of one, is an image by content, whatever it is called."""
    try:
        if not looks_like_image(data):
            return False
        with opened(EncodedImage(str(data), data)):
            return True
    except InputError:
        return False


@contextmanager
def opened(encoded: EncodedImage) -> Iterator["Image"]:
    """Open an image, at its first page; Pillow's errors become an `InputError`.

    Raises:
        BrokenImage: the bytes are no image, or a damaged one.
        InputError: they cannot be read, or memory is short.

    """
    from PIL import Image, UnidentifiedImageError

    show_progress()
    name = encoded.name
    # Pillow's warnings, of large images or odd metadata, are not a reason to stop.
    with _bytes_of(encoded) as file, warnings.catch_warnings(action="ignore"):
        try:
            with (
                Image.open(file, formats=_formats()) as image,
                _without_stderr() if image.format == "TIFF" else nullcontext(),
            ):
                yield image
        except Image.DecompressionBombError as error:
            raise _too_many_pixels(name) from error
        except UnidentifiedImageError as error:
            raise BrokenImage(name, _why_unknown(file)) from error
        except MemoryError as error:
            raise InputError(f"{name} takes more memory than there is: make it smaller") from error
        except _DAMAGE as error:
            raise BrokenImage(name, f"is a damaged image: {error}") from error


@contextmanager
def at_page(image: "Image", name: str, number: int) -> Iterator[None]:
    """Turn to a page of an opened image, and hold the memory that it takes to decode it."""
    show_progress()
    if number != image.tell():
        image.seek(number)
    with _space(name, image.size):
        yield


def pages_of(image: "Image", name: str) -> Iterator[tuple[int, str | None]]:
    """Turn to each page of an opened image; yield its number, and why it is none of the images.

    Pages of TIFF and frames of GIF are images, but not smaller versions of other pages nor their
    masks. Of other formats the first frame is the image, and there are `further_frames`.
    """
    if image.format not in _OF_PAGES:
        yield 0, None
        return
    _refuse_pages_without_a_place(image, name)
    number = 0
    while True:
        yield number, _no_image_of_its_own(image)
        number += 1
        if number > _MOST_PAGES:
            raise BrokenImage(name, f"has more than {_MOST_PAGES:,} pages: split it")
        try:
            with at_page(image, name, number):
                pass
        except EOFError:
            return


def further_frames(image: "Image") -> int:
    """Return how many frames of an opened image are not read, as it says itself."""
    return 0 if image.format in _OF_PAGES else int(getattr(image, "n_frames", 1)) - 1


def _no_image_of_its_own(image: "Image") -> str | None:
    tags: Any = getattr(image, "tag_v2", {})
    new, old = tags.get(_NEW_SUBFILE_TYPE, 0), tags.get(_SUBFILE_TYPE, 0)
    if (isinstance(new, int) and new & _REDUCED_OR_MASK) or old == _REDUCED:
        return "pages of reduced resolution or masks"
    return None


def _refuse_pages_without_a_place(image: "Image", name: str) -> None:
    """Raise `BrokenImage` for ImageJ's large stacks, in which only the first page has a place."""
    tags: Any = getattr(image, "tag_v2", {})
    description = str(tags.get(_DESCRIPTION, ""))
    promised = re.search(r"^images=(\d{1,9})$", description, re.MULTILINE)
    if description.startswith("ImageJ=") and promised and tags.next == 0 and int(promised[1]) > 1:
        raise BrokenImage(
            name,
            f"is ImageJ's stack of {int(promised[1]):,} images, only the first of which TIFF "
            "readers see: save it as an image sequence",
        )


@contextmanager
def _bytes_of(encoded: EncodedImage) -> Iterator[IO[bytes]]:
    data = encoded.data
    if isinstance(data, Path):
        with reading(data) as file:
            yield file
        return
    yield io.BytesIO(_read_bytes(encoded.name, data))


def _read_bytes(name: str, data: Span | bytes) -> bytes:
    """Return encoded bytes, of a span as many as all processes together have memory for."""
    if isinstance(data, bytes):
        return data
    if data.size > _SMALL_BYTES:
        most = all_memory() // usable_cores()
        if data.size > most:
            raise InputError(
                f"{name} has {data.size:,} bytes, but there is memory for {most:,}: make it smaller"
            )
    try:
        return read_span(data, name)
    except DamagedSpan as error:
        raise BrokenImage(name, str(error).removeprefix(f"{name} ")) from error


def _why_unknown(file: IO[bytes]) -> str:
    file.seek(0)
    if re.match(_HEIF, file.read(_SIGNATURE_BYTES), re.DOTALL) and "HEIF" not in _formats():
        return f"is HEIF, which needs {HEIF_REMEDY}"
    return "is not an image that can be read"


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Send away what libtiff prints to stderr by itself."""
    try:
        stderr = os.dup(2)
    except OSError:
        # It is closed already.
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def has_heif() -> bool:
    """Return whether HEIF can be decoded here."""
    return find_spec("pillow_heif") is not None


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that can be decoded here: some came later to Pillow, or are extras."""
    # Without a handler, Python would print what Pillow logs.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    found = [*_FORMATS]
    if find_spec("PIL.AvifImagePlugin"):
        found.append("AVIF")
    if has_heif():
        from pillow_heif import register_heif_opener

        register_heif_opener(thumbnails=False)
        found.append("HEIF")
    return tuple(found)


@contextmanager
def _space(name: str, size: tuple[int, int]) -> Iterator[None]:
    """Hold the memory that it takes to decode an image of (width, height)."""
    pixels = math.prod(size)
    if pixels > _MOST_PIXELS:
        raise _too_many_pixels(name)
    needed = pixels * _DECODING_BYTES
    if needed <= _SMALL_BYTES:
        yield
        return
    most = all_memory()
    if needed > most:
        raise InputError(
            f"{name} has {size[1]}x{size[0]} pixels and takes {needed:,} bytes to decode, but "
            f"there are {most:,}: make it smaller first"
        )
    with holding(needed):
        yield


def _too_many_pixels(name: str) -> BrokenImage:
    return BrokenImage(
        name, f"is refused: it promises more than {_MOST_PIXELS:,} pixels; make it smaller first"
    )
