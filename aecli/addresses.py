"""Addresses of data that are elsewhere, without the secrets in them; and lists of names in braces.

A user and a password, and the query that signs an address, are known to this process alone: the
program passes on, stores and says the address without them.
"""

import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from aecli.errors import InputError

# Those that are fetched by plain requests, and those of fsspec.
HTTP = ("https", "http")
STORES = ("s3", "gs", "hf")
SCHEMES = (*STORES, *HTTP)
_SCHEME = re.compile(rf"({'|'.join(SCHEMES)})://", re.IGNORECASE)
# A path has lost one of the slashes.
_PATH = re.compile(rf"({'|'.join(SCHEMES)}):/(?!/)")
# `FILE:NAME` for an array or a column in a file; other names may hold colons.
_MEMBER = re.compile(r"(.+\.(?:npz|h5|hdf5|mat|csv|tsv|parquet)):(.+)", re.IGNORECASE | re.DOTALL)
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})", re.ASCII)
_MOST_NAMES = 100_000

# Addresses as they were given, by what is left of them without their secrets.
_GIVEN: dict[str, str] = {}


def is_address(name: str | Path) -> bool:
    """Return whether a name is the address of data elsewhere, such as `s3://bucket/images.npy`."""
    pattern = _SCHEME if isinstance(name, str) else _PATH
    return pattern.match(str(name)) is not None


def address_of(name: str | Path) -> str:
    """Return an address without its secrets, which `given` knows from now on.

    `name` may be a path that was made of an address.

    Raises:
        InputError: it names nothing, or has a user or a query where its kind takes none.

    """
    text = str(name) if isinstance(name, str) else _PATH.sub(r"\1://", str(name), count=1)
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    place, slash, path = rest.partition("/")
    # It is not shown: any part of it may be one of a secret.
    if not place.rpartition("@")[2]:
        raise InputError(f"an address {scheme}:// names no place: expected {_example(scheme)}")
    if scheme in STORES:
        if "@" in place or re.search(r"[?&][\w-]+=", rest):
            raise InputError(
                f"an address {scheme}:// has no user and no query: expected {_example(scheme)}, "
                "and credentials in the environment or the files of the cloud's own programs"
            )
        return f"{scheme}://{rest.rstrip('/')}"
    host = re.split("[?#]", place.rpartition("@")[2])[0]
    if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(:\d+)?", host):
        raise InputError(
            f"an address {scheme}:// has a host or port that is none: expected {_example(scheme)}, "
            "or USER:PASSWORD@ before it, with %2F, %3F, %23 and %40 for / ? # @ in a password"
        )
    plain = f"{scheme}://{host}{slash}{re.split('[?#]', path)[0]}"
    if plain != text:
        _GIVEN[plain] = text
    return plain


def given(address: str) -> str:
    """Return an address with the secrets that it was given with, to ask for what is there."""
    return _GIVEN.get(address, address)


def without_secrets(text: str) -> str:
    """Return a message without the secrets of any address that this process was given."""
    for plain, full in _GIVEN.items():
        text = text.replace(full, plain)
    return text


def split_member(address: str) -> tuple[str, str | None]:
    """Split `ADDRESS:NAME`, an array or a column of a file."""
    match = _MEMBER.fullmatch(address)
    return (match[1], match[2]) if match else (address, None)


def last_part(address: str) -> str:
    """Return the name of what an address leads to."""
    scheme, _, rest = address.partition("://")
    name = rest.rstrip("/").rpartition("/")[2]
    return urllib.parse.unquote(name) if scheme in HTTP else name


def expand_braces(text: str) -> list[str]:
    """Return the names that braces stand for: `a-{000..127}.tar`, `{train,test}.tar`.

    Numbers have as many digits as the first one. A text without such braces is the only name.

    Raises:
        InputError: they are too many, or a range ends before it begins.

    """
    names = [""]
    end = 0
    for match in _BRACES.finditer(text):
        choices = list(_choices(match[1], text))
        names = [name + text[end : match.start()] + choice for name in names for choice in choices]
        end = match.end()
        if len(names) > _MOST_NAMES:
            raise InputError(f"{text} stands for more than {_MOST_NAMES:,} names: name fewer")
    return [name + text[end:] for name in names]


def _choices(inside: str, text: str) -> Iterator[str]:
    """Yield what the inside of braces stands for."""
    ends = _RANGE.fullmatch(inside)
    if ends is None:
        yield from (inside.split(",") if "," in inside else ["{" + inside + "}"])
        return
    first, last = int(ends[1]), int(ends[2])
    if not first <= last < first + _MOST_NAMES:
        raise InputError(
            f"{text}: {{{inside}}} stands for no range: expected {{FIRST..LAST}}, of at most "
            f"{_MOST_NAMES:,} names"
        )
    yield from (f"{number:0{len(ends[1])}d}" for number in range(first, last + 1))


def _example(scheme: str) -> str:
    places = {"s3": "BUCKET/NAME", "gs": "BUCKET/NAME", "hf": "datasets/USER/NAME/FILE"}
    return f"{scheme}://{places.get(scheme, 'HOST/NAME')}"
