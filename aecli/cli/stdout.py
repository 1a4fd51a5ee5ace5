"""Results on stdout: as they are for a program, printable on a terminal."""

import errno
import os
import select
import sys
from collections.abc import Iterable

from aecli.errors import AecliError
from aecli.printable import printable

# A reader that has left, a full disk, a terminal that is gone.
_OF_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to stdout.

    Into a file or a pipe go the very bytes of a name, so that a program can use it, whatever
    encoding Python has chosen there.

    Raises:
        AecliError: the operating system refused.

    """
    # Where Python runs in another program there may be no bytes; with stdout closed, nothing.
    binary = getattr(sys.stdout, "buffer", None)
    try:
        if binary is None or sys.stdout.isatty():
            print("\n".join(map(printable, lines)))
        else:
            sys.stdout.flush()
            binary.write(b"".join(_bytes(line) + b"\n" for line in lines))
    except OSError as fault:
        if not reader_left(fault):
            raise
    flush()


def flush() -> None:
    """Write what was printed so far.

    Raises:
        AecliError: the operating system refused.

    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as fault:
        if not reader_left(fault):
            raise


def reader_left(fault: OSError) -> bool:
    """Return whether an error means that nobody reads stdout any more: the work is done.

    Raises:
        AecliError: it means that stdout cannot be written to.

    """
    # Of a file that has a name, the error would have it.
    if fault.errno not in _OF_OUTPUT or fault.filename is not None:
        return False
    stdout = sys.__stdout__
    if stdout is None or sys.stdout is not stdout:
        return False
    descriptor = stdout.fileno()
    if fault.errno == errno.EPIPE:
        poll = select.poll()
        poll.register(descriptor, 0)
        if not poll.poll(0):
            return False
    # Python would try once more at its exit, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    if fault.errno != errno.EPIPE:
        raise AecliError(f"cannot write to stdout: {fault.strerror}") from fault
    return True


def _bytes(line: str) -> bytes:
    try:
        return os.fsencode(line)
    except UnicodeEncodeError:
        # Of no file: a text from a data set.
        return line.encode(errors="backslashreplace")
