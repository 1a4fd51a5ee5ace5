"""What a file says of itself, checked against the types of its fields.

A checksum is no signature: anyone can write a file whose checksum fits. The types of what is stored
are dataclasses, whose fields have the types below where any number or text would be too much.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from aecli.errors import InputError
from aecli.printable import printable

T = TypeVar("T")

# Beyond it other programs round whole numbers of JSON.
_MOST = 2**53
Count = Annotated[int, Meta(ge=0, le=_MOST)]
Positive = Annotated[int, Meta(ge=1, le=_MOST)]
# Neither NaN nor infinite.
Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
NotNegative = Annotated[float, Meta(ge=0, le=sys.float_info.max)]
# What may be the name of a file: no NUL, and surrogates only where they stand for a byte that is
# no UTF-8.
Text = Annotated[str, Meta(pattern="\\A[^\\0\ud800-\udc7f\udd00-\udfff]*\\Z")]
PixelType = Annotated[str, Meta(pattern=r"\A(uint8|uint16|float32)\Z")]
# A SHA-256 in hexadecimal digits.
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]

# What is expected where a text does not match the pattern that has the key in it.
_PATTERNS = {
    "0-9a-f": "64 hexadecimal digits",
    "uint8": "uint8, uint16 or float32",
    "": "text that can be the name of a file",
}


def read_as(kind: type[T], value: Any, where: str, *, others: bool = False) -> T:
    """Return a value of JSON's types as a dataclass, whose fields have exactly their types.

    A dataclass may check more in its `__post_init__`, with an `InputError`. `where` is what errors
    call the file. With `others`, there may be fields that the dataclass does not have.

    Raises:
        InputError: a field is missing, of another type, out of range or unknown.

    """
    try:
        read = msgspec.convert(value, kind, strict=True)
        unknown = None if others else next(_unknown_fields(value, kind), None)
    except msgspec.ValidationError as error:
        raise InputError(f"{where} {_explained(str(error))}") from error
    except UnicodeEncodeError as error:
        raise InputError(f"{where} has a name that is no text: {printable(str(error))}") from error
    except InputError as error:
        raise InputError(f"{where} cannot be used: {error}") from error
    if unknown is not None:
        raise InputError(f"{where} has an unknown field: {printable(unknown)}")
    return read


def _explained(message: str) -> str:
    """Return what msgspec says as the end of a sentence that begins with the file."""
    reason, _, place = printable(message).partition(" - at ")
    reason = reason[:1].lower() + reason[1:].replace("`", "")
    expected, is_pattern, pattern = reason.partition("str matching regex ")
    if is_pattern:
        reason = expected + next(words for key, words in _PATTERNS.items() if key in pattern)
    place = place.replace("`", "").replace("$.", "").replace("$", "")
    return f"has a bad field {place}: {reason}" if place else f"is damaged: {reason}"


def _unknown_fields(value: Any, kind: Any, place: str = "") -> Iterator[str]:
    """Yield the places of the fields of a value that its dataclasses do not have."""
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
        hints = _hints(kind)
        for name, inner in value.items():
            if name in hints:
                yield from _unknown_fields(inner, hints[name], f"{place}{name}.")
            else:
                yield f"{place}{name}"
    elif isinstance(value, list | Mapping):
        for inner in value if isinstance(value, list) else [value]:
            for each in get_args(kind):
                yield from _unknown_fields(inner, each, place)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
