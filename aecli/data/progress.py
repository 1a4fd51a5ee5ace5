"""Progress bars, as readers see them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Bar(Protocol):
    """Shows the progress of an operation."""

    def __call__(
        self, what: str, total: int, *, in_bytes: bool = False
    ) -> AbstractContextManager[Advance]:
        """Show a bar over `total` units, 0 if unknown; yield a function that advances it."""


@contextmanager
def no_bar(what: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda amount: None
