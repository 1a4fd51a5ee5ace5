"""Errors of Python's own types, with keywords in place of options."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from aecli.config import SETTINGS
from aecli.errors import AecliError, InputError

# Keywords of the estimator and of functions that are no settings.
_KEYWORDS = (*SETTINGS, "validation", "test", "split_seed", "rescale", "size", "sample")


@contextmanager
def python_errors() -> Iterator[None]:
    """Raise errors of ours as Python's.

    Raises:
        ValueError: the input is bad.
        RuntimeError: the work failed for a reason outside the program.

    """
    try:
        yield
    except InputError as error:
        raise ValueError(with_keywords(str(error))) from error
    except AecliError as error:
        raise RuntimeError(with_keywords(str(error))) from error


def with_keywords(text: str) -> str:
    """Return a message of the shell with keywords in place of options, where there are such."""

    def keyword(match: re.Match[str]) -> str:
        name = match[1].replace("-", "_")
        return name if name in _KEYWORDS else match[0]

    return re.sub(r"--([a-z][a-z-]*[a-z])", keyword, text)
