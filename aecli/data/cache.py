"""Decoded images in the cache folder, found again by the content of the files they came from."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import platformdirs

from aecli import files
from aecli.data.decoding import EncodedImage, Look, batched, decode, in_parallel, look_at
from aecli.data.progress import Bar
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.npy import StoredArray, open_npy, write_npy

# To be raised when the same files would be decoded to other pixels.
_VERSION = 1
# A file may change twice within what its times can tell apart.
_SETTLED_SECONDS = 2.0

ReadImages = Callable[[], Iterable[EncodedImage]]


def cache_folder() -> Path:
    """Return the folder of all that can be made or fetched again."""
    return platformdirs.user_cache_path("aecli")


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

    folder = cache_folder() / "decoded"
    about = f"{_VERSION} {PIL.__version__} {source.size} {source.grayscale}"
    note, settled = _note(folder, kept_in, about)
    key = _read_note(note) or _content(kept_in, about)
    path = folder / f"{key}.npy"
    array = _open(path)
    if array is None:
        _decode_into(path, read, count, source, bar)
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
    looks: list[Look] = []
    with (
        bar("looking at images", count) as advance,
        closing(in_parallel(look_at, batched(read()))) as results,
    ):
        for batch in results:
            looks += batch
            advance(len(batch))
    if len(looks) != count:
        raise InputError(f"{source.location} is damaged: of {count:,} images {len(looks):,} came")
    first = looks[0]
    if source.size is None:
        for look in looks:
            if look.size != first.size:
                raise InputError(
                    f"{look.name} has {_text(look.size)} pixels, {first.name} has "
                    f"{_text(first.size)}: expected one size; --size {_text(first.size)} stretches "
                    "all images to it"
                )
    gray = source.grayscale or all(look.gray for look in looks)
    size = source.size or first.size
    shape = (count, *size, 1 if gray else 3)
    with (
        bar("decoding images", count) as advance,
        closing(
            in_parallel(partial(decode, gray=gray, size=size), batched(read()), done=advance)
        ) as blocks,
    ):
        write_npy(path, "uint8", shape, blocks)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
