"""Tables as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    r"""Return a table as CSV in UTF-8, with a head and `\n` at the ends of lines; None is empty.

    Names of files are bytes, and not always text: they come out as they are.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text_bytes(text.getvalue())


def text_bytes(text: str) -> bytes:
    """Return a text with names of files in it as bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Half a character, as JSON can have it.
        return text.encode("utf-8", "backslashreplace")
