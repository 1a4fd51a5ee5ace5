"""Decode image files to pixels, in parallel."""

import io
import math
import multiprocessing
import os
import signal
import struct
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from aecli.cores import usable_cores
from aecli.errors import AecliError, InputError
from aecli.files import kind_of
from aecli.pixels import Images

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Pillow's modes without colour.
_GRAY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I", "F")

# The limits of a batch: images, encoded bytes and decoded bytes.
_BATCH_IMAGES = 256
_BATCH_BYTES = 4_000_000
_BATCH_DECODED_BYTES = 8_000_000

Result = TypeVar("Result")


class EncodedImage(NamedTuple):
    """An encoded image: `name` is for messages, `data` is its file or the bytes of one."""

    name: str
    data: Path | bytes


class ImageInfo(NamedTuple):
    """The properties of an encoded image; `size` is its (height, width) after rotation by EXIF."""

    gray: bool
    size: tuple[int, int]


@dataclass(frozen=True)
class Target:
    """Where decoded images go: rows of uint8 (h, w, c) in the file `path`, starting at `offset`."""

    path: str
    offset: int
    size: tuple[int, int]
    gray: bool

    @property
    def row_bytes(self) -> int:
        """The size of a decoded image."""
        return math.prod(self.size) * (1 if self.gray else 3)


class Batch(NamedTuple):
    """Images to process together; `first` is the row of the first one."""

    first: int
    images: Sequence[EncodedImage]


def read_info(batch: Batch) -> list[ImageInfo]:
    """Return the properties of encoded images, without decoding them.

    Raises:
        InputError: one of them is not an image.

    """
    return [_read_info(image) for image in batch.images]


def decode_into(batch: Batch, target: Target) -> None:
    """Decode images, grey or RGB, stretched to the target's size, and write their rows.

    They are rotated as their EXIF says, and transparency becomes black.

    Raises:
        InputError: one of them is not an image, or is damaged.
        OSError: the rows cannot be written.

    """
    rows = [_decode(image, gray=target.gray, size=target.size) for image in batch.images]
    with Path(target.path).open("r+b") as file:
        file.seek(target.offset + batch.first * target.row_bytes)
        file.write(np.stack(rows).data)


def batched(images: Iterable[EncodedImage], decoded_bytes: int = 1) -> Iterator[Batch]:
    """Yield images in batches that are large enough to be sent to another process.

    `decoded_bytes` is the size of the result for one image.
    """
    most = max(1, min(_BATCH_IMAGES, _BATCH_DECODED_BYTES // decoded_bytes))
    batch: list[EncodedImage] = []
    first = size = 0
    for image in images:
        batch.append(image)
        size += _size(image)
        if len(batch) >= most or size > _BATCH_BYTES:
            yield Batch(first, batch)
            first += len(batch)
            batch, size = [], 0
    if batch:
        yield Batch(first, batch)


def in_parallel(
    function: Callable[[Batch], Result], batches: Iterable[Batch], done: Callable[[int], None]
) -> Generator[tuple[Batch, Result], None, None]:
    """Apply `function` to batches on all cores; yield them and their results, in order.

    In processes, not threads: for small images most of the time is spent in Python itself. Results
    must be small: if a process were killed while sending a long one, its reader would wait for
    ever. `done` is called with the number of images of each result.

    Raises:
        AecliError: a process was killed.

    """
    iterator = iter(batches)
    start = list(islice(iterator, 2))
    cores = usable_cores()
    if len(start) < 2 or cores < 2:
        for batch in chain(start, iterator):
            yield batch, function(batch)
            done(len(batch.images))
        return
    # Not forked: the threads of a progress bar may hold locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(cores, context, _exit_with_parent)
    waiting: deque[tuple[Batch, Future[Result]]] = deque()
    try:
        for next_batch in chain(start, iterator, repeat(None)):
            if next_batch is not None:
                # Submitting a task may start a process.
                with _signals_blocked():
                    waiting.append((next_batch, pool.submit(function, next_batch)))
            # Batches that were read ahead take memory.
            if len(waiting) > 2 * cores or next_batch is None:
                batch, future = waiting.popleft()
                yield batch, future.result()
                done(len(batch.images))
            if not waiting:
                return
    except BrokenProcessPool as error:
        raise AecliError("a process that decoded images was killed: is memory short?") from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM; processes started meanwhile inherit that and never see them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit_with_parent() -> None:
    """Make a worker exit when its parent does, however the parent ends."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _size(image: EncodedImage) -> int:
    if isinstance(image.data, bytes):
        return len(image.data)
    try:
        return image.data.stat().st_size
    except OSError as error:
        raise InputError(f"cannot look at {image.name}: {error.strerror or error}") from error


def _read_info(encoded: EncodedImage) -> ImageInfo:
    with _opened(encoded) as image:
        gray = image.mode in _GRAY_MODES
        if image.mode == "P" and image.palette is not None:
            colors = np.frombuffer(image.palette.tobytes(), np.uint8).reshape(-1, 3)
            gray = bool((colors == colors[:, :1]).all())
        # Orientations 5 to 8 are rotated by 90 degrees.
        is_rotated = image.getexif().get(0x0112, 1) >= 5
        size = image.size if is_rotated else (image.height, image.width)
        return ImageInfo(gray, size)


def _decode(encoded: EncodedImage, *, gray: bool, size: tuple[int, int]) -> Images:
    from PIL import Image, ImageOps

    with _opened(encoded) as opened:
        image: Image.Image = ImageOps.exif_transpose(opened)
        if image.mode in ("I", "F"):
            raise InputError(f"{encoded.name} has 32 bits per pixel: expected 8 or 16")
        if image.mode.startswith("I;16"):
            # 0..65535 to 0..255.
            image = Image.fromarray((np.asarray(image).astype(np.int64) // 257).astype(np.uint8))
        if image.has_transparency_data:
            solid = image.convert("RGBA")
            black = Image.new("RGBA", solid.size, "black")
            image = Image.alpha_composite(black, solid)
        image = image.convert("L" if gray else "RGB")
        if image.size != size[::-1]:
            image = image.resize((size[1], size[0]), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
        return pixels[..., np.newaxis] if gray else pixels


@contextmanager
def _opened(encoded: EncodedImage) -> Iterator["Image"]:
    """Open an image; Pillow's errors become an `InputError` that names it."""
    from PIL import Image, UnidentifiedImageError

    name, data = encoded
    if isinstance(data, Path) and (kind_of(data) != "file" or not data.is_file()):
        raise InputError(f"{name} is not a file: expected an image")
    try:
        # Pillow's warnings, of large images or odd metadata, are not a reason to stop.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image,
        ):
            yield image
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is refused: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{name} is not an image that can be read") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise InputError(f"{name} is a damaged image: {error}") from error
