"""Write files whole or not at all."""

import errno
import fcntl
import glob
import os
import shutil
import stat
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from aecli import json_text
from aecli.addresses import address_of, is_address
from aecli.errors import AecliError, InputError

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")

_SPECIAL = "a pipe, a socket or a device"

# A temporary name: a dot, the name that the file is to take, as much of it as fits, this mark, some
# letters, and the suffix.
_MARK = ".aecli-"
_SUFFIX = ".tmp"
_NAME_BYTES = 200
# Of a process: removed where it has to end at once, but not while files take their names.
_TEMPORARIES: set[Path] = set()
_PUBLISHING = threading.RLock()
# How long others may take to let files take their names.
_LOCK_WAIT_SECONDS = 0.01
_LOCK_TRIES = 1_000
# What is lost with calls that a file system lacks.
LOCKS = "locks: commands that write the same files at the same time are not kept apart"
_RENAMES = "fsync of folders: after a power cut what was just written may be missing"
_MODES = "modes: files that are replaced get that of new ones"
# What file systems over a network or in user space answer to calls that they lack.
_UNSUPPORTED = {
    errno.ENOSYS,
    errno.ENOLCK,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.EINVAL,
    errno.EPERM,
    errno.EMLINK,
    errno.ENOTTY,
}


def cache_folder() -> Path:
    """Return the folder of all that can be made or fetched again."""
    import platformdirs

    return platformdirs.user_cache_path("aecli")


def require_suffix(path: Path, *suffixes: str) -> None:
    """Raise `InputError` where the suffix of a file to write is none of `suffixes`."""
    if path.suffix.lower() not in suffixes:
        raise InputError(
            f"cannot tell the format of {path}: expected NAME{' or NAME'.join(suffixes)}"
        )


def kind_of(path: Path) -> Literal["file", "folder", "nothing", "special"]:
    """Return what a path leads to; special files are pipes, sockets and devices.

    Raises:
        InputError: it cannot be followed (a loop of links, no permission, too long a name).

    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except (OSError, ValueError) as error:
        raise InputError(f"cannot look at {path}: {_reason(error)}") from error
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "special"


def open_regular(path: Path) -> IO[bytes]:
    """Open a file to read its bytes; a pipe, a socket or a device is refused without waiting.

    Everything that is read is opened here: a pipe that nobody writes to would hang, `/dev/zero`
    would never end.

    Raises:
        InputError: it is not a regular file.
        OSError: the operating system refused.

    """
    if kind_of(path) == "special":
        raise InputError(f"{path} is {_SPECIAL}: expected a regular file")
    # It may become one before it is opened.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{path} is a folder: expected a file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        InputError: it is missing, not a regular file, or cannot be read.

    """
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise InputError(f"cannot read {path}: {_reason(error)}") from error


def refuse_existing(*paths: Path, force: bool) -> None:
    """Raise `InputError` where a file cannot go, or exists and `force` does not allow replacing.

    A link that leads nowhere exists too.
    """
    for path in paths:
        _refuse_address(path)
        kind = kind_of(path)
        if kind == "folder":
            raise InputError(f"{path} is a folder: expected the name of a file to write")
        if kind == "special":
            raise InputError(f"{path} is {_SPECIAL}: expected the name of a file to write")
        if not force and (kind == "file" or path.is_symlink()):
            raise InputError(f"{path} exists already: --force replaces it, -o names another file")
        refuse_files_above(path)


def _refuse_address(path: Path) -> None:
    """Raise `InputError` where a path was made of an address: this command writes files."""
    if is_address(path) and kind_of(path) == "nothing":
        raise InputError(
            f"cannot write to {address_of(path)}: this is written to a disk alone; name a path, "
            "and copy it afterwards"
        )


def refuse_files_above(path: Path) -> None:
    """Raise `InputError` where a file stands in the way of the folders above `path`."""
    for folder in path.parents:
        if kind_of(folder) not in ("folder", "nothing"):
            raise InputError(f"cannot write {path}: {folder} is a file, expected a folder")


def refuse_file(path: Path, expected: str) -> None:
    """Raise `InputError` where a folder cannot be at `path`: a file is there, or stands above."""
    _refuse_address(path)
    if kind_of(path) not in ("folder", "nothing"):
        raise InputError(f"{path} is a file: {expected}")
    refuse_files_above(path)


def remove(path: Path) -> None:
    """Remove a file if it is there.

    Raises:
        AecliError: the operating system refused.

    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise AecliError(f"cannot remove {path}: {_reason(error)}") from error


def refuse_inputs(outputs: Sequence[Path], inputs: Iterable[Path]) -> None:
    """Raise `InputError` where a file to write is one that is read, by whatever name or link."""
    written = {_identity(path): path for path in outputs}
    written.pop(None, None)
    if not written:
        return
    for source in inputs:
        path = written.get(_identity(source))
        if path is not None:
            raise InputError(f"{path} is read too, as {source}: expected another file to write")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what two names of the same file have in common; None where nothing is there."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino


def make_folder(folder: Path) -> list[Path]:
    """Create a folder and those above it that are missing, durably; return them, deepest first.

    Raises:
        OSError: the operating system refused.

    """
    missing = [path for path in (folder, *folder.parents) if kind_of(path) == "nothing"]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _fsync_folder(path.parent)
    return missing


class FileSet:
    """Files on their way to the disk; they take their names together, in the order they came in."""

    def __init__(self) -> None:
        self._written: list[tuple[Path, _Temporary]] = []
        self._stale: list[Path] = []

    @contextmanager
    def open(self, path: Path, size: int | None = None) -> Iterator[IO[bytes]]:
        """Open a binary file that is to be called `path`; `size` is how many bytes it will have.

        The folder is created where it is missing. What a process left that was killed while it
        wrote `path` is removed.

        Raises:
            AecliError: the operating system refused (full disk, no permission, ...).

        """
        with _saying_what_failed(path, size):
            make_folder(path.parent)
            _sweep(path.parent, _prefix(path))
            temporary = _Temporary(path)
            self._written.append((path, temporary))
            yield temporary.file
            temporary.finish()

    def write(self, path: Path, data: bytes) -> None:
        """Add a file of these bytes; raises as `open`."""
        with self.open(path, len(data)) as file:
            file.write(data)

    def remove(self, path: Path) -> None:
        """Remove an older file that the set does not write, just before the last takes its name."""
        self._stale.append(path)

    def publish(self, *, replace: bool) -> None:
        """Let the files take their names; without `replace` none may be there already.

        Raises:
            InputError: a file has come to be there, and `replace` is not set; none is written then.
            AecliError: the operating system refused.

        """
        folders = {path.parent for path, _ in self._written}
        stale = set(self._stale) - {path for path, _ in self._written}
        with ExitStack() as locks:
            locks.enter_context(_PUBLISHING)
            for folder in sorted(folders):
                locks.enter_context(unchanging(folder))
            named: list[Path] = []
            for path, temporary in self._written:
                if path == self._written[-1][0]:
                    for older in stale:
                        remove(older)
                try:
                    with _saying_what_failed(path):
                        temporary.take_name(path, replace=replace)
                except AecliError:
                    if not replace:
                        for other in named:
                            remove(other)
                    raise
                named.append(path)
        for folder in sorted(folders):
            with _saying_what_failed(folder):
                _fsync_folder(folder)

    def discard(self) -> None:
        """Remove what has not taken its name."""
        for _, temporary in self._written:
            temporary.discard()


@contextmanager
def writing_together(*, replace: bool = True) -> Iterator[FileSet]:
    """Give a set of files that take their names at the end of the block, all or none.

    On an error nothing of them is left, and older files stay as they were. Where the process is
    killed while they take their names, some are new and some old: the last file of a set says what
    the others are.

    Raises:
        InputError: without `replace`, a file has come to be there meanwhile.
        AecliError: the operating system refused.

    """
    together = FileSet()
    try:
        yield together
        together.publish(replace=replace)
    finally:
        together.discard()


@contextmanager
def writing(path: Path, size: int | None = None, *, replace: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the name `path` once it is whole and on disk.

    A `writing_together` of one file; `size` is how many bytes it will have, where that is known.
    """
    with writing_together(replace=replace) as together, together.open(path, size) as file:
        yield file


def write_bytes(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write `data` to `path`, whole or not at all; raises as `writing_together`."""
    with writing_together(replace=replace) as together:
        together.write(path, data)


def json_bytes(value: Any) -> bytes:
    """Return `value` as indented JSON."""
    return (json_text.dump(value, indent=2) + "\n").encode()


def json_lines_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return `rows` as one JSON object per line."""
    return "".join(json_text.dump(row) + "\n" for row in rows).encode()


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all."""
    write_bytes(path, json_bytes(value))


def remove_temporaries() -> None:
    """Remove the temporary files of this process, from any thread, before it ends at once.

    Files that are just taking their names take them first; after it none takes its name any more.
    """
    _PUBLISHING.acquire()
    for place in list(_TEMPORARIES):
        with suppress(OSError):
            place.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or unreadable, or as `json_text.parse` says.

    """
    return json_text.parse(read_bytes(path), str(path))


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def room(error: OSError, path: Path, size: int | None = None) -> str:
    """Return how much room is needed and left, for a message, if the disk is full."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ""
    needed = "" if size is None else f", it needs {size:,} bytes"
    place = next(folder for folder in path.parents if folder.exists())
    return f"{needed}; {shutil.disk_usage(place).free:,} bytes are free there"


class _Temporary:
    """A file beside `path`, locked so that no other process sweeps it away."""

    def __init__(self, path: Path) -> None:
        try:
            mode = stat.S_IMODE(path.stat().st_mode) & 0o777
        except OSError:
            mode = 0o666
        while True:
            self.place, self.file = _create(path, mode)
            with where_supported(LOCKS):
                fcntl.flock(self.file.fileno(), fcntl.LOCK_EX)
            # Before it was locked another process may have swept it away.
            if os.fstat(self.file.fileno()).st_nlink:
                break
            self.discard()
        if mode != 0o666 and stat.S_IMODE(os.fstat(self.file.fileno()).st_mode) != mode:
            with where_supported(_MODES):
                os.fchmod(self.file.fileno(), mode)

    def finish(self) -> None:
        """Bring all bytes to the disk.

        Raises:
            OSError: the operating system refused.

        """
        self.file.flush()
        os.fsync(self.file.fileno())

    def take_name(self, path: Path, *, replace: bool) -> None:
        """Call the file `path`; without `replace`, the system itself refuses where one is there.

        Raises:
            InputError: one is there.
            OSError: the operating system refused.

        """
        if not replace:
            try:
                _claim(self.place, path)
            except FileExistsError as error:
                raise InputError(
                    f"{path} has come to exist meanwhile: --force replaces it, -o names another"
                ) from error
        else:
            self.place.replace(path)
        self.discard()

    def discard(self) -> None:
        """Let go of the file, and of its temporary name where it still has that."""
        self.place.unlink(missing_ok=True)
        with suppress(OSError):
            # What could not be written because the disk is full is tried again, and fails again.
            self.file.close()
        _TEMPORARIES.discard(self.place)


def _create(path: Path, mode: int) -> tuple[Path, IO[bytes]]:
    """Create a file beside `path` that is not to be read before it has that name."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_EXCL | os.O_CLOEXEC, mode)

    while True:
        place = path.with_name(f"{_prefix(path)}{os.urandom(4).hex()}{_SUFFIX}")
        with suppress(FileExistsError):
            file = open(place, "w+b", opener=opener)  # noqa: SIM115
            _TEMPORARIES.add(place)
            return place, file


def _claim(temporary: Path, path: Path) -> None:
    """Give a file another name that nothing has yet; `FileExistsError` where something has."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        # Without links: an empty file of this name keeps others away until it is replaced.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        temporary.replace(path)


def _prefix(path: Path) -> str:
    """Return how the temporary names of a file begin; it may have a name as long as can be."""
    name = os.fsencode(path.name)[:_NAME_BYTES].decode(errors="ignore")
    return f".{name}{_MARK}"


def sweep_folder(folder: Path) -> None:
    """Remove the temporary files of processes that have ended from a folder of our own."""
    _sweep(folder, "")


def _sweep(folder: Path, prefix: str) -> None:
    """Remove temporary files whose names begin so: those of ours whose lock nobody holds."""
    for left in folder.glob(f"{glob.escape(prefix)}*{_SUFFIX}"):
        if _MARK not in left.name:
            continue
        with suppress(OSError, InputError), open_regular(left) as file:
            state = os.fstat(file.fileno())
            if state.st_uid == os.geteuid() and not left.is_symlink():
                # Refused while its process lives, or where there are no locks.
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink(missing_ok=True)


@contextmanager
def unchanging(folder: Path) -> Iterator[None]:
    """Keep other processes from letting files of this folder take their names meanwhile.

    Raises:
        AecliError: one has been at it for too long.

    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with where_supported(LOCKS):
            for _ in range(_LOCK_TRIES):
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(_LOCK_WAIT_SECONDS)
            else:
                raise AecliError(f"another process has been writing into {folder} for too long")
        yield
    finally:
        os.close(descriptor)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with where_supported(_RENAMES):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def where_supported(what: str) -> Iterator[None]:
    """Make a call of the block advice: where the file system lacks it, say so and go on."""
    try:
        yield
    except (OSError, NotImplementedError) as error:
        # The second is that of filelock.
        if isinstance(error, OSError) and error.errno not in _UNSUPPORTED:
            raise
        warnings.warn(f"this file system has no {what}", stacklevel=2)


@contextmanager
def _saying_what_failed(path: Path, size: int | None = None) -> Iterator[None]:
    """Turn a refusal of the operating system into an `AecliError` that names the file."""
    try:
        yield
    except OSError as error:
        reason = f"{_reason(error)}{room(error, path, size)}"
        raise AecliError(f"cannot write {path}: {reason}") from error
