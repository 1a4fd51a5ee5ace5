"""What a place of data elsewhere can do, and how its requests fail."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from aecli.errors import AecliError


class ObjectState(NamedTuple):
    """The size of an object, and what changes when its content does, empty where nothing says it.

    `has_ranges`: whether a part of it can be asked for.
    """

    size: int
    version: str
    has_ranges: bool = True


class TransientError(Exception):
    """A request failed in a way that a later one may not; its text is the reason.

    `seconds`: how long the server asks to wait.
    """

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds = seconds


class RefusedError(Exception):
    """A request failed, and so will all others like it; its text is the reason."""


class MissingError(RefusedError):
    """Nothing is at an address."""


class ChangedError(Exception):
    """An object is not what it was when it was opened."""


class Store(Protocol):
    """Objects by their addresses. Requests raise the errors above, and are made from any thread."""

    def look(self, address: str) -> ObjectState:
        """Return the state of an object."""

    def read(self, address: str, state: ObjectState, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop` of an object in a state, in order."""

    def below(self, address: str) -> Mapping[str, ObjectState]:
        """Return the objects below an address, by their names there."""

    def write(self, path: Path, address: str, *, replace: bool) -> None:
        """Make a file an object; it appears whole or not at all.

        Raises:
            FileExistsError: without `replace`, one is there.

        """

    def remove(self, address: str) -> None:
        """Remove an object."""


def changed(address: str) -> AecliError:
    """Return the error that says that an object was changed."""
    return AecliError(f"{address} was changed while it was read: start again")
