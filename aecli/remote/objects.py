"""Objects elsewhere: requests that are tried again, and reads of several parts at a time."""

import errno
import io
import os
import random
import tempfile
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from aecli import files
from aecli.addresses import HTTP
from aecli.errors import AecliError, InputError
from aecli.remote.store import (
    ChangedError,
    MissingError,
    ObjectState,
    RefusedError,
    Store,
    TransientError,
    changed,
)

# What is asked for at a time, and how many of these at once: enough for a fast network far away.
PART_BYTES = 2**22
AT_ONCE = 8
# A read that goes on where the last one ended has the next parts asked for ahead; a gap of up to a
# part is no more than a request costs.
_GAP_BYTES = PART_BYTES
# What an open file of an object is read by.
_BUFFER_BYTES = 2**16
# Waits grow from the first to the longest one, each by chance up to half shorter, so that many
# readers do not come back together.
_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 10.0
# How long a request may be without any progress, and the first one of an object, which shows
# whether its server is there at all.
_PATIENCE_SECONDS = 60.0
_FIRST_PATIENCE_SECONDS = 20.0
# When a part is fetched for this time it is kept on disk: to write it takes as long as to fetch it
# twice, so that what is read a few times never pays for it, and what is read often pays once.
_KEPT_AT = 3
# Parts of larger objects are never kept, nor where the disk has not room for twice as much.
_MOST_KEPT_BYTES = 20_000_000_000

Result = TypeVar("Result")

_sleep = time.sleep

_STORES: dict[str, Store] = {}
_STARTING = threading.Lock()


def store_of(address: str) -> Store:
    """Return the store of an address.

    Raises:
        InputError: the library that it needs is not installed.

    """
    scheme = address.partition("://")[0]
    with _STARTING:
        if scheme not in _STORES:
            if scheme in HTTP:
                from aecli.remote.http import WebStore

                _STORES[scheme] = WebStore()
            else:
                from aecli.remote.buckets import BucketStore

                _STORES[scheme] = BucketStore(scheme)
        return _STORES[scheme]


def look(address: str) -> ObjectState | None:
    """Return the state of the object at an address; None where there is no object.

    Raises:
        InputError: it cannot be asked for.
        AecliError: its server does not answer.

    """
    store = store_of(address)
    try:
        return _persistent(address, lambda: store.look(address), patience=_FIRST_PATIENCE_SECONDS)
    except MissingError:
        return None


def below(address: str) -> Mapping[str, ObjectState]:
    """Return the objects below an address, by their names there; raises as `look`."""
    store = store_of(address)
    try:
        return _persistent(address, lambda: store.below(address), patience=_FIRST_PATIENCE_SECONDS)
    except MissingError:
        return {}


def upload(path: Path, address: str, *, replace: bool) -> None:
    """Make a file an object, which appears whole or not at all.

    Raises:
        InputError: it is refused, or without `replace`, an object is there.
        AecliError: its server does not answer.

    """
    store = store_of(address)
    try:
        _persistent(address, lambda: store.write(path, address, replace=replace))
    except FileExistsError as error:
        raise exists(address) from error
    except MissingError as error:
        raise InputError(f"cannot write {address}: there is no such bucket") from error


def remove(address: str) -> None:
    """Remove an object if it is there; raises as `upload`."""
    store = store_of(address)
    with suppress(MissingError):
        _persistent(address, lambda: store.remove(address))


def exists(address: str) -> InputError:
    """Return the error that says that an object is there already."""
    return InputError(f"{address} exists already: --force replaces it, -o names another")


class RemoteFile:
    """An object, read by ranges, always in the state that it had when it was opened.

    Parts arrive several at a time, and ahead of a reader that goes on where it ended. Those that
    are read again and again are kept on the disk, where it has room, until the process ends.
    """

    def __init__(
        self, address: str, state: ObjectState | None = None, *, keep: bool = True
    ) -> None:
        """Take an object in a state, that of now if it is None; `keep` keeps parts on disk.

        Raises:
            InputError: there is none, or it cannot be read.
            AecliError: its server does not answer.

        """
        self.address = address
        found = state or look(address)
        if found is None:
            raise InputError(f"no such object: {address}")
        self.state = found
        self._store = store_of(address)
        self._reading = threading.Lock()
        self._parts: dict[int, Future[bytearray]] = {}
        # Its threads start when they are needed.
        self._pool = ThreadPoolExecutor(AT_ONCE, "aecli-remote")
        # Where the last read ended; before the first one nothing goes on.
        self._next: int | None = None
        self._kept = _place_for(found.size) if keep else None
        if self._kept is not None:
            weakref.finalize(self, os.close, self._kept)
        # What is to be read next, and what of it is on its way.
        self._announced: Iterator[tuple[int, int]] = iter(())
        self._coming: deque[tuple[int, int, list[Future[bytearray]]]] = deque()
        self._have: set[int] = set()
        self._times: Counter[int] = Counter()

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.state.size

    def open(self) -> IO[bytes]:
        """Return it as an open file, for libraries that read such."""
        return io.BufferedReader(_OpenFile(self), _BUFFER_BYTES)

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`; raises as `read_into`."""
        data = bytearray(max(0, min(stop, self.size) - start))
        self.read_into(memoryview(data), start)
        return bytes(data)

    def read_into(self, target: memoryview, start: int) -> None:
        """Read as many bytes as `target` has, from `start` on.

        Raises:
            InputError: the object was removed, or may no longer be read.
            AecliError: it was changed, or its server does not answer.

        """
        with self._reading:
            self._read_into(target, start)

    def announce(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Say which bytes are to be read, from first to end each, in this order.

        They lie anywhere; several are asked for at a time, and ahead of their reader. Other reads
        may come between them.
        """
        with self._reading:
            for _, _, pieces in self._coming:
                for piece in pieces:
                    piece.cancel()
            self._coming.clear()
            self._announced = iter(ranges)
            self._ask_for_announced()

    def _ask_for_announced(self) -> None:
        while sum(stop - start for start, stop, _ in self._coming) < AT_ONCE * PART_BYTES:
            following = next(self._announced, None)
            if following is None:
                return
            start, stop = following
            # Of longer ones several parts are asked for at a time anyway.
            if stop - start <= AT_ONCE * PART_BYTES:
                pieces = [
                    self._pool.submit(self.fetch, first, min(first + PART_BYTES, stop))
                    for first in range(start, stop, PART_BYTES)
                ]
                self._coming.append((start, stop, pieces))

    def _read_into(self, target: memoryview, start: int) -> None:
        stop = start + len(target)
        if self._coming and self._coming[0][:2] == (start, stop):
            _, _, pieces = self._coming.popleft()
            self._ask_for_announced()
            for number, piece in enumerate(pieces):
                first = number * PART_BYTES
                target[first : first + PART_BYTES] = piece.result()
            return
        goes_on = self._next is not None and 0 <= start - self._next <= _GAP_BYTES
        self._next = stop
        parts = range(start // PART_BYTES, -(-stop // PART_BYTES))
        if self._kept is not None and self._have.issuperset(parts):
            _pread(self._kept, target, start)
            return
        if not goes_on and len(target) < PART_BYTES:
            # Of a part the most would be thrown away.
            target[:] = self.fetch(start, stop)
            return
        end = -(-self.size // PART_BYTES) if goes_on else parts.stop
        for part in parts:
            data = self._ask(range(part, min(part + AT_ONCE, end))).result()
            first = part * PART_BYTES
            low, high = max(start, first), min(stop, first + PART_BYTES)
            target[low - start : high - start] = memoryview(data)[low - first : high - first]
            if high == first + PART_BYTES:
                del self._parts[part]

    def _ask(self, parts: range) -> Future[bytearray]:
        """Ask for parts that are not on their way; return the first of them."""
        # A reader who jumped has left the others behind.
        for part in [one for one in self._parts if one not in parts]:
            self._parts.pop(part).cancel()
        for part in parts:
            if part not in self._parts:
                self._parts[part] = self._pool.submit(self._part, part)
        return self._parts[parts.start]

    def _part(self, part: int) -> bytearray:
        """Return a part, from the disk where it is kept there."""
        start = part * PART_BYTES
        size = min(PART_BYTES, self.size - start)
        if self._kept is not None and part in self._have:
            kept = bytearray(size)
            _pread(self._kept, memoryview(kept), start)
            return kept
        data = self.fetch(start, start + size)
        self._times[part] += 1
        if self._kept is not None and self._times[part] == _KEPT_AT:
            # On a full disk it is asked for again, no worse.
            with suppress(OSError):
                if os.pwrite(self._kept, data, start) == size:
                    self._have.add(part)
        return data

    def fetch(self, start: int, stop: int) -> bytearray:
        """Ask for bytes, without parts; where the connection breaks off, resume at that byte.

        From any thread; raises as `read_into`.
        """
        data, place = bytearray(stop - start), 0

        def receive() -> None:
            nonlocal place
            if start + place < stop:
                for chunk in self._store.read(self.address, self.state, start + place, stop):
                    data[place : place + len(chunk)] = chunk
                    place += len(chunk)

        try:
            _persistent(self.address, receive, lambda: place)
        except MissingError as error:
            if look(self.address) is not None:
                # A store that keeps versions has not this one any more.
                raise changed(self.address) from error
            raise InputError(f"{self.address} is no longer there") from error
        return data


class _OpenFile(io.RawIOBase):
    """A remote file with a place in it, where the next read begins."""

    def __init__(self, file: RemoteFile) -> None:
        self._file, self._place = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._file.size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, target: Any) -> int:
        data = memoryview(target).cast("B")
        data = data[: max(0, self._file.size - self._place)]
        self._file.read_into(data, self._place)
        self._place += len(data)
        return len(data)


def _pread(descriptor: int, target: memoryview, start: int) -> None:
    """Read bytes that are kept on the disk.

    Raises:
        AecliError: the operating system refused.

    """
    try:
        while target:
            count = os.preadv(descriptor, [target], start)
            if count == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            target, start = target[count:], start + count
    except OSError as error:
        reason = error.strerror or error
        raise AecliError(f"cannot read what is kept in {files.cache_folder()}: {reason}") from error


def _place_for(size: int) -> int | None:
    """Return a descriptor of a file without a name for all bytes of an object; None for none."""
    if size > _MOST_KEPT_BYTES:
        return None
    try:
        folder = files.cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        room = os.statvfs(folder)
        if room.f_bavail * room.f_frsize < 2 * size:
            return None
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.dup(file.fileno())
    except OSError:
        return None


def _persistent(
    address: str,
    request: Callable[[], Result],
    progress: Callable[[], int] = lambda: 0,
    patience: float | None = None,
) -> Result:
    """Make a request until it succeeds; `progress` says how far it came, and renews the patience.

    Raises:
        MissingError: nothing is there.
        InputError: it is refused.
        AecliError: the object was changed, or there was no progress for too long.

    """
    patience = _PATIENCE_SECONDS if patience is None else patience
    began, reached, tries = time.monotonic(), progress(), 0
    while True:
        try:
            return request()
        except MissingError:
            raise
        except RefusedError as error:
            raise InputError(f"cannot read or write {address}: {error}") from error
        except ChangedError as error:
            raise changed(address) from error
        except TransientError as error:
            if progress() > reached:
                began, reached, tries = time.monotonic(), progress(), 0
            wait = min(_FIRST_WAIT_SECONDS * 2**tries, _LONGEST_WAIT_SECONDS)
            wait = max(wait * random.uniform(0.5, 1), error.seconds)
            tries += 1
            waited = time.monotonic() - began
            if waited + wait > patience:
                raise AecliError(
                    f"cannot reach {address}: {error}, after {tries} tries in {waited:.0f} s; try "
                    "again later"
                ) from error
        _sleep(wait)
