"""The source of a data set: all it takes to open it again with the same rows and splits."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from aecli.addresses import address_of, expand_braces, is_address, split_member
from aecli.config import DEFAULT_SHARE, DEFAULT_SPLIT_SEED
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.validated import Count, Finite, NotNegative, PixelType, Text, read_as

MOST_SIDE = 4096
# Where an array is that a program has in memory.
IN_MEMORY = "array"


@dataclass(frozen=True)
class Source:
    """Where a data set is, and how it is read and split.

    `location` is a known name, an absolute path or an address, `PATH:NAME` for an array in a file,
    or `IN_MEMORY`; `labels` is an absolute path or an address, maybe `PATH:NAME` too, or None.
    Where the data have no splits of their own, `validation` and `test` are the shares of rows drawn
    for them, and `split_seed` seeds the draw; with a `test` share of 0 the validation rows are
    tested on.
    `rescale` is (low, high), the pixel values that become 0 and 1, or None for the scaling of the
    pixels' type; "auto" finds it in the training images. `size` is the (height, width) that images
    are stretched to; with `grayscale` they become gray, with `color` gray ones become RGB. `kind`
    is the type that image files of 8 and 16 bits are decoded to, None for their own.
    `ground` is what transparent images lie on, black where it is None; "auto" chooses it by the
    images. `columns` are the mean and the deviation of each column of vectors, which are
    standardised by them, whatever `rescale` is, and `reach` is how many deviations the training
    rows are at most from the mean. A `Dataset.source` has the choices instead of "auto". With
    `no_labels` the data are read as if they had none. With `skip_broken` image files that cannot be
    read are left out. `features` is an absolute path, the array that says which images are
    neighbours, a row for each image, or None where their pixels say it.

    Raises:
        InputError: a value is out of range.

    """

    location: Text
    labels: Text | None = None
    validation: Finite = DEFAULT_SHARE
    test: Finite = DEFAULT_SHARE
    split_seed: Count = DEFAULT_SPLIT_SEED
    rescale: tuple[Finite, Finite] | Literal["auto"] | None = "auto"
    size: tuple[Count, Count] | None = None
    grayscale: bool = False
    no_labels: bool = False
    ground: Literal["black", "white", "auto"] | None = "auto"
    skip_broken: bool = False
    columns: tuple[tuple[Finite, ...], tuple[Finite, ...]] | None = None
    reach: NotNegative | None = None
    color: bool = False
    kind: PixelType | None = None
    features: Text | None = None

    def __post_init__(self) -> None:
        if self.no_labels and self.labels is not None:
            raise InputError("--labels and --no-labels exclude each other")
        if not 0 < self.validation < 1:
            raise InputError(f"--validation must lie between 0 and 1, got {self.validation:g}")
        if not 0 <= self.test < 1:
            raise InputError(f"--test must be 0, or lie between 0 and 1, got {self.test:g}")
        if self.validation + self.test >= 1:
            raise InputError(
                f"--validation {self.validation:g} and --test {self.test:g} leave no images to "
                "train on: expected less than 1 together"
            )
        if not 0 <= self.split_seed < 2**32:
            raise InputError(f"--split-seed must lie in 0..4294967295, got {self.split_seed}")
        if self.size is not None and not all(1 <= length <= MOST_SIDE for length in self.size):
            raise InputError(
                f"--size {self.size[0]}x{self.size[1]}: expected lengths in 1..{MOST_SIDE}"
            )
        if self.columns is not None and not (
            len(self.columns[0]) == len(self.columns[1])
            and all(size > 0 for size in self.columns[1])
        ):
            raise InputError("the columns of the data have no deviation above 0 for each mean")
        if self.rescale is not None and self.rescale != "auto":
            low, high = self.rescale
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise InputError(
                    f"--rescale {low:g},{high:g}: expected LOW,HIGH with LOW below HIGH"
                )

    @property
    def own_labels(self) -> bool:
        """Whether labels are those of the data themselves, if there are any."""
        return self.labels is None and not self.no_labels

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Source":
        """Return the source that `to_json` wrote, also in an older version, which chose nothing.

        Raises:
            InputError: a field is missing, unknown, of another type or out of range.

        """
        return read_as(cls, {"rescale": None, "ground": None, **values}, "the source of the data")


# The fields that say how images are converted, and how they are split.
_CONVERSION = ("rescale", "size", "grayscale", "ground", "columns", "reach", "color", "kind")
_SPLITTING = ("labels", "validation", "test", "split_seed", "no_labels", "skip_broken", "features")


def choose_source(
    location: str | None,
    options: Mapping[str, Any],
    *,
    like: Source | None = None,
    as_split: bool = False,
) -> Source | None:
    """Return the source at a location, with `options` for its fields; None without a location.

    Where options are missing or None, images are converted like those of the source `like`, and
    with `as_split` they are split like those too.

    Raises:
        InputError: a value is out of range, or there are options without a location.

    """
    given = {name: value for name, value in options.items() if value is not None}
    if location is None:
        if given:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise InputError(f"{flags} without a DATASET: expected the data to read")
        return None
    if is_address(location):
        location = address_of(location)
    if like is None:
        return Source(location, **given)
    inherited = _CONVERSION + (_SPLITTING if as_split else ())
    known = {name: getattr(like, name) for name in inherited}
    if "rescale" in given:
        known["columns"] = known["reach"] = None
    if "rescale" in given or like.rescale is None:
        # A range that is given is one of the files; without one, white of any type is 1.
        known["kind"] = None
    return Source(location, **known | given)


def option_words(options: Mapping[str, Any]) -> list[str]:
    """Return the words of a command line that say `options`, fields of `Source`."""
    words = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "rescale" and value is not None:
            words += [flag, ",".join(str(number) for number in value)]
        elif name == "size" and value is not None:
            words += [flag, "x".join(map(str, value))]
        elif value is not None and value is not False:
            words += [flag] if value is True else [flag, str(value)]
    return words


def located(location: str) -> tuple[Path, str | None]:
    """Split `PATH:NAME`, an array in a file, at its last colon; a path that exists is whole.

    Of an address the path is good for a name of it alone.

    Raises:
        InputError: the path cannot be followed.

    """
    if is_address(location):
        address, name = split_member(location)
        return Path(address), name
    path, colon, name = location.rpartition(":")
    if colon and path and name and kind_of(Path(location)) == "nothing":
        return Path(path), name
    return Path(location), None


def shards(path: Path) -> list[Path]:
    """Return the files that a path with braces names, `a-{000..127}.tar`; one that exists is whole.

    Raises:
        InputError: they are too many, or the path cannot be followed.

    """
    if "{" not in str(path) or kind_of(path) != "nothing":
        return [path]
    return [Path(name) for name in expand_braces(str(path))]


def parse_size(text: str) -> tuple[int, int]:
    """Parse `"28"` (a square) or `"32x48"` (height and width).

    Raises:
        InputError: the text is not a size.

    """
    if not re.fullmatch(r"\d{1,9}(x\d{1,9})?", text, re.ASCII):
        raise InputError(
            f"--size {text!r}: expected pixels, such as 28, or HEIGHTxWIDTH, such as 32x48"
        )
    lengths = text.split("x")
    return int(lengths[0]), int(lengths[-1])


def parse_rescale(text: str) -> tuple[float, float]:
    """Parse `"0,255"`.

    Raises:
        InputError: the text is not two numbers.

    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"--rescale {text!r}: expected two numbers, LOW,HIGH, such as 0,255"
        ) from error
    return low, high
