"""Open the files of a data set: regular ones, that stay as they are while they are read."""

import os
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


def first_bytes(path: Path, count: int = 8) -> bytes:
    """Return the first bytes of a file.

    Raises:
        InputError: it is not a regular file, or cannot be read.

    """
    with reading(path) as file:
        return file.read(count)


def changed(path: Path) -> InputError:
    """Return the error that says that a file was changed."""
    return InputError(f"{path} was changed while it was read: start again")
