"""A cache of decoded images, keyed by the content of the files that they come from."""

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
    read_info,
)
from aecli.data.progress import Bar
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.npy import StoredArray, open_npy, write_header

# Raise it when the same files are decoded to different pixels.
_VERSION = 1
# A file may change twice within the resolution of its time stamps.
_SETTLED_SECONDS = 2.0

ReadImages = Callable[[], Iterable[EncodedImage]]


def decode_once(
    paths: Sequence[Path], read: ReadImages, count: int, source: Source, bar: Bar
) -> StoredArray:
    """Return the images in the files `paths`, uint8 (n, h, w, c), in a file of the cache folder.

    They are decoded unless the cache has them. `read` yields their `count` encoded images. The
    images are grey if all of them are, or with `source.grayscale`, else RGB; with `source.size`
    they are stretched to it.

    Raises:
        InputError: an image cannot be read, or the sizes differ and `source.size` is not set.
        AecliError: the cache folder cannot be written.

    """
    import PIL

    folder = files.cache_folder() / "decoded"
    conversion = f"{_VERSION} {PIL.__version__} {source.size} {source.grayscale}"
    note, settled = _note(folder, paths, conversion)
    key = _read_note(note) or _content(paths, conversion)
    path = folder / f"{key}.npy"
    array = _open(path)
    if array is None:
        _decode_to_file(path, read, count, source, bar)
        if _note(folder, paths, conversion)[0] != note:
            # The pixels may be those of the old content or of the new one.
            files.remove(path)
            raise InputError(f"{source.location} was changed while it was decoded: try again")
        array = _open(path)
    if array is None:
        raise InputError(f"{path} was damaged while it was written: try again")
    if settled and _read_note(note) != key:
        files.write_bytes(note, key.encode())
    return array


def _open(path: Path) -> StoredArray | None:
    """Return the array of decoded images, or None if the file is missing or damaged."""
    try:
        array = open_npy(path)
    except InputError:
        return None
    return array if isinstance(array, StoredArray) and len(array.shape) == 4 else None


def _note(folder: Path, paths: Sequence[Path], conversion: str) -> tuple[Path, bool]:
    """Return the file that notes the content of files in their present state.

    It saves reading them all: the same path, size, time stamps and inode mean the same content.
    Also return whether the state is settled: old enough for time stamps to show every change.
    """
    digest = hashlib.sha256(conversion.encode())
    newest = 0
    for path in paths:
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


def _content(paths: Sequence[Path], conversion: str) -> str:
    """Return a digest of the content of files, in this order."""
    digest = hashlib.sha256(conversion.encode())
    for path in paths:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def _decode_to_file(path: Path, read: ReadImages, count: int, source: Source, bar: Bar) -> None:
    gray, size = _read_all_info(read, count, source, bar)
    shape = (count, *size, 1 if gray else 3)
    with files.writing(path, math.prod(shape)) as file, bar("decoding images", count) as advance:
        write_header(file, np.dtype(np.uint8), shape)
        file.flush()
        target = Target(file.name, file.tell(), size, gray)
        decode = partial(decode_into, target=target)
        with closing(in_parallel(decode, batched(read(), target.row_bytes), advance)) as results:
            for _ in results:
                pass


def _read_all_info(
    read: ReadImages, count: int, source: Source, bar: Bar
) -> tuple[bool, tuple[int, int]]:
    """Return whether the decoded images are grey, and their (height, width)."""
    gray, size, first, seen = True, source.size, "", 0
    with (
        bar("reading image sizes", count) as advance,
        closing(in_parallel(read_info, batched(read()), advance)) as results,
    ):
        for batch, infos in results:
            for image, info in zip(batch.images, infos, strict=True):
                size, first = size or info.size, first or image.name
                gray = gray and info.gray
                seen += 1
                if source.size is None and info.size != size:
                    raise InputError(
                        f"{image.name} has {_text(info.size)} pixels, {first} has {_text(size)}: "
                        f"expected one size; --size {_text(size)} stretches all images to it"
                    )
    if seen != count or size is None:
        raise InputError(f"{source.location} is damaged: expected {count:,} images, got {seen:,}")
    return source.grayscale or gray, size


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
