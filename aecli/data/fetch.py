"""Files from the network, kept only if their content is the one that is known."""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from aecli import files
from aecli.data.progress import Bar
from aecli.errors import AecliError

if TYPE_CHECKING:
    import requests

MIRROR_VARIABLE = "AECLI_MIRROR"
# Seconds without an answer or without data.
_PATIENCE = 15
_PIECE = 2**14


@dataclass(frozen=True)
class RemoteFile:
    """A file by its content once it is unpacked: mirrors pack it in ways of their own."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Remote:
    """Files that mirrors have: each gzipped, as `NAME.gz`, or all in one `archive`, a `.tar.gz`.

    In an archive a file is the member `folder/NAME`.
    """

    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    archive: str | None = None
    folder: str = ""

    @property
    def size(self) -> int:
        """The size in bytes of all files."""
        return sum(file.size for file in self.files)


class _BadMirror(Exception):
    """This mirror does not give what it should; another one may."""


def fetch(remote: Remote, folder: Path, bar: Bar) -> None:
    """Put the files that a folder lacks into it, from the first mirror that has them.

    They take their names one by one, in the order of `remote.files`, once they are whole and
    checked. Another process that fetches into the same folder is waited for.

    Raises:
        AecliError: no mirror gave a file, or it cannot be written.

    """
    mirrors = remote.mirrors
    if os.environ.get(MIRROR_VARIABLE):
        mirrors = (os.environ[MIRROR_VARIABLE].rstrip("/") + "/",)
    parent = folder.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _alone(parent / f".{folder.name}.lock", bar):
            # What a process left behind that was killed; it held the lock.
            for path in (*parent.glob(f".{folder.name}.*.tmp"), *folder.glob(".*.tmp")):
                path.unlink()
            missing = [file for file in remote.files if not (folder / file.name).is_file()]
            if remote.archive is None:
                for file in missing:
                    _try(mirrors, f"{file.name}.gz", partial(_file, file, folder, bar))
            elif missing:
                _try(mirrors, remote.archive, partial(_archive, remote, folder, bar))
    except _BadMirror as error:
        names = ", ".join(file.name for file in missing)
        packed = " (or .gz)" if remote.archive is None else ""
        raise AecliError(f"{error}; to do it by hand put {names}{packed} into {folder}") from error
    except OSError as error:
        raise AecliError(f"cannot write into {parent}: {error.strerror or error}") from error


@contextmanager
def _alone(path: Path, bar: Bar) -> Iterator[None]:
    """Wait until no other process holds this lock, and hold it."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    with bar("waiting for another process that fetches this", 0) as advance:
        while not lock.is_locked:
            with suppress(Timeout):
                lock.acquire(timeout=0.5)
            advance(0)
    try:
        yield
    finally:
        lock.release()


def _try(mirrors: Sequence[str], name: str, attempt: Callable[[str], None]) -> None:
    """Call `attempt` with the address at each mirror until one gives what it should."""
    reasons = []
    for mirror in mirrors:
        try:
            attempt(mirror + name)
        except _BadMirror as error:
            reasons.append(f"{mirror}{name}: {error}")
        else:
            return
    raise _BadMirror(f"cannot fetch {name} ({'; '.join(reasons)})")


def _file(file: RemoteFile, folder: Path, bar: Bar, url: str) -> None:
    with _downloaded(url, folder, 2 * file.size, bar) as packed:
        start = packed.read(2)
        packed.seek(0)
        with gzip.open(packed) if start == b"\x1f\x8b" else packed as content:
            _keep(content, file, folder)


def _archive(remote: Remote, folder: Path, bar: Bar, url: str) -> None:
    wanted = {f"{remote.folder}/{file.name}": file for file in remote.files}
    # Members are read, never extracted: their paths have no say in where anything goes.
    with (
        _downloaded(url, folder, 2 * remote.size, bar) as packed,
        _unpacking(),
        tarfile.open(fileobj=packed, mode="r:gz") as archive,
    ):
        for member in archive:
            file = wanted.pop(member.name, None) if member.isfile() else None
            content = archive.extractfile(member) if file else None
            if file and content:
                _keep(content, file, folder)
    if wanted:
        raise _BadMirror(f"no {', '.join(wanted)} in it")


def _keep(content: IO[bytes] | gzip.GzipFile, file: RemoteFile, folder: Path) -> None:
    """Write a file of the content that is known, or nothing."""
    digest = hashlib.sha256()
    size = 0
    with files.writing(folder / file.name) as kept:
        # A byte too many is enough to tell: the terabytes of a bomb are never unpacked.
        while size <= file.size:
            with _unpacking():
                piece = content.read(min(_PIECE, file.size + 1 - size))
            if not piece:
                break
            size += len(piece)
            digest.update(piece)
            kept.write(piece)
        if (size, digest.hexdigest()) != (file.size, file.sha256):
            raise _BadMirror(
                f"not the {file.name} that is known: expected {file.size:,} bytes of SHA-256 "
                f"{file.sha256[:12]}..., got {size:,} of {digest.hexdigest()[:12]}..."
            )


@contextmanager
def _unpacking() -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise _BadMirror(f"damaged: {error}") from error


@contextmanager
def _downloaded(url: str, folder: Path, most: int, bar: Bar) -> Iterator[IO[bytes]]:
    """Download at most so many bytes to a temporary file in the folder; give it, read from 0."""
    import tempfile

    import requests

    with tempfile.NamedTemporaryFile(
        dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"
    ) as file:
        try:
            with requests.get(
                url, stream=True, timeout=_PATIENCE, hooks={"response": _refuse_less_safe}
            ) as response:
                response.raise_for_status()
                length = int(response.headers.get("content-length", 0))
                name = url.rpartition("/")[2]
                with bar(f"fetching {name}", length, in_bytes=True) as advance:
                    for piece in response.iter_content(_PIECE):
                        file.write(piece)
                        advance(len(piece))
                        if file.tell() > most:
                            raise _BadMirror(f"more than {most:,} bytes")
        except (requests.RequestException, ValueError) as error:
            raise _BadMirror(_reason(error)) from error
        file.seek(0)
        yield file


def _refuse_less_safe(response: "requests.Response", **settings: Any) -> None:
    """Raise where an https address leads on to one without."""
    target = response.headers.get("location", "") if response.is_redirect else ""
    if response.url.startswith("https:") and target.lower().startswith("http:"):
        raise _BadMirror(f"redirects from https to {target}")


def _reason(error: Exception) -> str:
    """Return what is wrong, without the words of four libraries around it."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be trusted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)
