"""Warnings of the libraries below, as people at a shell want to read them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from aecli.printable import one_line


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print a warning as one line, once."""
    printed: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        from aecli.cli import console

        text = one_line(str(message))
        if text not in printed:
            printed.add(text)
            console.error(f"warning: {text}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
