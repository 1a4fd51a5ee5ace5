"""JSON as text: read from files that anyone may have written, and written without NaN."""

import json
import math
from typing import Any

from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory

# No file that is read here nests half as deep.
_MOST_NESTED = 32
# Above this size the memory is looked at first: of many small objects each byte of text may take
# this many in memory.
_LARGE = 8_000_000
_BYTES_A_CHARACTER = 32


def parse(text: str | bytes, where: str) -> Any:
    """Return the value of a JSON text; `where` is what errors call it.

    `NaN` and `Infinity`, which are no JSON, are read too: checkpoints before format 6 have them.

    Raises:
        InputError: it is not JSON, it has too many digits or brackets in brackets, or it is larger
            than memory.

    """
    if len(text) > _LARGE:
        refuse_beyond_memory(_BYTES_A_CHARACTER * len(text), where, "expected a smaller file")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise InputError(_too_deep(where)) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{where} is not valid JSON: {error}") from error
    except ValueError as error:
        # Python turns no more than 4,300 digits into a whole number.
        raise InputError(f"{where} has a number of thousands of digits") from error
    if _is_too_deep(value):
        raise InputError(_too_deep(where))
    return value


def dump(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON that any program reads: NaN and infinities become null."""
    return json.dumps(_without_nan(value), indent=indent, allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return value


def _is_too_deep(value: Any) -> bool:
    """Return whether lists and objects lie deeper in each other than `_MOST_NESTED`."""
    level = [value]
    for _ in range(_MOST_NESTED):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _too_deep(where: str) -> str:
    return f"{where} has more than {_MOST_NESTED} brackets in brackets"
