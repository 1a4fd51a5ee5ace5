"""Download files, and keep them only if their content is the expected one."""

import gzip
import hashlib
import os
import queue
import re
import tarfile
import tempfile
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from aecli import files, signals
from aecli.data.progress import Advance, Bar
from aecli.errors import AecliError, InputError
from aecli.printable import one_line

if TYPE_CHECKING:
    import requests

MIRROR_VARIABLE = "AECLI_MIRROR"
# For one read from the network.
_TIMEOUT_SECONDS = 15
# For an answer to come, over all redirects and down to its last header, and then for each of its
# pieces: a server must send about 1 kB a second, so that its size limits the time of all.
_PATIENCE_SECONDS = 30.0
_PIECE_BYTES = 2**15
_CHUNK_BYTES = 2**14
# Chunks that have arrived and are not yet written.
_MOST_WAITING = 64
# Signals are seen after a wait of this length.
_SLICE_SECONDS = 0.2
_MOST_OF_A_NAME = 60


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


@dataclass(frozen=True)
class _Mirror:
    """Where files are: an address that may be shown, and the user and password, which may not.

    The characters of the last two stand for bytes.
    """

    address: str
    login: tuple[str, str] | None = field(default=None, repr=False)


class _BadMirror(Exception):
    """This mirror does not have the expected content; another one may."""


def fetch(remote: Remote, folder: Path, bar: Bar) -> None:
    """Download the files that a folder lacks into it, from the first mirror that has them.

    The variable AECLI_MIRROR names another mirror than those of `remote`; it may have a user and a
    password, which no message shows. Each file gets its name, in the order of `remote.files`, only
    when it is complete and checked. If another process is fetching into the same folder, this one
    waits for it.

    Raises:
        InputError: AECLI_MIRROR is not an address.
        AecliError: no mirror has a file, or it cannot be written.

    """
    mirrors = tuple(_Mirror(address) for address in remote.mirrors)
    if os.environ.get(MIRROR_VARIABLE):
        mirrors = (_chosen_mirror(os.environ[MIRROR_VARIABLE]),)
    parent = folder.parent
    try:
        created = files.make_folder(parent)
        with _locked(parent / f".{folder.name}.aecli.lock", created, bar):
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
        reason = f"{error.strerror or error}{files.room(error, folder, remote.size)}"
        raise AecliError(f"cannot write into {parent}: {reason}") from error


def _chosen_mirror(text: str) -> _Mirror:
    """Return the mirror that AECLI_MIRROR names.

    A user and a password in it are taken out at once, so that no message can have them.
    """
    address = text.rstrip("/") + "/"
    try:
        parts = urllib.parse.urlsplit(address)
        # Asked for, the port is checked.
        is_whole = bool(parts.hostname) and parts.port != 0 and not parts.query + parts.fragment
    except ValueError:
        is_whole = False
    if not is_whole or parts.scheme not in ("http", "https") or "@" in parts.path:
        # It is not shown: any part of it may be one of a password.
        raise InputError(
            f"{MIRROR_VARIABLE} is not the address of a mirror: expected https://HOST/PATH, or "
            "https://USER:PASSWORD@HOST/PATH with %2F, %3F, %23 and %40 for / ? # @ in a password"
        )
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = (
        urllib.parse.unquote_to_bytes(os.fsencode(part)).decode("latin-1")
        for part in login.partition(":")
    )
    address = urllib.parse.urlunsplit(parts._replace(netloc=host))
    return _Mirror(address, (user, password) if login else None)


@contextmanager
def _locked(path: Path, created: Sequence[Path], bar: Bar) -> Iterator[None]:
    """Hold a lock, after waiting until no other process holds it.

    Nothing of it is left, nor of the folders `created` for it where nothing went into them.
    """
    from filelock import FileLock, Timeout

    if files.kind_of(path) not in ("file", "nothing") or path.is_symlink():
        raise InputError(f"{path} is no lock of aecli: move it away")
    lock = FileLock(path)
    with (
        bar("waiting for another process that is fetching this", 0) as advance,
        files.where_supported(files.LOCKS),
    ):
        while not lock.is_locked:
            with suppress(Timeout):
                lock.acquire(timeout=_SLICE_SECONDS)
            advance(0)
    try:
        with signals.undoing(lambda: _tidy(path, created)):
            yield
    finally:
        _tidy(path, created)
        lock.release()


def _tidy(lock: Path, folders: Sequence[Path]) -> None:
    with suppress(OSError):
        lock.unlink(missing_ok=True)
        for folder in folders:
            folder.rmdir()


def _try_mirrors(
    mirrors: Sequence[_Mirror], name: str, attempt: Callable[[_Mirror, str], None]
) -> None:
    """Call `attempt` with each mirror and the name of a file there, until one succeeds."""
    reasons = []
    for mirror in mirrors:
        try:
            attempt(mirror, name)
        except _BadMirror as error:
            reasons.append(f"{mirror.address}{name}: {error}")
        else:
            return
    raise _BadMirror(f"cannot fetch {name} ({'; '.join(reasons)})")


def _fetch_file(file: RemoteFile, folder: Path, bar: Bar, mirror: _Mirror, name: str) -> None:
    with _downloaded(mirror, name, folder, 2 * file.size, bar) as packed:
        start = packed.read(2)
        packed.seek(0)
        with gzip.open(packed) if start == b"\x1f\x8b" else packed as content:
            _write_checked(content, file, folder)


def _fetch_archive(remote: Remote, folder: Path, bar: Bar, mirror: _Mirror, name: str) -> None:
    wanted = {f"{remote.folder}/{file.name}": file for file in remote.files}
    # Members are read, never extracted: their paths do not decide where anything is written.
    most = 2 * remote.size
    with (
        _downloaded(mirror, name, folder, most, bar) as packed,
        _unpacked(packed, folder, most, bar) as plain,
        _unpacking(),
        tarfile.open(fileobj=plain, mode="r:") as archive,
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
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError, OverflowError) as error:
        # The last is tarfile's, for impossible sizes.
        raise _BadMirror(f"damaged: {one_line(str(error), _MOST_OF_A_NAME)}") from error


@contextmanager
def _unpacked(packed: IO[bytes], folder: Path, most: int, bar: Bar) -> Iterator[IO[bytes]]:
    """Unpack at most `most` bytes to a temporary file; yield it, at its beginning.

    A tar archive that stays packed would be unpacked as far as the sizes in it say.
    """
    with tempfile.TemporaryFile(dir=folder.parent) as file:
        with (
            _unpacking(),
            gzip.open(packed) as content,
            bar("unpacking", most // 2, in_bytes=True) as advance,
        ):
            while chunk := content.read(_PIECE_BYTES):
                file.write(chunk)
                advance(len(chunk))
                if file.tell() > most:
                    raise _BadMirror(f"unpacks to more than {most:,} bytes")
        file.seek(0)
        yield file


@contextmanager
def _downloaded(
    mirror: _Mirror, name: str, folder: Path, most: int, bar: Bar
) -> Iterator[IO[bytes]]:
    """Download at most `most` bytes to a temporary file; yield it, at its beginning."""
    with tempfile.TemporaryFile(dir=folder.parent) as file:
        download = _Download(mirror, name)
        with bar(f"asking for {name}", 0) as advance:
            length = download.wait_for_answer(advance)
        with bar(f"fetching {name}", length, in_bytes=True) as advance:
            for chunk in download.chunks(advance):
                file.write(chunk)
                advance(len(chunk))
                if file.tell() > most:
                    raise _BadMirror(f"more than {most:,} bytes")
        file.seek(0)
        yield file


class _Download:
    """A request in a thread of its own: whatever a server does, the caller does not wait for it.

    A server may send its headers, or its content, a byte at a time, so that no read ever takes
    long. Where the caller gives up, the thread ends with its next read, or with the process.
    """

    def __init__(self, mirror: _Mirror, name: str) -> None:
        # The length that the answer promises, then its content in chunks, then None.
        self._arrived: queue.Queue[int | bytes | BaseException | None] = queue.Queue(_MOST_WAITING)
        self._given_up = threading.Event()
        # The seconds for which the caller has waited for an answer, or for the present piece.
        self._waited = 0.0
        threading.Thread(
            target=self._request, args=(mirror, name), name="aecli-fetch", daemon=True
        ).start()

    def wait_for_answer(self, advance: Advance) -> int:
        """Return the number of bytes that the server promises, 0 if it promises none.

        Raises:
            _BadMirror: it does not answer, or with an error.

        """
        try:
            promised = self._next(advance, "no answer")
        except BaseException:
            self._given_up.set()
            raise
        return promised if isinstance(promised, int) else 0

    def chunks(self, advance: Advance) -> Iterator[bytes]:
        """Yield the content.

        Raises:
            _BadMirror: it breaks off, or is slower than anybody would wait for.

        """
        piece, self._waited = 0, 0.0
        try:
            while isinstance(chunk := self._next(advance, "too slow"), bytes):
                yield chunk
                piece += len(chunk)
                if piece >= _PIECE_BYTES:
                    piece, self._waited = 0, 0.0
        finally:
            self._given_up.set()

    def _next(self, advance: Advance, fault: str) -> int | bytes | None:
        """Return what arrives next; `_BadMirror` says which fault it is if that takes too long."""
        while self._waited < _PATIENCE_SECONDS:
            began = time.monotonic()
            try:
                arrived = self._arrived.get(timeout=_SLICE_SECONDS)
            except queue.Empty:
                advance(0)
                continue
            finally:
                self._waited += time.monotonic() - began
            if isinstance(arrived, BaseException):
                raise arrived
            return arrived
        raise _BadMirror(fault)

    def _request(self, mirror: _Mirror, name: str) -> None:
        try:
            self._receive(mirror, name)
        except BaseException as error:
            # Raised to the caller.
            self._put(error)

    def _receive(self, mirror: _Mirror, name: str) -> None:
        import requests
        import urllib3

        try:
            with requests.get(
                mirror.address + name,
                stream=True,
                timeout=_TIMEOUT_SECONDS,
                auth=mirror.login,
                # What is packed on the way would be unpacked without bounds.
                headers={"Accept-Encoding": "identity"},
                hooks={"response": _refuse_downgrade},
            ) as response:
                response.raise_for_status()
                promised = response.headers.get("content-length", "")
                self._put(int(promised) if promised.isdecimal() and len(promised) < 16 else 0)
                for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                    if not self._put(chunk):
                        return
                self._put(None)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as e:
            raise _BadMirror(_reason(e)) from e

    def _put(self, item: int | bytes | BaseException | None) -> bool:
        """Hand something over; return whether anybody waits for more."""
        while not self._given_up.is_set():
            with suppress(queue.Full):
                self._arrived.put(item, timeout=_SLICE_SECONDS)
                return True
        return False


def _refuse_downgrade(response: "requests.Response", **settings: Any) -> None:
    """Raise `_BadMirror` for a redirect from https to http."""
    target = response.headers.get("location", "") if response.is_redirect else ""
    if response.url.startswith("https:") and target.lower().startswith("http:"):
        response.close()
        raise _BadMirror(f"redirects from https to {one_line(target, _MOST_OF_A_NAME)}")


def _reason(error: Exception) -> str:
    """Return the reason of a failed download, without the wrapping of four libraries."""
    import requests
    import urllib3

    if isinstance(error, requests.HTTPError) and error.response is not None:
        phrase = f"{error.response.status_code} {error.response.reason}"
        return one_line(phrase, _MOST_OF_A_NAME)
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be trusted"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    # The address of a proxy may have a password too.
    return one_line(re.sub(r"//\S*@", "//", str(error)), _MOST_OF_A_NAME)
