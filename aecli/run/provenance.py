"""Where codes came from, as it is stored beside them."""

from dataclasses import dataclass

from aecli.config import SplitName
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.validated import Count, NotNegative, Positive, Sha256, Text


@dataclass(frozen=True)
class Provenance:
    """What `NAME.json` says of codes (rows, dimensions).

    `class_names` are those of the data set `data`, `run_classes` the names of all classes that the
    run was trained on, or their numbers. `label_weight` is that of the run, 0 where it used no
    labels; None where that is not known.

    Raises:
        InputError: there is not one name of a file for each of the rows.

    """

    data: Text
    source: Source
    split: SplitName
    fingerprint: Sha256
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

    def __post_init__(self) -> None:
        if self.row_ids is not None and len(self.row_ids) != self.rows:
            raise InputError(f"it has {len(self.row_ids):,} row_ids for {self.rows:,} rows")
