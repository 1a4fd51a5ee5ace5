"""Ending in good order when told to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether SIGINT or SIGTERM has arrived; `signal` is its number, 0 before."""

    signal = 0

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.signal != 0

    @property
    def exit_code(self) -> int:
        """The exit code of a process that this signal ended."""
        return 128 + self.signal


@contextmanager
def catching_signals() -> Iterator[StopRequest]:
    """Note the first SIGINT or SIGTERM instead of dying; a second one acts as it always does."""
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = number
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
