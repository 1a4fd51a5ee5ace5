"""Names and messages as they can be shown: on a terminal, in a picture, in JSON, in one line."""

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

# Zero-width joiners shape letters and emoji; all else that is not printable may hide or move text.
_KEPT = "\u200c\u200d"
MOST_CHARACTERS = 300
_FEWEST_OF_A_WORD = 24
# Numbers below are written with an exponent: more zeros than that are hard to count.
_SMALL = 1e-4


def printable(text: str) -> str:
    r"""Return a text in which no character acts on a terminal or breaks a picture.

    Control characters, line breaks, marks of direction and bytes that are no text become escapes
    such as `\x1b`; all else stays.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _KEPT else _escape(c) for c in text)


def one_line(message: str, most: int = MOST_CHARACTERS) -> str:
    """Return a message as one printable line of at most `most` characters.

    Where it is longer, its longest words (names of files mostly) lose their middle, then the
    message its end.
    """
    line = printable(" ".join(message.split()))
    words = line.split(" ")
    while len(line) > most:
        place = max(range(len(words)), key=lambda index: len(words[index]))
        longest = words[place]
        kept = max(_FEWEST_OF_A_WORD, len(longest) - (len(line) - most))
        if kept >= len(longest):
            return line[: most - 1] + "…"
        head = kept // 3
        words[place] = f"{longest[:head]}…{longest[len(longest) - (kept - head - 1) :]}"
        line = " ".join(words)
    return line


def significant(value: float, digits: int = 3) -> str:
    """Return a number for people, with so many significant digits: `0.0412`, `13.9`, `1,234`.

    Only zero itself is `0`; numbers below 0.0001 have an exponent.
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    # Rounded first: 0.09996 has as many places after the point as 0.1.
    rounded = float(f"{value:.{digits - 1}e}")
    if abs(rounded) < _SMALL:
        return f"{value:.{digits - 1}e}"
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{value:,.{max(0, places)}f}"


def plural(count: int, noun: str, several: str | None = None) -> str:
    """Return a count with its noun: `1 image`, `2,000 images`; `several` where it takes no s."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def finite_json(value: Any) -> Any:
    """Return a value of JSON's types as strict readers take it.

    JSON has no NaN and no infinity, they become null; nor bytes that are no text, they become
    escapes. A path becomes its name, a tuple a list.
    """
    if isinstance(value, Mapping):
        return {_text(str(key)): finite_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _text(str(value)) if isinstance(value, str | PurePath) else value


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return printable(text)
    return text


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte of a file's name that is not UTF-8, as Python holds it.
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
