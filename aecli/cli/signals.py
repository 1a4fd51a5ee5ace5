"""Stop cleanly on SIGINT and SIGTERM."""

import signal
from collections.abc import Callable, Iterator
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

    def note(number: int) -> None:
        request.signal = number
        restore()

    with _handling({signal.SIGINT: note, signal.SIGTERM: note}) as restore:
        yield request


@contextmanager
def exiting_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the program, as Ctrl-C does, so that no temporary file stays behind."""

    def leave(number: int) -> None:
        raise SystemExit(128 + number)

    with _handling({signal.SIGTERM: leave}):
        yield


@contextmanager
def _handling(handlers: dict[int, Callable[[int], None]]) -> Iterator[Callable[[], None]]:
    """Install handlers; put the old ones back at the end, or earlier by calling what is given."""
    before = {number: signal.getsignal(number) for number in handlers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        handlers[number](number)

    for number in handlers:
        signal.signal(number, handle)
    try:
        yield restore
    finally:
        restore()
