"""Open the files of a data set: regular ones, that stay as they are while they are read."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from aecli.errors import InputError
from aecli.files import open_regular


class FileState(NamedTuple):
    """What changes when the content of a file does."""

    size: int
    inode: int
    modified: int
    changed: int


def state_of(file: IO[bytes]) -> FileState:
    """Return the state of an open file."""
    state = os.fstat(file.fileno())
    return FileState(state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns)


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read its bytes; it must stay as it is until the end.

    Raises:
        InputError: it is not a regular file, cannot be read, or was changed meanwhile.

    """
    try:
        with open_regular(path) as file:
            before = state_of(file)
            yield file
            if state_of(file) != before:
                raise changed(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


class DamagedSpan(InputError):
    """The bytes of a span are others than the span says."""


class Span(NamedTuple):
    """Data within a file: `size` bytes, stored from `offset` on, or deflated to `packed` bytes."""

    path: Path
    offset: int
    size: int
    packed: int | None = None


# What of a deflated span is enough for its first bytes.
_START_BYTES = 4096


def read_span(span: Span, name: str, most: int | None = None) -> bytes:
    """Return the bytes of a span, or the first `most` of them; `name` is what errors call it.

    Never more bytes are made than the span says that it has.

    Raises:
        DamagedSpan: they are others than the span says.
        InputError: they cannot be read.

    """
    held = span.size if span.packed is None else span.packed
    size = span.size if most is None else min(most, span.size)
    if most is not None:
        held = min(held, size if span.packed is None else _START_BYTES)
    with reading(span.path) as file:
        data = os.pread(file.fileno(), held, span.offset)
    if len(data) != held:
        raise DamagedSpan(f"{name} is truncated: it ends beyond the end of its file")
    if span.packed is None:
        return data
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # Without a limit where that is 0.
        found = unpacking.decompress(data, size + 1)
    except zlib.error as error:
        raise DamagedSpan(f"{name} is damaged: {error}") from error
    if most is not None:
        return found[:size]
    if len(found) != size or not unpacking.eof:
        raise DamagedSpan(f"{name} is damaged: it is longer or shorter than its {size:,} bytes")
    return found


def first_bytes(data: Path | Span, count: int = 8) -> bytes:
    """Return the first bytes of a file, or of a span of one.

    Raises:
        InputError: it is not a regular file, or cannot be read.

    """
    if isinstance(data, Span):
        return read_span(data, str(data.path), count)
    with reading(data) as file:
        return file.read(count)


def changed(path: Path) -> InputError:
    """Return the error that says that a file was changed."""
    return InputError(f"{path} was changed while it was read: start again")
