"""Where codes came from, as it is stored beside them."""

from dataclasses import dataclass

from aecli.config import SplitName
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.run.part import Part
from aecli.validated import Count, NotNegative, Positive, Sha256, Text


@dataclass(frozen=True)
class PartRows:
    """Which rows a part of codes has, and what its images are.

    It is part `index` of `count`: the rows `start` to `stop`, the last not among them, of a split
    of `rows`. `pixels_sha256` is over type, shape and pixels of its images. `data_fingerprint` is
    what that of all images has to be, where they are those of the run. `made_on`: the library and
    the processor or accelerator that computed it, on which the last bits depend.

    Raises:
        InputError: a part has other rows.

    """

    index: Count
    count: Positive
    start: Count
    stop: Positive
    rows: Positive
    pixels_sha256: Sha256
    data_fingerprint: Sha256 | None
    made_on: Text

    def __post_init__(self) -> None:
        if (self.start, self.stop) != self.part.bounds(self.rows):
            raise InputError(f"part {self.part} has other rows than {self.start} to {self.stop}")

    @property
    def part(self) -> Part:
        """The part that it is."""
        return Part(self.index, self.count)


@dataclass(frozen=True)
class Provenance:
    """What `NAME.json` says of codes (rows, dimensions).

    `part` tells of codes that are one of several parts; they do not know the `fingerprint` of all
    images. `class_names` are those of the data set `data`, `run_classes` the names of all classes
    that the run was trained on, or their numbers. `label_weight` is that of the run, 0 where it
    used no labels; None where that is not known.

    Raises:
        InputError: there is not one name of a file for each of the rows, or what a part says of
            itself does not fit together.

    """

    data: Text
    source: Source
    split: SplitName
    fingerprint: Sha256 | None
    rows: Positive
    dimensions: Positive
    class_names: tuple[Text, ...] | None
    codes_sha256: Sha256
    labels_sha256: Sha256 | None
    sha256: Sha256
    model_sha256: Sha256 | None = None
    recipe: Text | None = None
    epoch: Count | None = None
    trained_on: Text | None = None
    row_ids: tuple[Text, ...] | None = None
    run_classes: tuple[Text, ...] | None = None
    label_weight: NotNegative | None = None
    part: PartRows | None = None

    def __post_init__(self) -> None:
        if self.row_ids is not None and len(self.row_ids) != self.rows:
            raise InputError(f"it has {len(self.row_ids):,} row_ids for {self.rows:,} rows")
        if (self.fingerprint is None) != (self.part is not None):
            raise InputError(
                "it has a bad field fingerprint: expected one of all images, or of a part none"
            )
        if self.part is not None and self.part.stop - self.part.start != self.rows:
            raise InputError(f"it has {self.rows:,} rows, part {self.part.part} has others")
