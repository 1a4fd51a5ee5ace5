"""Labels in a file of their own: arrays and tables, matched with images by name or by row."""

import itertools
import posixpath
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aecli.data.source import Source, located
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import (
    UNKNOWN,
    Array,
    Labelling,
    check_fits,
    labels_of_array,
    labels_of_cells,
    labels_of_values,
)
from aecli.memory import refuse_beyond_memory

if TYPE_CHECKING:
    from aecli.data.parquet_file import FileTable

# What columns of labels and of names of files are called, without regard to case, blanks and
# underscores; the first that is there counts.
_LABELS = ("label", "labels", "class", "target", "category", "y")
_NAMES = ("file", "filename", "filepath", "image", "imagename", "imagepath", "path", "id",
          "imageid", "name")  # fmt: skip
# They count rows, and are labels in no table.
_IDS = ("id", "imageid", "index", "")
_DELIMITERS = ",;\t"
# So much of the first row is looked at to find what separates its cells.
_LONGEST_ROW = 1_000_000
# What a table takes in memory, at most, for each byte of its file: a cell of one character.
_BYTES_PER_BYTE = 40
# What is left out because of a file of labels.
_OVERRIDDEN = "labels of the data themselves"
_WITHOUT_IMAGE = "rows of labels without an image"


class _Table(NamedTuple):
    """The columns of a table that count: what each row is called, and its label.

    `kind` is what the labels are, as `labels_of_values` has it, or None for cells of text.
    """

    names: list[str] | None
    labels: list[object]
    kind: str | None


def labels_for(
    source: Source,
    own: Callable[[], Labelling],
    rows: int,
    row_ids: Sequence[str] | None = None,
    *,
    overridden: int = 0,
    by_row: bool = True,
) -> Labelling:
    """Return the labels of a data set of `rows` images: those that its source asks for.

    They are none, those of the file `source.labels`, or else its `own`; numbers that are no classes
    are set aside. `row_ids` and `by_row` as in `read_labels`. `overridden`: how many labels of
    its own it has, which a file takes the place of.

    Raises:
        InputError: as `read_labels`, or `own` raises it.

    """
    if source.no_labels:
        return Labelling()
    if source.labels is None:
        return own().classes()
    found = read_labels(source.labels, rows, row_ids, by_row=by_row).classes()
    if not overridden:
        return found
    return replace(found, left_out={**found.left_out, _OVERRIDDEN: overridden})


def read_labels(
    name: str, rows: int, row_ids: Sequence[str] | None = None, *, by_row: bool = True
) -> Labelling:
    """Read the labels of `rows` rows from a file.

    `.npy`, `.npz` (one array, or `FILE:NAME`) and IDX have one label for each row. Tables (`.csv`,
    `.tsv`, Parquet), of which `FILE:NAME` names a column, may name the rows: by the whole name of
    `row_ids`, else by its last part, else by that without a suffix. A row that no line of the table
    names is `UNKNOWN`. Without `by_row` nothing but such names will do.

    Raises:
        InputError: there is no such file, it is damaged, or its labels do not fit the rows.

    """
    path, member = located(name)
    if kind_of(path) in ("nothing", "folder"):
        raise InputError(f"no such file of labels: {path}")
    table = _read_table(path, rows, row_ids, member)
    if table is None:
        if not by_row:
            raise _no_names(path)
        return labels_of_array(_read_array(path, member, rows), rows, name)
    if table.names is not None and row_ids is not None:
        return _matched(table, row_ids, path)
    if not by_row:
        raise _no_names(path)
    if len(table.labels) != rows:
        raise InputError(f"{path} has {len(table.labels):,} rows of labels: expected {rows:,}")
    return _labels_of(table, table.labels, path)


def _no_names(path: Path) -> InputError:
    return InputError(
        f"{path} does not say which image each label is of: expected a table with a column called "
        "file, as folders of splits have no order"
    )


def _labels_of(table: _Table, values: list[object], path: Path) -> Labelling:
    if table.kind is not None:
        return labels_of_values(values, table.kind, str(path))
    return labels_of_cells([str(value) for value in values], str(path))


def _read_array(path: Path, member: str | None, rows: int) -> Array:
    from aecli.data.idx import open_idx
    from aecli.data.npz_file import read_arrays
    from aecli.data.reading import first_bytes
    from aecli.npy import open_npy

    start = first_bytes(path)
    if start.startswith(b"PK"):
        read = read_arrays(path, lambda names, _: [_choose_array(names, member, path)])
        return next(iter(read.values()))
    if member is not None:
        raise InputError(f"{path} is no .npz file: it has no arrays with names such as {member}")
    is_npy = start.startswith(np.lib.format.MAGIC_PREFIX)
    values = open_npy(path, text=True) if is_npy else open_idx(path, ndim=1)
    # The file may be much larger than labels are: it is read when it is known to fit.
    check_fits(values.shape, values.dtype, rows, str(path))
    return values[:]


def _choose_array(names: Collection[str], member: str | None, path: Path) -> str:
    if member is None and len(names) == 1:
        return next(iter(names))
    if member in names:
        return str(member)
    raise InputError(
        f"{path} holds {', '.join(sorted(names)) or 'nothing'}: expected the name of one of them, "
        f"as in {path.name}:NAME"
    )


def _read_table(
    path: Path, rows: int, row_ids: Sequence[str] | None, column: str | None
) -> _Table | None:
    """Return a table, or None where a file is none: by its content, or else by its suffix.

    `column` is that of the labels; None for the one that is called so.
    """
    from aecli.data.parquet_file import MAGIC
    from aecli.data.reading import first_bytes

    if first_bytes(path).startswith(MAGIC):
        return _read_parquet(path, column)
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return _read_text(path, rows, row_ids, column)
    return None


def _read_parquet(path: Path, column: str | None) -> _Table:
    from aecli.data.parquet_file import label_kind, open_table
    from aecli.data.reading import reading, state_of

    with reading(path) as file, open_table(file, path) as table:
        _check_size(state_of(file).size, path)
        kinds = {field.name: label_kind(field.type) for field in table.schema}
        columns = [name for name, kind in kinds.items() if kind]
        names, label = _choose_columns(columns, path, column)
        if names is not None and kinds[columns[names]] not in ("text", "whole"):
            names = None
        of_rows = None if names is None else _column(table, columns[names])
        return _Table(
            None if of_rows is None else ["" if one is None else str(one) for one in of_rows],
            _column(table, columns[label]),
            kinds[columns[label]],
        )


def _column(table: "FileTable", name: str) -> list[object]:
    return [value for values in table.values(name) for value in values]


def _read_text(path: Path, rows: int, row_ids: Sequence[str] | None, column: str | None) -> _Table:
    with _lines(path) as lines:
        first = next(lines, [])
        if len(first) <= 1:
            if column is not None and column not in first:
                raise _no_column(first, column, path)
            return _Table(None, _single_column(first, lines, rows, path, column), None)
        is_row = column is None and _is_row(first, row_ids)
        names, label = (0, 1) if is_row else _choose_columns(first, path, column)
        body = itertools.chain([first] if is_row else [], lines)
        of_rows: list[str] = []
        labels: list[object] = []
        for number, line in enumerate(body, 2):
            if not line:
                continue
            if len(line) != len(first):
                raise InputError(
                    f"{path}, row {number:,}, has {len(line)} cells: expected {len(first)}, as its "
                    "first row has"
                )
            labels.append(line[label])
            if names is not None:
                of_rows.append(line[names])
    return _Table(None if names is None else of_rows, labels, None)


def _is_row(first: Sequence[str], row_ids: Sequence[str] | None) -> bool:
    """Return whether the first row of a table is no header, but names an image and its label."""
    if len(first) != 2 or row_ids is None or any(_key(c) in (*_LABELS, *_NAMES) for c in first):
        return False
    return bool(_Places(row_ids).find(first[0]))


def _single_column(
    first: Sequence[str], lines: Iterator[list[str]], rows: int, path: Path, column: str | None
) -> list[object]:
    """Return the labels of a table of one column, which may have a name, such as `column`."""
    labels: list[object] = []
    empty = 0
    for number, line in enumerate(lines, 2):
        if len(line) > 1:
            raise InputError(f"{path}, row {number:,}, has {len(line)} cells: expected 1")
        # Empty lines are labels that are missing, but not at the end.
        if line:
            labels += [""] * empty + [line[0]]
        empty = 0 if line else empty + 1
    named = bool(first) and (first[0] == column or _key(first[0]) in _LABELS)
    if len(labels) + 1 == rows and not named:
        labels.insert(0, first[0] if first else "")
    return labels


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[list[str]]]:
    """Read a table of text, row by row."""
    import csv
    import io

    from aecli.data.reading import reading, state_of

    with reading(path) as file:
        _check_size(state_of(file).size, path)
        start = file.readline(_LONGEST_ROW)
        file.seek(0)
        found = {mark: start.count(mark.encode()) for mark in _DELIMITERS}
        delimiter = "\t" if path.suffix.lower() == ".tsv" else max(found, key=found.__getitem__)
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            yield csv.reader(text, delimiter=delimiter)
        except csv.Error as error:
            raise InputError(f"{path} is no table: {error}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8: expected a table of text in UTF-8") from error
        finally:
            # The file is not the wrapper's to close.
            text.detach()


def _check_size(size: int, path: Path) -> None:
    refuse_beyond_memory(_BYTES_PER_BYTE * size, f"the table {path}", "take its labels alone")


def _key(name: str) -> str:
    return "".join(c for c in name.casefold() if c not in " _-").strip()


def _choose_columns(
    columns: Sequence[str], path: Path, wanted: str | None
) -> tuple[int | None, int]:
    """Return the places of the column of names, if any, and of that of labels, or the `wanted`."""
    keys = [_key(column) for column in columns]
    names = next((keys.index(key) for key in _NAMES if key in keys), None)
    if wanted is not None:
        if wanted not in columns:
            raise _no_column(columns, wanted, path)
        place = columns.index(wanted)
        return (None if names == place else names), place
    label = next((keys.index(key) for key in _LABELS if key in keys), None)
    if label is None:
        others = [i for i, key in enumerate(keys) if i != names and key not in _IDS]
        if len(others) != 1:
            raise InputError(
                f"{path} has the columns {', '.join(columns)[:80]}: expected one called "
                f"{', '.join(_LABELS)}"
            )
        label = others[0]
    return names, label


def _no_column(columns: Sequence[str], wanted: str, path: Path) -> InputError:
    return InputError(
        f"{path} has no column {wanted}: expected one of {', '.join(columns)[:120] or 'its own'}"
    )


class _Places:
    """Where images are among `row_ids`, by their whole names and by parts of these.

    The name of a file of pages means them all.
    """

    def __init__(self, row_ids: Sequence[str]) -> None:
        self._levels: list[dict[str, str]] = [{}, {}, {}]
        # Those that several images have, at some level.
        self._shared: list[set[str]] = [set(), set(), set()]
        self._rows: dict[str, list[int]] = {}
        for place, row_id in enumerate(row_ids):
            self._add(row_id, place)
            file, mark, page = row_id.rpartition("#")
            if mark and page.isdecimal() and _names(file)[2] != _names(file)[1]:
                self._add(file, place)

    def _add(self, row_id: str, place: int) -> None:
        rows = self._rows.setdefault(row_id, [])
        rows.append(place)
        if len(rows) > 1:
            return
        for known, shared, name in zip(self._levels, self._shared, _names(row_id), strict=True):
            if known.setdefault(name, row_id) != row_id:
                shared.add(name)

    def find(self, name: str) -> Sequence[int]:
        """Return the places of the images of a name, none where there are none.

        Raises:
            InputError: several images have this name.

        """
        whole, last, stem = _names(name)
        # A stem may be all that the table has: `a.b` of `a.b.png`.
        for level, key in ((0, whole), (1, last), (2, last), (2, stem)):
            if key in self._shared[level]:
                raise InputError(
                    f"several images are called {name}: expected their folders too, as in "
                    "folder/file.png"
                )
            if key in self._levels[level]:
                return self._rows[self._levels[level][key]]
        return ()


def _names(name: str) -> tuple[str, str, str]:
    """Return the whole name of an image, its last part, and that without an image's suffix."""
    from aecli.data.image_file import SUFFIXES

    whole = posixpath.normpath(name.strip().replace("\\", "/"))
    last = posixpath.basename(whole)
    stem, suffix = posixpath.splitext(last)
    return whole, last, stem if suffix.lower() in SUFFIXES else last


def _matched(table: _Table, row_ids: Sequence[str], path: Path) -> Labelling:
    """Return the labels of the images `row_ids` that a table names."""
    names = table.names or []
    try:
        known = _Places(row_ids)
        places = [known.find(name) for name in names]
    except InputError as error:
        raise InputError(f"{path} cannot be matched: {error}") from error
    labels: dict[int, object] = {}
    for name, found_places, label in zip(names, places, table.labels, strict=True):
        for place in found_places:
            first = labels.setdefault(place, label)
            if first is not label and first != label:
                raise InputError(
                    f"{path} has two labels for {row_ids[place]}, the second where it says {name}"
                )
    if not labels:
        raise InputError(
            f"{path} names none of the images: its first name is "
            f"{names[0][:60] if names else 'missing'}, the first image is {row_ids[0][:60]}"
        )
    found = _labels_of(table, list(labels.values()), path)
    here = np.array(list(labels), np.int64)
    if found.labels is not None:
        whole = np.full(len(row_ids), UNKNOWN, np.int64)
        whole[here] = found.labels
        found = replace(found, labels=whole)
    if found.numbers is not None:
        numbers = np.full(len(row_ids), np.nan, np.float32)
        numbers[here] = found.numbers
        found = replace(found, numbers=numbers)
    without = sum(not found_places for found_places in places)
    left_out = {_WITHOUT_IMAGE: without} if without else {}
    return replace(found, left_out={**found.left_out, **left_out})
