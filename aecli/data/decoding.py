"""Decode image files to pixels, in parallel."""

import io
import logging
import math
import multiprocessing
import os
import re
import signal
import struct
import threading
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import chain, islice, repeat
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import numpy as np

from aecli.cores import usable_cores
from aecli.data.reading import Span, first_bytes, read_span, reading
from aecli.errors import AecliError, InputError
from aecli.memory import default_memory
from aecli.pixels import Images
from aecli.signals import HANDLED

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2",
    ".pgm", ".ppm", ".pbm", ".pnm",
)  # fmt: skip
# How files of the formats below begin.
_SIGNATURES = (
    rb"\x89PNG|\xff\xd8\xff|GIF8|BM|P[1-6]\s|RIFF....WEBP|II\*\0|MM\0\*|....ftypavi|"
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"
)
# What is decoded, by content, whatever a file is called: pixels that Pillow decodes by itself and
# that have a signature. All else stays closed: for EPS, Pillow would start Ghostscript.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000")
# Pillow's modes without colour.
_GRAY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I", "F")
# EXIF's tag that says how an image is turned, and how Pillow calls what undoes it.
_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
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
# The most bytes of an encoded image: more than that many pixels take in any format.
_MOST_ENCODED_BYTES = 2**30
# What a pixel takes: decoded, turned, with its transparency, on its ground, and as bytes.
_DECODING_BYTES = 20
# Images that take less than this are decoded without asking whether there is room.
_SMALL_BYTES = 16_000_000

# From here on an alpha of 0..255 counts as opaque.
_OPAQUE = 128

# The limits of a batch: images, encoded bytes and decoded bytes.
_BATCH_IMAGES = 256
_BATCH_BYTES = 4_000_000
_BATCH_DECODED_BYTES = 8_000_000
# The most encoded bytes that wait for a process to decode them.
_AHEAD_BYTES = 64_000_000

# How often it is seen whether to stop, and how long all processes may be silent.
_GLANCE_SECONDS = 0.2
_SILENCE_SECONDS = 120.0

Result = TypeVar("Result")


class EncodedImage(NamedTuple):
    """An encoded image: `name` is for messages, `data` its file, a span of one, or the bytes.

    Files and spans are read by the process that decodes them.
    """

    name: str
    data: Path | Span | bytes


# The types of decoded pixels: 8 bits, 16 bits, and other numbers.
Kind = Literal["uint8", "uint16", "float32"]
# What transparent images lie on.
Ground = Literal["black", "white"]


class ImageInfo(NamedTuple):
    """The properties of an encoded image; `size` is its (height, width) after rotation by EXIF."""

    gray: bool
    size: tuple[int, int]
    kind: Kind = "uint8"
    transparent: bool = False


@dataclass(frozen=True)
class Target:
    """Where decoded images go: rows (h, w, c) of a type in the file `path`, from `offset` on."""

    path: str
    offset: int
    size: tuple[int, int]
    gray: bool
    kind: Kind = "uint8"
    ground: Ground = "black"

    @property
    def row_bytes(self) -> int:
        """The size of a decoded image."""
        return math.prod(self.size) * (1 if self.gray else 3) * np.dtype(self.kind).itemsize


class Batch(NamedTuple):
    """Images to process together: the row of the first one, and the size of them all, encoded."""

    first: int
    images: Sequence[EncodedImage]
    size: int


def is_image(data: Path | Span) -> bool:
    """Return whether a file, or a span of one, is an image by content, whatever it is called."""
    try:
        if not re.match(_SIGNATURES, first_bytes(data, 16), re.DOTALL):
            return False
        _read_info(EncodedImage(str(data), data))
    except InputError:
        return False
    return True


def read_info(batch: Batch) -> list[ImageInfo]:
    """Return the properties of encoded images, without decoding them.

    Raises:
        InputError: one of them is not an image.

    """
    return [_read_info(image) for image in batch.images]


def decode_into(batch: Batch, target: Target) -> None:
    """Decode images, grey or RGB, stretched to the target's size, and write their rows.

    They are rotated as their EXIF says, and transparent ones lie on the target's ground. Among
    images of 16 bits those of 8 become 257 times as large, so that white stays white, and where 8
    are asked for, those of 16 become that much smaller.

    Raises:
        InputError: one of them is not an image, or is damaged.
        OSError: the rows cannot be written.

    """
    with Path(target.path).open("r+b") as file:
        file.seek(target.offset + batch.first * target.row_bytes)
        for image in batch.images:
            file.write(_decode(image, target).data)


def lightness(batch: Batch) -> list[float]:
    """Return for each image the mean of its opaque pixels as grey, in 0..255; NaN for none.

    Raises:
        InputError: one of them is not an image, or is damaged.

    """
    return [_lightness(image) for image in batch.images]


def _lightness(encoded: EncodedImage) -> float:
    with _opened(encoded) as image:
        image.load()
        solid = image.convert("RGBA")
        opaque = np.asarray(solid)[..., 3] >= _OPAQUE
        return float(np.asarray(solid.convert("L"))[opaque].mean()) if opaque.any() else math.nan


def batched(images: Iterable[EncodedImage], decoded_bytes: int = 1) -> Iterator[Batch]:
    """Yield images in batches that are large enough to be sent to another process.

    `decoded_bytes` is the size of the result for one image.

    Raises:
        InputError: a file is missing, or an image is too large.

    """
    most = max(1, min(_BATCH_IMAGES, _BATCH_DECODED_BYTES // decoded_bytes))
    batch: list[EncodedImage] = []
    first = size = 0
    for image in images:
        batch.append(image)
        size += _size(image)
        if len(batch) >= most or size > _BATCH_BYTES:
            yield Batch(first, batch, size)
            first += len(batch)
            batch, size = [], 0
    if batch:
        yield Batch(first, batch, size)


def in_parallel(
    function: Callable[[Batch], Result], batches: Iterable[Batch], done: Callable[[int], None]
) -> Generator[tuple[Batch, Result], None, None]:
    """Apply `function` to batches on all cores; yield them and their results, in order.

    In processes, not threads: for small images most of the time is spent in Python itself. Results
    must be small: if a process were killed while sending a long one, its reader would wait for
    ever. `done` is called with the number of images of each result, and often with 0: it may raise
    to stop.

    Raises:
        AecliError: a process was killed or stopped, or could not be started.

    """
    iterator = iter(batches)
    start = list(islice(iterator, 2))
    cores = usable_cores()
    if len(start) < 2 or cores < 2:
        for batch in chain(start, iterator):
            yield batch, function(batch)
            done(len(batch.images))
        return
    waiting: deque[tuple[Batch, Future[Result]]] = deque()
    ahead = 0
    with _workers(cores) as (pool, room):
        for next_batch in chain(start, iterator, repeat(None)):
            while waiting and (
                next_batch is None
                or len(waiting) > 2 * cores
                or ahead + next_batch.size > _AHEAD_BYTES
            ):
                batch, future = waiting.popleft()
                _await(future, room, done)
                yield batch, future.result()
                done(len(batch.images))
                ahead -= batch.size
            if next_batch is None:
                return
            waiting.append((next_batch, _submit(pool, function, next_batch)))
            ahead += next_batch.size


class _Room:
    """The memory in which processes decode large images, and a sign that they do."""

    def __init__(self, context: SpawnContext, size: int) -> None:
        """Share `size` bytes among the processes of `context`."""
        self.size = size
        self.opened = context.RawValue("q", 0)
        self._taken = context.RawValue("q", 0)
        self._changed = context.Condition()

    @contextmanager
    def taking(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are there, and hold them; they must be at most `self.size`."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken.value + size <= self.size)
            self._taken.value += size
        try:
            yield
        finally:
            with self._changed:
                self._taken.value -= size
                self._changed.notify_all()


# The room of a worker process; None in the process that the user started.
_room: _Room | None = None


@contextmanager
def _workers(count: int) -> Iterator[tuple[ProcessPoolExecutor, _Room]]:
    """Start processes when they are needed; end them at once, whatever they do.

    Raises:
        AecliError: a process was killed, or could not be started.

    """
    # Not forked: the threads of a progress bar may hold locks.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    try:
        room = _Room(context, default_memory())
        pool = ProcessPoolExecutor(count, context, _start_worker, (room,))
    except OSError as error:
        raise _cannot_start(error) from error
    try:
        yield pool, room
    except BrokenProcessPool as error:
        raise AecliError("a process that decoded images was killed: is memory short?") from error
    finally:
        # All results are here, or not wanted. A process that is stopped would never end by itself.
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        pool.shutdown(cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor, function: Callable[[Batch], Result], batch: Batch
) -> Future[Result]:
    try:
        # This may start a process.
        with _signals_blocked():
            return pool.submit(function, batch)
    except OSError as error:
        raise _cannot_start(error) from error


def _cannot_start(error: OSError) -> AecliError:
    return AecliError(f"cannot start processes that decode images: {error.strerror or error}")


def _await(future: Future[Result], room: _Room, done: Callable[[int], None]) -> None:
    """Wait for a result, as long as the processes open images."""
    silent, opened = 0.0, room.opened.value
    while not wait([future], _GLANCE_SECONDS).done:
        done(0)
        # Not by the clock: this process may have been stopped too.
        silent = silent + _GLANCE_SECONDS if room.opened.value == opened else 0.0
        opened = room.opened.value
        if silent > _SILENCE_SECONDS:
            raise AecliError(
                f"the processes that decode images have not answered for {_SILENCE_SECONDS:g} s: "
                "was one stopped, or does a disk hang?"
            )


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block what ends the program; processes started meanwhile inherit that and never see it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(room: _Room) -> None:
    """Take the room that the processes share; exit when the parent does, however it ends."""
    global _room
    _room = room
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _size(image: EncodedImage) -> int:
    try:
        size = _size_of_data(image.data)
    except OSError as error:
        raise InputError(f"cannot look at {image.name}: {error.strerror or error}") from error
    if size > _MOST_ENCODED_BYTES:
        raise InputError(
            f"{image.name} has {size:,} bytes: expected an image, of at most "
            f"{_MOST_ENCODED_BYTES:,}"
        )
    return size


def _size_of_data(data: Path | Span | bytes) -> int:
    if isinstance(data, Path):
        return data.stat().st_size
    return data.size if isinstance(data, Span) else len(data)


def _read_info(encoded: EncodedImage) -> ImageInfo:
    with _opened(encoded) as image:
        turn = _turn(image)
        if image.format == "TIFF" and turn is not None:
            # Pillow turns these itself, sooner or later.
            image.load()
            turn = _turn(image)
        gray = image.mode in _GRAY_MODES
        if image.mode == "P":
            # A palette is stored in several ways: all are the same once the image is decoded.
            palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            gray = bool((palette == palette[:, :1]).all())
        # Orientations 5 to 8 are rotated by 90 degrees.
        is_rotated = turn is not None and turn >= 5
        size = image.size if is_rotated else (image.height, image.width)
        kind = _kind(image)
        return ImageInfo(gray, size, kind, kind == "uint8" and image.has_transparency_data)


def _kind(image: "Image") -> Kind:
    """Return the type that holds all bits of the pixels of an opened image."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return "uint16"
    return "float32" if image.mode in ("I", "F") else "uint8"


def _turn(image: "Image") -> int | None:
    """Return the key in `_TURNS` that EXIF says; None where there is none, or another thing."""
    value = image.getexif().get(_ORIENTATION)
    return value if isinstance(value, int) and value in _TURNS else None


def _decode(encoded: EncodedImage, target: Target) -> Images:
    """Return the pixels of an image, (h, w, c), of the target's type."""
    from PIL import Image

    with _opened(encoded) as opened:
        opened.load()
        kind = _kind(opened)
        image: Image.Image = opened
        turn = _turn(image)
        if turn is not None:
            image = image.transpose(Image.Transpose[_TURNS[turn]])
        if kind != "uint8":
            # Pillow's floats hold 16 bits, and it can stretch them.
            values = np.asarray(image).astype(np.float32)
            image = Image.fromarray(values)
        elif image.has_transparency_data:
            solid = image.convert("RGBA")
            ground = Image.new("RGBA", solid.size, target.ground)
            image = Image.alpha_composite(ground, solid)
        if kind == "uint8":
            image = image.convert("L" if target.gray else "RGB")
        if image.size != target.size[::-1]:
            image = image.resize(target.size[::-1], Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
        if kind == "uint16":
            # Stretching may overshoot.
            pixels = np.rint(np.clip(pixels, 0, 65535)).astype(np.uint16)
        elif kind == "uint8" and target.kind == "uint16":
            pixels = pixels.astype(np.uint16) * np.uint16(257)
        if pixels.dtype == np.uint16 and target.kind == "uint8":
            pixels = np.rint(pixels / 257).astype(np.uint8)
        if pixels.dtype != target.kind:
            raise InputError(f"{encoded.name} was changed while it was decoded: try again")
        if pixels.ndim == 3:
            return pixels
        channels = 1 if target.gray else 3
        return np.ascontiguousarray(np.repeat(pixels[..., np.newaxis], channels, axis=2))


@contextmanager
def _opened(encoded: EncodedImage) -> Iterator["Image"]:
    """Open an image when there is room to decode it; Pillow's errors become an `InputError`."""
    from PIL import Image, UnidentifiedImageError

    if _room is not None:
        _room.opened.value += 1
    name, data = encoded
    # Pillow's warnings, of large images or odd metadata, are not a reason to stop.
    with (
        reading(data) if isinstance(data, Path) else io.BytesIO(_read_bytes(name, data)) as file,
        warnings.catch_warnings(action="ignore"),
    ):
        try:
            with (
                Image.open(file, formats=_formats()) as image,
                _space(name, image.size),
                _without_stderr() if image.format == "TIFF" else nullcontext(),
            ):
                yield image
        except Image.DecompressionBombError as error:
            raise _too_many_pixels(name) from error
        except UnidentifiedImageError as error:
            raise InputError(f"{name} is not an image that can be read") from error
        except MemoryError as error:
            raise InputError(f"{name} takes more memory than there is: make it smaller") from error
        except _DAMAGE as error:
            raise InputError(f"{name} is a damaged image: {error}") from error


def _read_bytes(name: str, data: Span | bytes) -> bytes:
    """Return encoded bytes, of a span as many as all processes together have memory for."""
    if isinstance(data, bytes):
        return data
    if data.size > _SMALL_BYTES:
        most = (default_memory() if _room is None else _room.size) // usable_cores()
        if data.size > most:
            raise InputError(
                f"{name} has {data.size:,} bytes, but there is memory for {most:,}: make it smaller"
            )
    return read_span(data, name)


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


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that this Pillow can decode: AVIF came later than the others."""
    # Without a handler, Python would print what Pillow logs.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    return (*_FORMATS, "AVIF") if find_spec("PIL.AvifImagePlugin") else _FORMATS


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
    most = default_memory() if _room is None else _room.size
    if needed > most:
        raise InputError(
            f"{name} has {size[1]}x{size[0]} pixels and takes {needed:,} bytes to decode, but "
            f"there are {most:,}: make it smaller first"
        )
    with nullcontext() if _room is None else _room.taking(needed):
        yield


def _too_many_pixels(name: str) -> InputError:
    return InputError(
        f"{name} is refused: it promises more than {_MOST_PIXELS:,} pixels; make it smaller first"
    )
