"""What the cache folder keeps from one command to the next, believed only where it is our own.

A folder there is for the user alone. Its small files are sealed: each begins with a code that takes
a secret of the user, so that a file that is damaged, foreign, or another's under a new name counts
as missing.
"""

import errno
import hmac
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from aecli import files
from aecli.errors import AecliError, InputError

_SECRET = "key"
_SECRET_BYTES = 32
_SEAL_BYTES = 32
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeptFolder:
    """A folder of the cache that only its user can write; the secret is made for the first file."""

    def __init__(self, path: Path, secret: Path) -> None:
        """Take a folder, and the file of the secret."""
        self.path = path
        self._secret_path = secret
        self._secret = _read_secret(secret)

    def read(self, name: str) -> bytes | None:
        """Return what `write` put into a file, or None where that is missing."""
        try:
            with files.open_regular(self.path / name) as file:
                content = file.read() if is_ours(file) else b""
        except (OSError, InputError):
            return None
        seal, data = content[:_SEAL_BYTES], content[_SEAL_BYTES:]
        if self._secret is None or not hmac.compare_digest(seal, _seal(self._secret, name, data)):
            return None
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            AecliError: the operating system refused.

        """
        if self._secret is None:
            try:
                self._secret = _make_secret(self._secret_path)
            except OSError as error:
                reason = f"{error.strerror or error}{files.room(error, self._secret_path)}"
                raise AecliError(f"cannot write {self._secret_path}: {reason}") from error
        files.write_bytes(self.path / name, _seal(self._secret, name, data) + data)
        make_private(self.path / name)

    def mark_used(self, name: str) -> None:
        """Set the time of a file to now: those that were not used for longest go first."""
        with suppress(OSError):
            os.utime(self.path / name)


def kept_folder(name: str) -> KeptFolder:
    """Return a folder of the cache; it is created where it is missing.

    Raises:
        OSError: it cannot be created, or it is not the user's alone.

    """
    root = files.cache_folder()
    if not root.is_absolute():
        raise OSError(errno.ENOENT, "no home folder is known")
    root.mkdir(parents=True, exist_ok=True)
    folder = root / name
    with suppress(FileExistsError):
        folder.mkdir(stat.S_IRWXU)
    state = folder.stat()
    if not stat.S_ISDIR(state.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if state.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user")
    # In a sticky folder others cannot replace what is ours.
    if state.st_mode & _WRITABLE_BY_OTHERS and not state.st_mode & stat.S_ISVTX:
        raise PermissionError(errno.EPERM, "others can write to it, chmod go-w ends that")
    return KeptFolder(folder, root / _SECRET)


def is_ours(file: IO[bytes]) -> bool:
    """Return whether an open file is the user's, and others cannot write it."""
    state = os.fstat(file.fileno())
    return state.st_uid == os.geteuid() and not state.st_mode & _WRITABLE_BY_OTHERS


def make_private(path: Path) -> None:
    """Take a file of ours from others, whatever the user's files are like otherwise."""
    with suppress(OSError):
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)


def _seal(secret: bytes, name: str, data: bytes) -> bytes:
    return hmac.digest(secret, f"{name}\0".encode() + data, "sha256")


def _read_secret(path: Path) -> bytes | None:
    try:
        with files.open_regular(path) as file:
            state = os.fstat(file.fileno())
            secret = file.read(_SECRET_BYTES + 1)
    except (OSError, InputError):
        return None
    is_private = state.st_uid == os.geteuid() and not state.st_mode & _FOR_OTHERS
    is_whole = len(secret) == _SECRET_BYTES and not path.is_symlink()
    return secret if is_private and is_whole else None


def _make_secret(path: Path) -> bytes:
    """Write a secret where there is none; return it, or that of a process that was quicker."""
    import secrets
    import tempfile

    path.unlink(missing_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
        except OSError:
            # A file system without links: the last process is the one that counts.
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    secret = _read_secret(path)
    if secret is None:
        raise PermissionError(errno.EPERM, f"{path.name} beside it is not the user's alone")
    return secret
