"""Local copies of data elsewhere, in the cache folder, for formats that are read as files.

A copy is named by the address and by the state of every object in it, so that it never changes: an
object that changes makes another copy. Files take their names when they are whole; a copy that was
interrupted is completed by the next command.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aecli import files
from aecli.addresses import expand_braces, is_address, last_part
from aecli.data.formats.parquet import needed_spans
from aecli.data.progress import Advance, Bar, no_bar
from aecli.errors import AecliError, InputError
from aecli.kept import kept_folder
from aecli.remote.objects import AT_ONCE, PART_BYTES, RemoteFile, below, look
from aecli.remote.store import ObjectState

_FILES_AT_ONCE = 16
_SLICE_SECONDS = 0.2
# Beyond that, copies that were not used for longest go.
_MOST_BYTES = 20_000_000_000
_ADVICE = "XDG_CACHE_HOME names another place"
_PARQUET = ".parquet"
# In the folder of a copy: locked by those who read it, and last used when it was last changed.
_MARK = ".in-use"
# Copies that this process reads: no other one removes them.
_IN_USE: dict[Path, IO[bytes]] = {}


@dataclass(frozen=True)
class _Found:
    """Objects at addresses, by the names that their copies have; `is_folder` of one address."""

    objects: Mapping[str, tuple[str, ObjectState]]
    is_folder: bool


def staged(address: str, bar: Bar, *, whole: bool = False) -> Path:
    """Return a local copy of the object or the folder at an address, or of shards in braces.

    Of Parquet files it has the columns of images and labels alone, unless it is to be `whole`.
    Hidden files are left out.

    Raises:
        InputError: nothing is there, or it cannot be read.
        AecliError: its server does not answer, an object was changed meanwhile, or the disk has no
            room.

    """
    with bar(f"looking at {address}", 0):
        found = _find(address)
    digest = hashlib.sha256(json.dumps([address, found.objects, whole], sort_keys=True).encode())
    try:
        root = kept_folder("remote").path
        folder = root / digest.hexdigest()
        folder.mkdir(mode=0o700, exist_ok=True)
        place = folder / (_name(address) if found.is_folder else ".")
        _hold(folder)
        _fill(place, found, address, bar, whole=whole)
        _evict(root)
    except OSError as error:
        reason = f"{error.strerror or error}{files.room(error, files.cache_folder() / 'x')}"
        raise AecliError(
            f"cannot write {files.cache_folder() / 'remote'}: {reason}; {_ADVICE}"
        ) from error
    return place if found.is_folder else place / next(iter(found.objects))


def at_hand(name: str) -> Path:
    """Return the path of a file, of a local copy where it is elsewhere; raises as `staged`."""
    return staged(name, no_bar, whole=True) if is_address(name) else Path(name)


def _find(address: str) -> _Found:
    """Return what is at an address.

    Raises:
        InputError: nothing is there, or a name cannot be that of a file.

    """
    names = expand_braces(address)
    if len(names) > 1:
        with ThreadPoolExecutor(_FILES_AT_ONCE, "aecli-look") as pool:
            states = list(pool.map(look, names))
        missing = [name for name, state in zip(names, states, strict=True) if state is None]
        if missing:
            raise InputError(f"{len(missing):,} of {len(names):,} are missing, first {missing[0]}")
        objects = {
            _safe(last_part(name)): (name, state)
            for name, state in zip(names, states, strict=True)
            if state is not None
        }
        if len(objects) < len(names):
            raise InputError(f"{address} stands for names that are equal but for their folders")
        return _Found(objects, is_folder=True)
    state = None if address.endswith("/") else look(address)
    if state is not None:
        return _Found({_safe(last_part(address)): (address, state)}, is_folder=False)
    root = address.rstrip("/")
    listed = {
        name: (f"{root}/{name}", state)
        for name, state in below(root).items()
        if not any(part.startswith(".") for part in name.split("/"))
    }
    if not listed:
        raise InputError(f"no such object or folder: {address}")
    tables = {name: one for name, one in listed.items() if _is_parquet(name)}
    objects = {
        "/".join(map(_safe, name.split("/"))): one for name, one in (tables or listed).items()
    }
    return _Found(objects, is_folder=True)


def _name(address: str) -> str:
    """Return what a folder, or shards in braces, are called."""
    return _safe(last_part(address.partition("{")[0]).strip("-_.") or "shards")


def _safe(name: str) -> str:
    """Return the name of an object if it can be that of a file.

    Raises:
        InputError: it cannot.

    """
    if name in ("", ".", "..") or "/" in name or "\0" in name or len(os.fsencode(name)) > 255:
        raise InputError(f"{name!r} cannot be the name of a file: read what is below it alone")
    return name


def _hold(folder: Path) -> None:
    """Keep a copy from being removed by other processes until this one ends."""
    place = folder / _MARK
    if folder not in _IN_USE:
        # Closed by the end of the process.
        lock = place.open("ab")
        with files.where_supported(files.LOCKS):
            fcntl.flock(lock.fileno(), fcntl.LOCK_SH)
        _IN_USE[folder] = lock
    os.utime(place)


def _fill(place: Path, found: _Found, address: str, bar: Bar, *, whole: bool) -> None:
    """Copy the objects that a folder lacks."""
    missing = {name: one for name, one in found.objects.items() if not (place / name).is_file()}
    size = sum(state.size for _, state in missing.values())
    place.mkdir(parents=True, exist_ok=True)
    if whole or not all(map(_is_parquet, missing)):
        free = shutil.disk_usage(place).free
        if size > free:
            raise InputError(
                f"{address} has {size:,} bytes, {free:,} are free in {files.cache_folder()}: read "
                f"fewer of its files at a time; {_ADVICE}"
            )
    for folder in {(place / name).parent for name in missing}:
        folder.mkdir(parents=True, exist_ok=True)
    large = [name for name, (_, state) in missing.items() if state.size > PART_BYTES]
    with bar(f"fetching {address}", size, in_bytes=True) as advance:
        small = {name: one for name, one in missing.items() if name not in set(large)}
        _copy_small(place, small, advance)
        for name in large:
            _copy(place / name, *missing[name], advance, whole=whole)


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(_PARQUET)


def _copy_small(
    place: Path, objects: Mapping[str, tuple[str, ObjectState]], advance: Advance
) -> None:
    """Copy objects of a part at most, several at a time."""
    waiting: set[Future[int]] = set()
    pool = ThreadPoolExecutor(_FILES_AT_ONCE, "aecli-stage")
    try:
        for name, (address, state) in objects.items():
            waiting.add(pool.submit(_copy_whole, place / name, address, state))
            if len(waiting) >= 4 * _FILES_AT_ONCE:
                waiting = _collected(waiting, advance)
        while waiting:
            waiting = _collected(waiting, advance)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _collected(waiting: set[Future[int]], advance: Advance) -> set[Future[int]]:
    done, rest = wait(waiting, _SLICE_SECONDS, FIRST_COMPLETED)
    advance(sum(future.result() for future in done))
    return rest


def _copy_whole(path: Path, address: str, state: ObjectState) -> int:
    data = RemoteFile(address, state, keep=False).fetch(0, state.size)
    files.write_bytes(path, bytes(data))
    return state.size


def _copy(path: Path, address: str, state: ObjectState, advance: Advance, *, whole: bool) -> None:
    """Copy a large object; of a Parquet file the parts that are needed, others are zeros."""
    remote = RemoteFile(address, state, keep=False)
    spans = [(0, state.size)]
    if not whole and _is_parquet(path.name):
        spans = needed_spans(remote.open(), Path(address), state.size)
    pieces = [
        (start, min(start + PART_BYTES, stop))
        for first, stop in spans
        for start in range(first, stop, PART_BYTES)
    ]
    with files.writing(path, sum(stop - start for start, stop in pieces)) as file:
        file.truncate(state.size)
        for start, data in _pieces(remote, pieces, advance):
            file.seek(start)
            file.write(data)


def _pieces(
    remote: RemoteFile, pieces: Sequence[tuple[int, int]], advance: Advance
) -> Iterator[tuple[int, bytearray]]:
    """Yield where pieces of an object begin, and their bytes; several are asked for at a time."""
    pool = ThreadPoolExecutor(AT_ONCE, "aecli-stage")
    waiting: deque[tuple[int, Future[bytearray]]] = deque()
    try:
        for start, stop in pieces:
            waiting.append((start, pool.submit(remote.fetch, start, stop)))
            if len(waiting) >= AT_ONCE:
                yield _first_of(waiting, advance)
        while waiting:
            yield _first_of(waiting, advance)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _first_of(
    waiting: deque[tuple[int, Future[bytearray]]], advance: Advance
) -> tuple[int, bytearray]:
    start, future = waiting.popleft()
    while not wait([future], _SLICE_SECONDS).done:
        advance(0)
    data = future.result()
    advance(len(data))
    return start, data


def _evict(root: Path) -> None:
    """Remove copies that were not used for longest, beyond what all may take, but none in use."""
    with suppress(OSError):
        found = [
            ((folder / _MARK).stat().st_mtime_ns, folder)
            for folder in root.iterdir()
            if (folder / _MARK).is_file()
        ]
        room = _MOST_BYTES
        for _, folder in sorted(found, reverse=True):
            room -= sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
            if room < 0 and folder not in _IN_USE:
                with (folder / _MARK).open("rb") as lock:
                    try:
                        fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    shutil.rmtree(folder)
