"""Tables of pixels, CSV or TSV: a row for each image, and maybe a column of labels."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from isal import igzip, isal_zlib

from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.named_arrays import LABEL_NAMES
from aecli.data.progress import Bar
from aecli.data.reading import reading
from aecli.data.single_array import dataset_of_array
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.labels import labels_of_cells
from aecli.memory import refuse_beyond_memory
from aecli.npy import Array

_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_GZIP_MAGIC = b"\x1f\x8b"
_SEPARATORS = ",\t;"
# Columns that number the rows, as other programs write them.
_ROW_NUMBERS = ("", "id", "index", "unnamed: 0")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|[+-]?inf", re.IGNORECASE)
_LONGEST_LINE = 16_000_000
# How many values are read at a time.
_VALUES_AT_A_TIME = 4_000_000
# How numpy says where a cell is that is no number, or where a row has other columns.
_FAULT_PLACE = re.compile(r"at row (\d+)(, column (\d+))?")


@dataclass(frozen=True)
class _Columns:
    """What the columns are: labels, pixels, and others that are left out, by number."""

    separator: str
    has_header: bool
    count: int
    label: int | None
    pixels: tuple[int, ...]
    left_out: tuple[str, ...]


def _lines(file: IO[bytes], path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, and their numbers from 1 on.

    Raises:
        InputError: a line is too long, or not text.

    """
    number = 0
    while raw := file.readline(_LONGEST_LINE):
        number += 1
        if len(raw) == _LONGEST_LINE:
            raise InputError(
                f"{path}, line {number:,} has more than {_LONGEST_LINE:,} bytes: expected a row of "
                "pixels"
            )
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}, line {number:,} is not text: expected UTF-8") from error
        if text.strip():
            yield number, text


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(separator)]


def _look(file: IO[bytes], path: Path) -> _Columns:
    """Return what the columns are, from the header or, without one, from the first rows."""
    first = [line for _, line in islice(_lines(file, path), 200)]
    file.seek(0)
    if not first:
        raise InputError(f"{path} is empty: expected rows of pixels")
    separator = max(_SEPARATORS, key=first[0].count)
    names = _cells(first[0], separator)
    has_header = len(first) > 1 and not any(map(_NUMBER.fullmatch, names))
    known = [name.lower() for name in names] if has_header else [str(i) for i in range(len(names))]
    skipped = [place for place, name in enumerate(known) if name in _ROW_NUMBERS]
    label = next((place for place, name in enumerate(known) if name in LABEL_NAMES), None)
    places = [place for place in range(len(names)) if place not in skipped]
    if label is None:
        rows = [_cells(line, separator) for line in first[has_header:]]
        label = _label_without_name(places, rows)
    pixels = tuple(place for place in places if place != label)
    if len(pixels) < 2:
        raise InputError(
            f"{path} has one column of pixels or none: expected a row of pixels for each image"
        )
    left_out = tuple(names[place] or "without a name" for place in skipped)
    return _Columns(separator, has_header, len(names), label, pixels, left_out)


def _label_without_name(places: list[int], rows: list[list[str]]) -> int | None:
    """Return the column of labels beside those of a square, the first or the last, or None.

    It is the last where the first is always the same, as the corner of an image is.
    """
    if len(places) < 2 or _is_square(len(places)) or not _is_square(len(places) - 1):
        return None
    first, last = places[0], places[-1]
    kinds = {place: {row[place] for row in rows if len(row) > place} for place in (first, last)}
    return last if len(kinds[first]) == 1 and len(kinds[last]) > 1 else first


def _is_square(count: int) -> bool:
    return math.isqrt(count) ** 2 == count


def _read_table(path: Path) -> tuple[Array, list[str] | None, _Columns]:
    """Return the pixels (n, p), uint8 if all are whole and some are beyond 1, else float32.

    Also return the labels as texts, and what the columns are.

    Raises:
        InputError: a row has other columns or a cell that is no number, or memory is short.

    """
    blocks: list[Array] = []
    labels: list[str] = []
    with _unpacked(path) as file:
        columns = _look(file, path)
        lines = _lines(file, path)
        if columns.has_header:
            next(lines)
        rows_at_a_time = max(1, _VALUES_AT_A_TIME // columns.count)
        while chunk := list(islice(lines, rows_at_a_time)):
            values = _parse(chunk, columns, labels, path)
            is_bytes = bool(((values >= 0) & (values <= 255) & (values == np.rint(values))).all())
            blocks.append(values.astype(np.uint8 if is_bytes else np.float32))
            refuse_beyond_memory(
                # They are put together, as the longer type of both.
                sum(map(len, blocks)) * len(columns.pixels) * max(b.itemsize for b in blocks),
                str(path),
                "save it as .npy, then it can stay on disk",
            )
    if not blocks:
        raise InputError(f"{path} has a header only: expected rows of pixels")
    pixels = np.concatenate(blocks, dtype=np.result_type(*blocks))
    if pixels.dtype == np.uint8 and pixels.max() <= 1:
        pixels = pixels.astype(np.float32)
    return pixels, None if columns.label is None else labels, columns


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a table to read its bytes, unpacked where it is gzipped.

    Raises:
        InputError: it cannot be read, or is damaged.

    """
    with reading(path) as file:
        is_packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        file.seek(0)
        if not is_packed:
            yield file
            return
        try:
            with igzip.open(file) as unpacked:
                yield unpacked
        except (OSError, EOFError, isal_zlib.error) as error:
            raise InputError(f"{path} is a damaged gzip file: {error}") from error


def _parse(chunk: list[tuple[int, str]], columns: _Columns, labels: list[str], path: Path) -> Array:
    """Return the pixels of some lines, float64 (n, p), and add their labels."""

    def label(text: str) -> float:
        labels.append(text.strip().strip('"'))
        return 0.0

    try:
        values = np.loadtxt(
            (line for _, line in chunk),
            np.float64,
            comments=None,
            delimiter=columns.separator,
            quotechar='"',
            converters=None if columns.label is None else {columns.label: label},
            ndmin=2,
        )
    except ValueError as error:
        message = str(error).partition(";")[0]
        place = _FAULT_PLACE.search(message)
        if place is None:
            raise InputError(f"{path} is not a table of pixels: {message}") from error
        row = int(place[1]) - (1 if place[2] is None else 0)
        line = chunk[max(0, min(row, len(chunk) - 1))][0]
        column = "" if place[3] is None else f", column {int(place[3])}"
        raise InputError(
            f"{path}, line {line:,}{column}: expected {columns.count:,} columns of numbers "
            f"({message[: place.start()].strip()})"
        ) from error
    if values.shape[1] != columns.count:
        raise InputError(
            f"{path}, line {chunk[0][0]:,} has {values.shape[1]:,} columns: expected "
            f"{columns.count:,}, as in the first row"
        )
    return values[:, columns.pixels]


def _read(source: Source, bar: Bar) -> Dataset:
    path = Path(source.location)
    pixels, texts, columns = _read_table(path)
    left_out = {f"column {name}": 1 for name in columns.left_out}
    own = None if texts is None else partial(labels_of_cells, texts, f"{path}, the labels")
    return dataset_of_array(source, pixels, own, left_out)


FORMAT = Format(
    description="CSV",
    matches=lambda path, start: path.name.lower().endswith(_SUFFIXES) and not path.is_dir(),
    read=_read,
    # Before IDX files, which may be gzipped too.
    priority=1,
)
