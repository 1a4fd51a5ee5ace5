"""What libraries of C++ print, and how they end a process that has lost the others."""

import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import BinaryIO, TextIO

# Of what was printed, the end that is looked at.
_LAST_BYTES = 20_000

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int)


class NativeOutput:
    """Takes what is written to the descriptors 1 and 2 by anything but Python.

    Libraries that connect processes say so on stdout, among the results, and explain on stderr in
    pages how they end the process.
    """

    def __init__(self) -> None:
        self._taken: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            stream = getattr(sys, name)
            if stream is not None and stream.fileno() == descriptor:
                moved = _moved(stream, descriptor)
                setattr(sys, name, moved)
                setattr(sys, f"__{name}__", moved)
        for descriptor in (1, 2):
            os.dup2(self._taken.fileno(), descriptor)

    def lines(self) -> list[str]:
        """Return the last lines that were taken."""
        descriptor = self._taken.fileno()
        size = os.fstat(descriptor).st_size
        start = max(0, size - _LAST_BYTES)
        return os.pread(descriptor, _LAST_BYTES, start).decode(errors="replace").splitlines()


def _moved(stream: TextIO, descriptor: int) -> TextIO:
    """Return a stream of Python that writes where the descriptor leads now."""
    stream.flush()
    copy = os.dup(descriptor)
    return open(  # noqa: PTH123
        copy,
        "w",
        encoding=stream.encoding,
        errors=stream.errors,
        buffering=1 if descriptor == 2 or os.isatty(copy) else -1,
    )


def call_on_abort(function: Callable[[], None]) -> object:
    """Have a function called where a library ends this process by abort(), in the thread that does.

    It is called by the very call that ends the process, and does not return. The result has to be
    kept for as long.
    """

    def called(number: int) -> None:
        function()

    handler = _Handler(called)
    # Python's own handlers would be called in the main thread, which never gets to it.
    library = ctypes.CDLL(None)
    library.signal.argtypes = [ctypes.c_int, _Handler]
    library.signal.restype = ctypes.c_void_p
    library.signal(int(signal.SIGABRT), handler)
    return handler
