"""What a reader returns: images in file order, their labels, and where the splits lie."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.config import SplitName
from aecli.errors import InputError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Some rows of a data set, in the data set's order.

    `images`: uint8 (n, h, w, c) in 0..255. `labels`: int64 (n,), or None without labels.
    """

    images: Images
    labels: Labels | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """An image data set in memory.

    `name` is for people; `source` opens the data set again (a known name or an absolute path).
    `images`: uint8 (n, h, w, c) in 0..255, all splits, in file order. `labels`: int64 (n,), which
    index `class_names` where those are known. `splits` has the rows of train, validation, test.
    """

    name: str
    source: str
    images: Images
    labels: Labels | None
    class_names: tuple[str, ...] | None
    splits: Mapping[str, slice]

    def split(self, name: SplitName) -> Split:
        """Return the rows of one split without a copy; `all` is every row."""
        rows = slice(None) if name == "all" else self.splits[name]
        return Split(self.images[rows], None if self.labels is None else self.labels[rows])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of one image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the shape and the pixels of all images, as hexadecimal digits."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()

    def describe(self) -> "DataDescription":
        """Return what a run and its codes keep of the data set."""
        return DataDescription(
            name=self.name,
            source=self.source,
            fingerprint=self.fingerprint,
            image_shape=self.image_shape,
            class_names=self.class_names,
            rows={name: len(self.images[rows]) for name, rows in self.splits.items()},
        )


@dataclass(frozen=True)
class DataDescription:
    """A data set without its pixels: where it came from and how to tell it from another."""

    name: str
    source: str
    fingerprint: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...] | None
    rows: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DataDescription":
        """Return the description that `to_json` wrote.

        Raises:
            InputError: a field is missing, unknown or of the wrong type.

        """
        try:
            height, width, channels = (int(length) for length in values["image_shape"])
            names = values["class_names"]
            return cls(
                name=str(values["name"]),
                source=str(values["source"]),
                fingerprint=str(values["fingerprint"]),
                image_shape=(height, width, channels),
                class_names=None if names is None else tuple(str(name) for name in names),
                rows={str(split): int(rows) for split, rows in values["rows"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the description of the data is damaged: {error!r}") from error
