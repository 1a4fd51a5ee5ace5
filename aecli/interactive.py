"""A training as it is seen in a notebook: a plain bar, and Ctrl-C that ends it well."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from aecli.printable import printable, significant
from aecli.run.states import EpochMetrics

_BAR = 30

Report = Callable[[EpochMetrics, bool], None]


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C came in the block; a second one interrupts at once.

    Only in the main thread, and where Python itself handles the signal: otherwise it never came.
    """
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def say(line: str) -> None:
    """Print a line to stderr, as the bar."""
    print(printable(line), file=sys.stderr, flush=True)


@contextmanager
def epoch_bar(epochs: int) -> Iterator[Report]:
    """Give a function that takes each epoch, and shows it in one line of stderr."""
    shown = False

    def report(metrics: EpochMetrics, saved: bool) -> None:
        nonlocal shown
        shown = True
        done = _BAR * metrics.epoch // epochs
        bar = f"epoch {metrics.epoch}/{epochs} [{'#' * done}{'.' * (_BAR - done)}]"
        line = f"{bar} validation loss {significant(metrics.validation_loss)}"
        print(f"\r{line}  ", end="", file=sys.stderr, flush=True)

    try:
        yield report
    finally:
        if shown:
            print(file=sys.stderr, flush=True)
