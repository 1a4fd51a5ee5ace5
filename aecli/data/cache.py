"""Decoded images in the cache folder, found again by the content of the files they came from."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from aecli import files
from aecli.data.decoding import (
    EncodedImage,
    Target,
    batched,
    decode_into,
    in_parallel,
    look_at,
)
from aecli.data.progress import Bar
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.npy import StoredArray, open_npy, write_header

# To be raised when the same files would be decoded to other pixels.
_VERSION = 1
# A file may change twice within what its times can tell apart.
_SETTLED_SECONDS = 2.0

ReadImages = Callable[[], Iterable[EncodedImage]]


def decode_once(
    kept_in: Sequence[Path], read: ReadImages, count: int, source: Source, bar: Bar
) -> StoredArray:
    """Return the images that files hold, uint8 (n, h, w, c), in a file of the cache folder.

    They are decoded unless they have been before. `kept_in` are the files, `read` goes through
    their `count` encoded images. The images are grey if all of them are, or with
    `source.grayscale`, else RGB; with `source.size` they are stretched to it.

    Raises:
        InputError: an image cannot be read, or their sizes differ and `source.size` is not set.
        AecliError: the cache folder cannot be written.

    """
    import PIL

    folder = files.cache_folder() / "decoded"
    about = f"{_VERSION} {PIL.__version__} {source.size} {source.grayscale}"
    note, settled = _note(folder, kept_in, about)
    key = _read_note(note) or _content(kept_in, about)
    path = folder / f"{key}.npy"
    array = _open(path)
    if array is None:
        _decode_into(path, read, count, source, bar)
        if _note(folder, kept_in, about)[0] != note:
            # The pixels may be those of the old content or of the new.
            files.remove(path)
            raise InputError(f"{source.location} was changed while it was decoded: try again")
        array = _open(path)
    if array is None:
        raise InputError(f"{path} was damaged while it was written: try again")
    if settled and _read_note(note) != key:
        files.write_bytes(note, key.encode())
    return array


def _open(path: Path) -> StoredArray | None:
    """Return a decoded array, or None where there is none or it is damaged."""
    try:
        array = open_npy(path)
    except InputError:
        return None
    return array if isinstance(array, StoredArray) and len(array.shape) == 4 else None


def _note(folder: Path, kept_in: Sequence[Path], about: str) -> tuple[Path, bool]:
    """Return where the content of files in this state is noted, and whether the state is settled.

    It spares reading them all: the same path, size, times and number on disk mean the same bytes.
    """
    digest = hashlib.sha256(about.encode())
    newest = 0
    for path in kept_in:
        try:
            state = path.stat()
        except OSError as error:
            raise InputError(f"cannot look at {path}: {error.strerror or error}") from error
        digest.update(bytes(path))
        digest.update(
            f"\0{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}\0".encode()
        )
        newest = max(newest, state.st_mtime_ns, state.st_ctime_ns)
    settled = time.time() - newest / 10**9 > _SETTLED_SECONDS
    return folder / f"{digest.hexdigest()}.note", settled


def _read_note(note: Path) -> str | None:
    try:
        return note.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _content(kept_in: Sequence[Path], about: str) -> str:
    """Return a digest of the content of files, in their order."""
    digest = hashlib.sha256(about.encode())
    for path in kept_in:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def _decode_into(path: Path, read: ReadImages, count: int, source: Source, bar: Bar) -> None:
    gray, size = _look_at_all(read, count, source, bar)
    shape = (count, *size, 1 if gray else 3)
    with files.writing(path, math.prod(shape)) as file, bar("decoding images", count) as advance:
        write_header(file, np.dtype(np.uint8), shape)
        file.flush()
        target = Target(file.name, file.tell(), size, gray)
        decode = partial(decode_into, target=target)
        with closing(in_parallel(decode, batched(read(), target.row_bytes), advance)) as results:
            for _ in results:
                pass


def _look_at_all(
    read: ReadImages, count: int, source: Source, bar: Bar
) -> tuple[bool, tuple[int, int]]:
    """Return whether the images become grey, and their (height, width)."""
    gray, size, first, seen = True, source.size, "", 0
    with (
        bar("looking at images", count) as advance,
        closing(in_parallel(look_at, batched(read()), advance)) as results,
    ):
        for batch, looks in results:
            for image, look in zip(batch.images, looks, strict=True):
                size, first = size or look.size, first or image.name
                gray = gray and look.gray
                seen += 1
                if source.size is None and look.size != size:
                    raise InputError(
                        f"{image.name} has {_text(look.size)} pixels, {first} has {_text(size)}: "
                        f"expected one size; --size {_text(size)} stretches all images to it"
                    )
    if seen != count or size is None:
        raise InputError(f"{source.location} is damaged: of {count:,} images {seen:,} came")
    return source.grayscale or gray, size


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
