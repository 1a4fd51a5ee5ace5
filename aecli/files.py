"""Write files whole or not at all."""

import errno
import fcntl
import glob
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from aecli.errors import AecliError, InputError

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
_TEMPORARIES: set[str] = set()


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
        raise InputError(f"{path} is a pipe, a socket or a device: expected a regular file")
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
    """Raise `InputError` where a file cannot go, or exists and `force` does not allow replacing."""
    for path in paths:
        if kind_of(path) == "folder":
            raise InputError(f"{path} is a folder: expected the name of a file to write")
        if kind_of(path) == "file" and not force:
            raise InputError(f"{path} exists already: --force replaces it, -o names another file")
        refuse_files_above(path)


def refuse_files_above(path: Path) -> None:
    """Raise `InputError` where a file stands in the way of the folders above `path`."""
    for folder in path.parents:
        if kind_of(folder) == "file":
            raise InputError(f"cannot write {path}: {folder} is a file, expected a folder")


def refuse_file(path: Path, expected: str) -> None:
    """Raise `InputError` where a folder cannot be at `path`: a file is there, or stands above."""
    if kind_of(path) == "file":
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


def refuse_inputs(path: Path, *inputs: Path) -> None:
    """Raise `InputError` where a file to write is one that is read, by whatever name or link."""
    for source in inputs:
        with suppress(OSError):
            if path.samefile(source):
                raise InputError(f"{path} is read too, as {source}: expected another file to write")


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


@contextmanager
def writing(
    path: Path, size: int | None = None, before: Callable[[], None] = lambda: None
) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the name `path` once it is whole and on disk.

    The bytes, `size` of them where that is known, go to a temporary file in the same folder, which
    is created where it is missing. On an error the temporary file is removed and an older file at
    `path` stays as it was. `before` is called when all bytes are on disk, before they take the
    name. What a process left that was killed while it wrote `path` is removed.

    Raises:
        AecliError: the operating system refused (full disk, no permission, ...).

    """
    try:
        make_folder(path.parent)
        _sweep(path)
        temporary = _temporary(path)
        _TEMPORARIES.add(temporary.name)
        try:
            with temporary as file:
                yield file
                file.flush()
                # It was private to the user; a result should be as readable as any other file.
                os.fchmod(file.fileno(), 0o666 & ~_umask())
                os.fsync(file.fileno())
                before()
                Path(temporary.name).replace(path)
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise
        finally:
            _TEMPORARIES.discard(temporary.name)
        _fsync_folder(path.parent)
    except OSError as error:
        reason = f"{_reason(error)}{room(error, path, size)}"
        raise AecliError(f"cannot write {path}: {reason}") from error


def write_bytes(path: Path, data: bytes, before: Callable[[], None] = lambda: None) -> None:
    """Write `data` to `path`, whole or not at all; `before` is called before it takes the name."""
    with writing(path, len(data), before) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write `rows` to `path`, one JSON object per line, whole or not at all."""
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def remove_temporaries() -> None:
    """Remove the temporary files of this process, from any thread, before it ends at once."""
    for name in list(_TEMPORARIES):
        Path(name).unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing, unreadable or not JSON.

    """
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def room(error: OSError, path: Path, size: int | None = None) -> str:
    """Return how much room is needed and left, for a message, if the disk is full."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ""
    needed = "" if size is None else f", it needs {size:,} bytes"
    place = next(folder for folder in path.parents if folder.exists())
    return f"{needed}; {shutil.disk_usage(place).free:,} bytes are free there"


def _temporary(path: Path) -> Any:
    """Return a new file beside `path`, locked so that no other process sweeps it away."""
    import tempfile

    while True:
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False
        )
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        # Before it was locked another process may have swept it away.
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def _sweep(path: Path) -> None:
    """Remove the temporary files of processes that have ended: nobody holds their lock."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(FileNotFoundError), left.open("rb") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            left.unlink(missing_ok=True)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
