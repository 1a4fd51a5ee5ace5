"""Download files, and keep them only if their content is the expected one."""

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
# Without a response or without data.
_TIMEOUT_SECONDS = 15
_CHUNK_BYTES = 2**14


@dataclass(frozen=True)
class RemoteFile:
    """A file, identified by its content when unpacked: each mirror may compress it differently."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Remote:
    """Files on mirrors: each gzipped, as `NAME.gz`, or all in one `archive`, a `.tar.gz`.

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
    """This mirror does not have the expected content; another one may."""


def fetch(remote: Remote, folder: Path, bar: Bar) -> None:
    """Download the files that a folder lacks into it, from the first mirror that has them.

    Each file gets its name, in the order of `remote.files`, only when it is complete and checked.
    If another process is fetching into the same folder, this one waits for it.

    Raises:
        AecliError: no mirror has a file, or it cannot be written.

    """
    mirrors = remote.mirrors
    if os.environ.get(MIRROR_VARIABLE):
        mirrors = (os.environ[MIRROR_VARIABLE].rstrip("/") + "/",)
    parent = folder.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent / f".{folder.name}.lock", bar):
            # The files of a process that was killed: nobody else has the lock.
            for path in (*parent.glob(f".{folder.name}.*.tmp"), *folder.glob(".*.tmp")):
                path.unlink()
            missing = [file for file in remote.files if not (folder / file.name).is_file()]
            if remote.archive is None:
                for file in missing:
                    _try_mirrors(
                        mirrors, f"{file.name}.gz", partial(_fetch_file, file, folder, bar)
                    )
            elif missing:
                _try_mirrors(mirrors, remote.archive, partial(_fetch_archive, remote, folder, bar))
    except _BadMirror as error:
        names = ", ".join(file.name for file in missing)
        packed = " (or .gz)" if remote.archive is None else ""
        raise AecliError(f"{error}; to do it by hand put {names}{packed} into {folder}") from error
    except OSError as error:
        raise AecliError(f"cannot write into {parent}: {error.strerror or error}") from error


@contextmanager
def _locked(path: Path, bar: Bar) -> Iterator[None]:
    """Hold a lock, after waiting until no other process holds it."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    with bar("waiting for another process that is fetching this", 0) as advance:
        while not lock.is_locked:
            with suppress(Timeout):
                lock.acquire(timeout=0.5)
            advance(0)
    try:
        yield
    finally:
        lock.release()


def _try_mirrors(mirrors: Sequence[str], name: str, attempt: Callable[[str], None]) -> None:
    """Call `attempt` with the URL of the file `name` on each mirror, until one succeeds."""
    reasons = []
    for mirror in mirrors:
        try:
            attempt(mirror + name)
        except _BadMirror as error:
            reasons.append(f"{mirror}{name}: {error}")
        else:
            return
    raise _BadMirror(f"cannot fetch {name} ({'; '.join(reasons)})")


def _fetch_file(file: RemoteFile, folder: Path, bar: Bar, url: str) -> None:
    with _downloaded(url, folder, 2 * file.size, bar) as packed:
        start = packed.read(2)
        packed.seek(0)
        with gzip.open(packed) if start == b"\x1f\x8b" else packed as content:
            _write_checked(content, file, folder)


def _fetch_archive(remote: Remote, folder: Path, bar: Bar, url: str) -> None:
    wanted = {f"{remote.folder}/{file.name}": file for file in remote.files}
    # Members are read, never extracted: their paths do not decide where anything is written.
    with (
        _downloaded(url, folder, 2 * remote.size, bar) as packed,
        _unpacking(),
        tarfile.open(fileobj=packed, mode="r:gz") as archive,
    ):
        for member in archive:
            file = wanted.pop(member.name, None) if member.isfile() else None
            content = archive.extractfile(member) if file else None
            if file and content:
                _write_checked(content, file, folder)
    if wanted:
        raise _BadMirror(f"no {', '.join(wanted)} in it")


def _write_checked(content: IO[bytes] | gzip.GzipFile, file: RemoteFile, folder: Path) -> None:
    """Write a file, if its content is the expected one."""
    digest = hashlib.sha256()
    size = 0
    with files.writing(folder / file.name) as kept:
        # One byte too many shows that it is too long: a gzip bomb is never unpacked.
        while size <= file.size:
            with _unpacking():
                chunk = content.read(min(_CHUNK_BYTES, file.size + 1 - size))
            if not chunk:
                break
            size += len(chunk)
            digest.update(chunk)
            kept.write(chunk)
        if (size, digest.hexdigest()) != (file.size, file.sha256):
            raise _BadMirror(
                f"wrong content of {file.name}: expected {file.size:,} bytes with SHA-256 "
                f"{file.sha256[:12]}..., got {size:,} with {digest.hexdigest()[:12]}..."
            )


@contextmanager
def _unpacking() -> Iterator[None]:
    """Raise `_BadMirror` for damaged gzip or tar data."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise _BadMirror(f"damaged: {error}") from error


@contextmanager
def _downloaded(url: str, folder: Path, most: int, bar: Bar) -> Iterator[IO[bytes]]:
    """Download at most `most` bytes to a temporary file; yield it, at its beginning."""
    import tempfile

    import requests

    with tempfile.NamedTemporaryFile(
        dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"
    ) as file:
        try:
            with requests.get(
                url, stream=True, timeout=_TIMEOUT_SECONDS, hooks={"response": _refuse_downgrade}
            ) as response:
                response.raise_for_status()
                length = int(response.headers.get("content-length", 0))
                name = url.rpartition("/")[2]
                with bar(f"fetching {name}", length, in_bytes=True) as advance:
                    for chunk in response.iter_content(_CHUNK_BYTES):
                        file.write(chunk)
                        advance(len(chunk))
                        if file.tell() > most:
                            raise _BadMirror(f"more than {most:,} bytes")
        except (requests.RequestException, ValueError) as error:
            raise _BadMirror(_reason(error)) from error
        file.seek(0)
        yield file


def _refuse_downgrade(response: "requests.Response", **settings: Any) -> None:
    """Raise `_BadMirror` for a redirect from https to http."""
    target = response.headers.get("location", "") if response.is_redirect else ""
    if response.url.startswith("https:") and target.lower().startswith("http:"):
        raise _BadMirror(f"redirects from https to {target}")


def _reason(error: Exception) -> str:
    """Return the reason of a failed download, without the wrapping of four libraries."""
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
