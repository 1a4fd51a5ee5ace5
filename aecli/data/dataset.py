"""A data set: images in file order, their labels, and the rows of each split."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from aecli.config import SplitName
from aecli.data.feature_file import read_features
from aecli.data.rows import Rows, count_of, rows_at, rows_between, spread_evenly
from aecli.data.source import Source
from aecli.data.stored import StoredImages, blocks, rows_at_a_time
from aecli.errors import InputError
from aecli.labels import UNKNOWN, Labels
from aecli.pixels import MOST_CHANNELS, Images, scale_of
from aecli.printable import plural
from aecli.validated import Count, PixelType, Positive, Sha256, Text

# So many numbers of classes are kept with a run.
_MOST_CLASSES = 10_000


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a data set, in the data set's order, in memory.

    `images`: uint8, uint16 or float32 (n, h, w, c), from 0 to `scale_of` their type. `labels`:
    int64 (n,), or None. `row_ids`: the file names of the rows, or None.
    """

    images: Images
    labels: Labels | None
    row_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """An image data set, its pixels in memory or in a file.

    `name` is for people; `source` opens the data set again. `images`: uint8, uint16 or float32
    (n, h, w, c), all splits, in file order. `labels`: int64 (n,), indices into `class_names` where
    those are known. `splits`: the rows of train, validation and test; `has_own_splits`: whether
    they came with the data. `row_ids`: the file names of the rows, where they have any.
    `vectors`: whether the data came as vectors (n, p), held here as images one pixel high, or
    square ones. `left_out`: how many files were not read, by reason. `split_names`: what each split
    is called where the data come from. `found_range`: whether the range of `source.rescale` is what
    the training images use, not what was asked for. `outside`: bool (n,), the rows with pixels
    below 0 or above 1, or None where there are none; of standardised vectors, those that are
    further from the mean than any training row. `converted`: how many images did not have the size,
    the channels or the bits that all have now, by what was done. `broken`: why image files could
    not be read and were left out, by their names. `axes`: what was assumed of the axes of an array
    whose format does not say it, in words. `features_file`: where the features are on this machine,
    if not where the source says.
    """

    name: str
    source: Source
    images: Images | StoredImages
    labels: Labels | None
    class_names: tuple[str, ...] | None
    splits: Mapping[str, Rows]
    has_own_splits: bool = True
    row_ids: tuple[str, ...] | None = None
    vectors: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)
    split_names: Mapping[str, str] = field(default_factory=dict)
    found_range: bool = False
    outside: npt.NDArray[np.bool_] | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    converted: Mapping[str, int] = field(default_factory=dict)
    axes: str | None = None
    features_file: Path | None = None

    def rows(self, name: SplitName) -> Rows:
        """Return the rows of one split, ascending; `all` means every row.

        Raises:
            InputError: the data set has too few images for this split.

        """
        if name == "all":
            return slice(0, len(self.images))
        self.check_splits(name)
        return self.splits[name]

    def split(self, name: SplitName) -> Split:
        """Read the rows of one split; `all` means every row.

        Raises:
            InputError: the data set has too few images for this split.

        """
        rows = self.rows(name)
        return Split(self.images[rows], self.labels_of(name), self.row_ids_of(name))

    @property
    def rows_at_a_time(self) -> int:
        """How many images to read at a time."""
        return rows_at_a_time(self.images)

    def batches(
        self, name: SplitName, size: int, bounds: tuple[int, int] | None = None
    ) -> Iterator[Images]:
        """Read the images of one split in order, in batches of `size`.

        `bounds` are the first of them and the one after the last; None for all.
        """
        rows, (first, end) = self.rows(name), bounds or (0, self.count(name))
        for start in range(first, end, size):
            yield self.images[rows_between(rows, start, min(start + size, end))]

    def digest_of(self, count: int) -> "hashlib._Hash":
        """Return the beginning of a SHA-256 over `count` images, to be updated with their pixels.

        Over all images it is the `fingerprint`.
        """
        return hashlib.sha256(f"{self.images.dtype} {(count, *self.images.shape[1:])}".encode())

    def sample(self, name: SplitName, most: int) -> Split:
        """Read at most `most` rows of a split, evenly spread over it."""
        rows, count = self.rows(name), self.count(name)
        if count > most:
            rows = rows_at(rows, spread_evenly(count, most))
        return Split(self.images[rows], None if self.labels is None else self.labels[rows])

    def mean_image(self, name: SplitName) -> npt.NDArray[np.float64]:
        """Return the mean of the images of a split, (h, w, c) in 0..1."""
        rows, total = self.rows(name), np.zeros(self.image_shape)
        for batch in self.batches(name, self.rows_at_a_time):
            total += batch.sum(axis=0, dtype=np.float64)
        return total / count_of(rows) / scale_of(self.images.dtype)

    def labels_of(self, name: SplitName) -> Labels | None:
        """Return the labels of one split."""
        return None if self.labels is None else self.labels[self.rows(name)]

    def row_ids_of(self, name: SplitName) -> tuple[str, ...] | None:
        """Return the file names of one split."""
        if self.row_ids is None:
            return None
        return tuple(np.array(self.row_ids)[self.rows(name)].tolist())

    def count(self, name: SplitName) -> int:
        """Return the number of rows of a split, without reading them."""
        return len(self.images) if name == "all" else count_of(self.splits[name])

    def check_splits(self, *names: SplitName) -> None:
        """Raise `InputError` if one of these splits is empty: the data set has too few images."""
        for name in names:
            if self.count(name) == 0:
                raise InputError(
                    f"{self.source.location} has {plural(len(self.images), 'image')}, too few "
                    f"for a {name} split: expected more, or larger shares with --validation and "
                    "--test"
                )

    def outside_count(self, name: SplitName, bounds: tuple[int, int] | None = None) -> int:
        """Return how many images of a split are `outside`; `bounds` as of `batches`."""
        if self.outside is None:
            return 0
        chosen = self.outside[self.rows(name)]
        return int(np.count_nonzero(chosen if bounds is None else chosen[slice(*bounds)]))

    def outside_note(self, name: SplitName) -> str | None:
        """Return in words how many images of a split have pixels beyond 0..1; None for none."""
        count = self.outside_count(name)
        if count == 0:
            return None
        if self.standardised:
            return (
                f"{count:,} of {self.count(name):,} vectors are further from the mean than any "
                f"that the columns were measured on, {self.source.reach:.3g} deviations"
            )
        low, high = self.range
        taken = ", which is taken as 0..1" if self.source.rescale else ""
        return (
            f"{count:,} of {plural(self.count(name), 'image')} reach beyond "
            f"{low:g}..{high:g}{taken}; --rescale decides otherwise"
        )

    @property
    def standardised(self) -> bool:
        """Whether the rows are vectors, each column less its mean and divided by its deviation."""
        return self.source.columns is not None

    @property
    def range(self) -> tuple[float, float]:
        """The pixel values, as they came, that are taken as 0 and 1."""
        rescale = self.source.rescale
        if rescale is None or rescale == "auto":
            return 0.0, scale_of(self.images.dtype)
        return rescale

    @property
    def nbytes(self) -> int:
        """The size of all pixels in memory."""
        return self.images.nbytes

    @property
    def image_bytes(self) -> int:
        """The size of the pixels of one image."""
        return self.images.nbytes // len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of one image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @cached_property
    def features(self) -> npt.NDArray[np.float32] | None:
        """The features of all images, float32 (n, f), which are read when they are asked for.

        None where the source names no file of them.

        Raises:
            InputError: the file cannot be read, or has not a row for each image.

        """
        if self.source.features is None:
            return None
        path = self.features_file or Path(self.source.features)
        return read_features(path, len(self.images), self.name)

    def features_of(self, name: SplitName) -> npt.NDArray[np.float32] | None:
        """Return the features of one split, or None; raises as `features`."""
        return None if self.features is None else self.features[self.rows(name)]

    def feature_batches(self, name: SplitName, size: int) -> Iterator[npt.NDArray[np.float32]]:
        """Return the features of one split in order, in batches of `size`.

        Raises:
            InputError: there are none; and as `features`.

        """
        if self.features is None:
            raise InputError(f"{self.name} has no features: expected --features FILE.npy")
        rows = self.rows(name)
        for start in range(0, self.count(name), size):
            yield self.features[rows_between(rows, start, start + size)]

    @cached_property
    def features_digest(self) -> str | None:
        """SHA-256 over the features, in hex; None where there are none. Raises as `features`."""
        if self.features is None:
            return None
        digest = hashlib.sha256(str(self.features.shape).encode())
        digest.update(self.features.data)
        return digest.hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over type, shape and pixels of all images, as hexadecimal digits."""
        digest = self.digest_of(len(self.images))
        for block in blocks(self.images):
            digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()

    @cached_property
    def splits_digest(self) -> str:
        """SHA-256 over the rows of each split, as hexadecimal digits."""
        digest = hashlib.sha256()
        for name in sorted(self.splits):
            rows = self.splits[name]
            digest.update(name.encode())
            digest.update(str(rows).encode() if isinstance(rows, slice) else rows.tobytes())
        return digest.hexdigest()

    @cached_property
    def labels_digest(self) -> str:
        """SHA-256 over the labels, if any, and the names of their classes, in hex."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def describe(self) -> "DataDescription":
        """Return the description of the data set that is saved with a run and its codes."""
        return DataDescription(
            name=self.name,
            source=self.source,
            fingerprint=self.fingerprint,
            image_shape=self.image_shape,
            pixels=self.images.dtype.name,
            class_names=self.class_names,
            rows={
                "train": self.count("train"),
                "validation": self.count("validation"),
                "test": self.count("test"),
            },
            splits_digest=self.splits_digest,
            labels_digest=self.labels_digest,
            class_numbers=self._class_numbers(),
            features_digest=self.features_digest,
        )

    def _class_numbers(self) -> tuple[int, ...] | None:
        """Return the labels that occur in any split, in order, where they have no names."""
        if self.labels is None or self.class_names is not None:
            return None
        numbers = np.unique(self.labels[self.labels != UNKNOWN])
        return tuple(numbers.tolist()) if len(numbers) <= _MOST_CLASSES else None


@dataclass(frozen=True)
class DataDescription:
    """A data set without its pixels: where it came from, and what identifies it.

    `splits_digest` is None in checkpoints of format 1, `labels_digest` in those before format 6.
    `class_numbers`: the labels that occur, where they have no names; None in older checkpoints.
    `features_digest` is None where images are near each other by their pixels.

    Raises:
        InputError: `rows` are not those of train, validation and test.

    """

    name: Text
    source: Source
    fingerprint: Sha256
    image_shape: tuple[Positive, Positive, Annotated[int, Meta(ge=1, le=MOST_CHANNELS)]]
    pixels: PixelType
    class_names: tuple[Text, ...] | None
    rows: Mapping[str, Count]
    splits_digest: Sha256 | None = None
    labels_digest: Sha256 | None = None
    class_numbers: tuple[int, ...] | None = None
    features_digest: Sha256 | None = None

    @property
    def all_class_names(self) -> tuple[str, ...] | None:
        """The names of all classes, or their numbers as text; None where they are not known."""
        if self.class_names is not None or self.class_numbers is None:
            return self.class_names
        return tuple(map(str, self.class_numbers))

    def __post_init__(self) -> None:
        if set(self.rows) != {"train", "validation", "test"}:
            raise InputError("the numbers of rows are not those of train, validation and test")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON's types."""
        return asdict(self)


def left_out_text(left_out: Mapping[str, int]) -> str:
    """Return what was left out as a bracket to end a sentence with; nothing where all was read."""
    return f" (left out: {counted(left_out)})" if left_out else ""


def counted(left_out: Mapping[str, int]) -> str:
    """Return how many files were left out for each reason, as words."""
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()))
