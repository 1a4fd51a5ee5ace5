"""How readers that take long say how far they are."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Bar(Protocol):
    """Shows how far work is."""

    def __call__(
        self, what: str, total: int, *, in_bytes: bool = False
    ) -> AbstractContextManager[Advance]:
        """Begin on `total` of something, 0 if unknown; what is given takes each amount done."""


@contextmanager
def no_bar(what: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda amount: None
