"""Data sets of encoded images: their pages, their labels, and what is left out."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aecli.data.arrays import to_images
from aecli.data.cache import EncodedFiles
from aecli.data.dataset import Dataset
from aecli.data.encoded import EncodedImage
from aecli.data.label_files import labels_for
from aecli.data.layout import Layout, layout_of_rows, splits_of_layout
from aecli.data.progress import Bar
from aecli.data.rows import Rows
from aecli.data.source import Source
from aecli.data.survey import Survey, names_of_rows
from aecli.labels import Labelling

# What is counted as left out.
BROKEN = "broken"


@dataclass(frozen=True, eq=False)
class FoundImages:
    """Encoded images that were found, in the order of `layout`.

    `paths`: the files that they are in, whose content decides what they are. `names`: what people
    call them, which are the ids of rows if they are `named`. `read` yields them. `own`: their
    labels where no others are asked for. `splits_of`: the rows of each split of a layout like
    `layout`. `left_out`: how many files are not read, by reason; `own` may change it. `by_row`:
    whether their order says which label is whose.
    """

    name: str
    paths: Sequence[Path]
    names: Sequence[str]
    read: Callable[[], Iterable[EncodedImage]]
    own: Callable[[], Labelling]
    layout: Layout
    left_out: Counter[str]
    splits_of: Callable[[Layout, Source], Mapping[str, Rows]] = splits_of_layout
    has_own_splits: bool = False
    named: bool = True
    by_row: bool = True


def read_found(found: FoundImages, source: Source, bar: Bar) -> Dataset:
    """Return the data set of encoded images.

    Each page of TIFF and GIF is an image; it has the label of its file. Broken files are refused,
    all named at once, or with `source.skip_broken` left out.

    Raises:
        InputError: an image cannot be read, their sizes differ, or the labels do not fit.
        AecliError: the cache folder cannot be written.

    """
    layout = found.layout
    files = EncodedFiles(found.paths, found.read, found.names, source, bar)
    row_ids = names_of_rows(found.names, files.survey)
    of_rows = files.survey.files_of_rows()
    labelling = labels_for(
        source,
        lambda: _of_rows(found.own(), of_rows),
        len(row_ids),
        row_ids if found.named else None,
        overridden=layout.in_folders,
        by_row=found.by_row,
    )
    decoded = files.decode()
    labels = labelling.labels
    if not decoded.kept.all():
        row_ids = tuple(row_ids[place] for place in decoded.kept.nonzero()[0].tolist())
        labels = None if labels is None else labels[decoded.kept]
    kept = replace(layout_of_rows(layout, of_rows[decoded.kept]), labels=labels)
    left_out = found.left_out + Counter(labelling.left_out) + Counter(decoded.survey.others)
    left_out[BROKEN] += len(decoded.survey.broken)
    left_out["beside the splits"] += layout.outside
    return Dataset(
        name=found.name,
        source=decoded.source,
        images=to_images(decoded.array, source.location, source.rescale),
        labels=labels,
        class_names=labelling.class_names,
        splits=found.splits_of(kept, source),
        has_own_splits=found.has_own_splits,
        row_ids=row_ids if found.named else None,
        left_out=+left_out,
        split_names=layout.split_names,
        converted=decoded.converted,
        broken=_broken_files(found.names, decoded.survey),
    )


def _of_rows(labelling: Labelling, files: npt.NDArray[np.int64]) -> Labelling:
    """Return the labels of rows, of which each file may have several."""
    labels, numbers = labelling.labels, labelling.numbers
    return replace(
        labelling,
        labels=None if labels is None else labels[files],
        numbers=None if numbers is None else numbers[files],
    )


def _broken_files(names: Sequence[str], survey: Survey) -> Mapping[str, str]:
    """Return why files cannot be read, by their names."""
    return {names[place]: reason for place, reason in sorted(survey.broken.items())}
