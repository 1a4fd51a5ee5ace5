"""SIGINT, SIGTERM and SIGHUP: noted when they come, acted on where the program can end well.

Nothing is raised where a signal happens to arrive: there it may be lost, or break a library. The
program asks at its safe points. Where it comes to none in time, or a second signal arrives, a
thread ends the process. Without `install` nothing is handled, and nothing is ever requested.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import contextmanager

# Until `install` is called a signal meets Python's own start: to import typing takes as long as
# all else before it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import NoReturn

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# As long as people wait before they try again.
_SECONDS_TO_A_SAFE_POINT = 2.0

# The first signal that arrived, 0 before.
_arrived = 0
# Whether the work in hand is to be finished, however long it takes.
_patient = False
# What is to be undone where the process ends at once; the first one comes first.
_CLEANUPS: list[Callable[[], None]] = []


def install() -> None:
    """Handle the signals of this process from now on; those that are ignored stay ignored.

    Raises:
        OSError: the operating system refused.
        RuntimeError: it refused another thread.

    """
    for number in HANDLED:
        # As nohup wants it, and a shell for what it runs in the background.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _note)
    import threading

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # The main thread learns of a signal only between two steps of Python, this pipe at once.
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading,), name="aecli-signals", daemon=True).start()


def requested() -> bool:
    """Return whether a signal has asked the program to end."""
    return _arrived != 0


def arrived() -> int:
    """Return the number of the signal that has asked the program to end, 0 for none."""
    return _arrived


def note(number: int) -> None:
    """Take a signal that has come to another process of the same work for one of our own."""
    global _arrived
    _arrived = _arrived or number


def exit_code() -> int:
    """Return the exit code of a process that the signal ended."""
    return 128 + _arrived


def end_if_requested() -> None:
    """End the program here if a signal has asked for it: a safe point.

    Raises:
        SystemExit: with the exit code.

    """
    if _arrived:
        raise SystemExit(exit_code())


@contextmanager
def finishing_work() -> Iterator[None]:
    """Let the block take its time after a signal: it asks itself, and saves its work first."""
    global _patient
    _patient = True
    try:
        yield
    finally:
        _patient = False


@contextmanager
def undoing(cleanup: Callable[[], None]) -> Iterator[None]:
    """Have `cleanup` called, from another thread, where the process ends at once in the block."""
    _CLEANUPS.append(cleanup)
    try:
        yield
    finally:
        _CLEANUPS.remove(cleanup)


def _note(number: int, frame: FrameType | None = None) -> None:
    note(number)


def _watch(pipe: int) -> None:
    """End the process once a second signal arrives, or nothing has followed from the first."""
    note(os.read(pipe, 1)[0])
    select.select([pipe], [], [], None if _patient else _SECONDS_TO_A_SAFE_POINT)
    end_at_once(exit_code())


def end_at_once(code: int) -> NoReturn:
    """End the process and its workers without a word; what it was about to write is removed."""
    for cleanup in list(_CLEANUPS):
        cleanup()
    # Where no process was started, nobody has imported this.
    processes = sys.modules.get("multiprocessing.process")
    for process in processes.active_children() if processes else ():
        process.kill()
    os._exit(code)
