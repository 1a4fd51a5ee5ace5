"""Results on stdout: as they are for a program, printable on a terminal."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress

from aecli.errors import AecliError
from aecli.printable import printable


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to stdout.

    Into a file or a pipe go the very bytes of a name, so that a program can use it, whatever
    encoding Python has chosen there.

    Raises:
        AecliError: the operating system refused.

    """
    # Where Python runs in another program there may be no bytes; with stdout closed, nothing.
    binary = getattr(sys.stdout, "buffer", None)
    # What cannot be written is kept, and refused again below.
    with suppress(OSError):
        if binary is None or sys.stdout.isatty():
            print("\n".join(map(printable, lines)))
        else:
            sys.stdout.flush()
            binary.write(b"".join(_bytes(line) + b"\n" for line in lines))
    flush()


def flush() -> bool:
    """Write what was printed so far; return whether anybody still reads it.

    A reader that has left is not a fault: the work is done.

    Raises:
        AecliError: the operating system refused.

    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as fault:
        # Python would try once more at its exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(fault, BrokenPipeError):
            raise AecliError(f"cannot write to stdout: {fault.strerror or fault}") from fault
        return False
    return True


def _bytes(line: str) -> bytes:
    try:
        return os.fsencode(line)
    except UnicodeEncodeError:
        # Of no file: a text from a data set.
        return line.encode(errors="backslashreplace")
