"""Parquet and Arrow files as Hugging Face writes them: a column of encoded images, and labels."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from aecli import json_text
from aecli.data.arrays import to_images
from aecli.data.cache import decode_once
from aecli.data.classes import classes_of
from aecli.data.dataset import Dataset
from aecli.data.decoding import EncodedImage
from aecli.data.format import Format
from aecli.data.layout import split_of
from aecli.data.progress import Bar
from aecli.data.reading import FileState, changed, reading, state_of
from aecli.data.source import Source
from aecli.data.splits import SPLIT_WORDS, split_at_random, split_parts
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import Labels, to_labels
from aecli.memory import default_memory, refuse_beyond_memory
from aecli.npy import Array
from aecli.validated import Text, read_as

_MAGIC = b"PAR1"
_IMAGES = ("image", "img", "images", "picture")
_LABELS = ("label", "labels")
# Columns that number the rows.
_ROW_NUMBERS = ("id", "ids", "index", "idx", "__index_level_0__")
# What `datasets.save_to_disk` writes beside Arrow files.
_SAVED = ("state.json", "dataset_info.json")
_ROWS_AT_A_TIME = 256
# What a row takes in memory besides its pixels: its label, its place, and its name, if it is short.
_ROW_BYTES = 150
_BUFFER_BYTES = 1_000_000
# The most that the values may take that are read together, unless a single one takes more.
_BATCH_BYTES = 500_000_000
# What pyarrow raises for damage, besides its own errors.
_DAMAGE = (OSError, ValueError, KeyError, IndexError, OverflowError)


# A column, and a field in it where the column is a struct.
_Field = tuple[str, str | None]


@dataclass(frozen=True)
class _Columns:
    """The columns, or fields of columns, that have images, file names and labels."""

    data: _Field
    path: _Field | None
    label: _Field | None
    class_names: tuple[str, ...] | None


@dataclass(frozen=True)
class _ClassLabel:
    """The names of classes as Hugging Face stores them."""

    names: tuple[Text, ...]


@dataclass(frozen=True)
class _Part:
    """A file, as it was when it was looked at first."""

    path: Path
    state: FileState
    columns: _Columns
    rows: int


def find_parquet(folder: Path) -> list[Path]:
    """Return the Parquet or Arrow files of a folder, or those below it, sorted by name.

    Those below it are in `data`, or in folders of splits, or in one folder around all. Arrow files
    are those that `datasets.save_to_disk` writes.
    """
    for place in (folder, folder / "data"):
        found = _files(place)
        if found:
            return found
    below = [path for path in _folders(folder) if not path.name.startswith(".")]
    splits = [path for path in below if split_of(path.name) is not None]
    if splits:
        return [path for place in splits for path in _files(place)]
    return find_parquet(below[0]) if len(below) == 1 else []


def _files(folder: Path) -> list[Path]:
    is_saved = any(kind_of(folder / name) == "file" for name in _SAVED)
    patterns = ("*.parquet", "*.arrow") if is_saved else ("*.parquet",)
    return sorted(
        path
        for pattern in patterns
        for path in folder.glob(pattern)
        if not path.name.startswith((".", "cache-"))
    )


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            # Links may go round in circles.
            return sorted(
                Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)
            )
    except OSError:
        return []


def read_parquet(paths: Sequence[Path], source: Source, bar: Bar) -> Dataset:
    """Read Parquet or Arrow files with a column of images, each `{bytes, path}` or bytes alone.

    Labels are the column `label` or `labels`, else the first ClassLabel, else the only column of
    integers, else the only one of texts. Files with `train` and `test` (maybe `validation`) in
    their names, or those of their folders, are these splits; without `test`, `validation` is.

    Raises:
        InputError: a file is damaged or has no images, does not fit the others, or was changed.

    """
    location = Path(source.location)
    paths_of_splits, split_names = _split_paths(paths, location)
    splits = {split: [_look(path) for path in found] for split, found in paths_of_splits.items()}
    parts = [part for members in splits.values() for part in members]
    columns = parts[0].columns
    for part in parts:
        if part.columns != columns:
            raise InputError(f"{part.path} has other columns than {parts[0].path}: expected them")
    rows = {split: sum(part.rows for part in members) for split, members in splits.items()}
    count = sum(rows.values())
    if count == 0:
        raise InputError(f"{location} holds no rows")
    refuse_beyond_memory(
        count * _ROW_BYTES, f"{location}, of {count:,} rows,", "take fewer of its files"
    )
    labels, class_names = _labels(parts, columns, count, str(location))
    row_ids = _row_ids(parts, columns, count, str(location))
    array = decode_once(
        [part.path for part in parts],
        lambda: (image for part in parts for image in _images(part)),
        count,
        source,
        bar,
    )
    # The labels and the images may be those of different files.
    for part in parts:
        with reading(part.path) as file:
            _check_state(file, part)
    own_splits = "all" not in splits
    return Dataset(
        name=location.name.removesuffix(".parquet"),
        source=source,
        images=to_images(array, str(location), source.rescale),
        labels=labels,
        class_names=class_names,
        splits=split_parts(rows, str(location))
        if own_splits
        else split_at_random(count, labels, source.validation, source.test, source.split_seed),
        has_own_splits=own_splits,
        row_ids=row_ids,
        split_names=split_names,
    )


def _split_paths(
    paths: Sequence[Path], location: Path
) -> tuple[Mapping[str, list[Path]], Mapping[str, str]]:
    """Return the files of each split, and what splits are called where one stands for another."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        folders = path.relative_to(location).parts[:-1] if path != location else ()
        words = {split_of(word) for word in re.split(r"[^a-z]+", path.stem.lower())}
        words |= {split_of(name) for name in folders}
        splits = [word for word in words if word is not None]
        found.setdefault(splits[0] if len(splits) == 1 else "all", []).append(path)
    split_names = {}
    if found.keys() == {"train", "validation"}:
        found["test"] = found.pop("validation")
        split_names = {"train": "train", "test": "validation"}
    if {"train", "test"} <= found.keys() <= SPLIT_WORDS.keys():
        return {split: found[split] for split in SPLIT_WORDS if split in found}, split_names
    if len(found) == 1:
        return {"all": list(paths)}, {}
    raise InputError(
        f"{location} has files of {', '.join(sorted(found))}: expected train and test, maybe "
        "validation, in their names, or none of these words"
    )


def _look(path: Path) -> _Part:
    with reading(path) as file, _table(file, path) as table:
        rows = table.rows()
        if rows < 0:
            raise InputError(f"{path} is a damaged Parquet file: it promises {rows} rows")
        return _Part(path, state_of(file), _columns(table.schema, path), rows)


def _check_state(file: IO[bytes], part: _Part) -> None:
    if state_of(file) != part.state:
        raise changed(part.path)


def _columns(schema: Any, path: Path) -> _Columns:
    """Return the columns that have images, file names and labels."""
    images = _image_columns(schema)
    image = next((name for name in _IMAGES if name in images), None)
    if image is None and len(images) == 1:
        image = next(iter(images))
    if image is None:
        raise InputError(
            f"{path} has the columns {', '.join(schema.names)}: expected one of images, as bytes "
            "or {bytes, path}"
        )
    names = _class_names(schema, path)
    label = _label_column(schema, names)
    for column in (image, label):
        if schema.names.count(column) > 1:
            raise InputError(f"{path} has several columns called {column}: expected one")
    return _Columns(
        *images[image],
        None if label is None else (label, None),
        names.get(label) if label else None,
    )


def _image_columns(schema: Any) -> dict[str, tuple[_Field, _Field | None]]:
    """Return where each column of images has them, and their file names."""
    import pyarrow as pa

    found: dict[str, tuple[_Field, _Field | None]] = {}
    for field in schema:
        if _is_binary(field.type):
            found[field.name] = (field.name, None), None
        elif pa.types.is_struct(field.type):
            inner = {child.name: child.type for child in field.type}
            if _is_binary(inner.get("bytes")):
                named = "path" in inner and pa.types.is_string(inner["path"])
                found[field.name] = (field.name, "bytes"), (field.name, "path") if named else None
    return found


def _class_names(schema: Any, path: Path) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes of each ClassLabel column.

    Raises:
        InputError: they are not names.

    """
    import pyarrow as pa

    features = _features(schema.metadata or {}, path)
    found = {
        field.name: features[field.name]["names"]
        for field in schema
        if pa.types.is_integer(field.type)
        and isinstance(features.get(field.name), dict)
        and isinstance(features[field.name].get("names"), list)
    }
    return {
        name: read_as(_ClassLabel, {"names": names}, f"{path}, column {name}").names
        for name, names in found.items()
    }


def _label_column(schema: Any, class_names: Mapping[str, Any]) -> str | None:
    """Return the column of labels: by name, else the first ClassLabel, else the only one.

    The only one of integers goes before the only one of texts; what numbers rows is neither.
    """
    import pyarrow as pa

    fields = [field for field in schema if field.name.lower() not in _ROW_NUMBERS]
    integers = [field.name for field in fields if pa.types.is_integer(field.type)]
    texts = [field.name for field in fields if _is_text(field.type)]
    classes = [name for name in integers if name in class_names]
    only = next((names for names in (integers, texts) if len(names) == 1), [])
    return next(
        (name for name in (*_LABELS, *classes, *only) if name in integers or name in texts), None
    )


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    return kind is not None and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _features(metadata: Mapping[bytes, bytes], path: Path) -> dict[str, Any]:
    """Return Hugging Face's description of each column that it describes, by name, unchecked.

    Raises:
        InputError: it is not JSON.

    """
    text = metadata.get(b"huggingface", b"{}")
    found = json_text.parse(text, f"the description of the columns of {path}")
    for name in ("info", "features"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _images(part: _Part) -> Iterator[EncodedImage]:
    row = 0
    for values in _lists(part, part.columns.data):
        for data in values:
            name = f"{part.path}, row {row}"
            if data is None:
                raise InputError(f"{name} has no bytes: expected the image itself in the file")
            yield EncodedImage(name, data)
            row += 1


def _labels(
    parts: Sequence[_Part], columns: _Columns, count: int, where: str
) -> tuple[Labels | None, tuple[str, ...] | None]:
    """Return the labels, and the names of the classes; both are None without any."""
    if columns.label is None:
        return None, None
    where = f"{where}, column {columns.label[0]}"
    found: list[Array] = []
    texts: list[object] = []
    row = 0
    for part in parts:
        for values in _lists(part, columns.label):
            if any(isinstance(value, str) for value in values) or texts:
                texts += values
                continue
            if None in values:
                row += values.index(None)
                raise InputError(f"{where} is missing in row {row}: expected a label for each row")
            found.append(np.array(values))
            row += len(values)
    if texts:
        if len(texts) != count:
            raise InputError(f"{where} is damaged: expected {count:,} texts, got {len(texts):,}")
        return classes_of(texts, where)
    labels = to_labels(np.concatenate(found) if found else np.empty(0, int), count, where)
    names = columns.class_names
    if names is not None and (labels == -1).all():
        # The labels of a test split that are withheld.
        return None, None
    if names is not None and not (labels.min() >= 0 and labels.max() < len(names)):
        raise InputError(
            f"{where} has labels from {labels.min()} to {labels.max()}: "
            f"expected 0..{len(names) - 1}, as there are {len(names)} names"
        )
    return labels, names


def _row_ids(
    parts: Sequence[_Part], columns: _Columns, count: int, where: str
) -> tuple[str, ...] | None:
    if columns.path is None:
        return None
    ids: list[str] = []
    left = default_memory()
    for part in parts:
        for names in _lists(part, columns.path):
            if None in names:
                return None
            ids += names
            left -= sum(map(len, names))
            if left < 0:
                raise InputError(f"{where} has longer names of files than memory takes")
    if len(ids) != count:
        raise InputError(f"{where} is damaged: expected {count:,} names of files, got {len(ids):,}")
    return tuple(ids)


def _lists(part: _Part, wanted: _Field) -> Iterator[list[Any]]:
    """Yield the values of a column, or of a field of one, as many as memory takes at a time."""
    column, field = wanted
    leaf = f"{column}.{field}" if field else column
    with reading(part.path) as file, _table(file, part.path) as table:
        _check_state(file, part)
        for batch in table.batches(column, leaf):
            values = batch.column(column)
            yield (values.field(field) if field else values).to_pylist()


def _rows_at_a_time(metadata: Any) -> int:
    """Return how many rows of a column may be in memory together.

    However a column is encoded, none of its values is longer than all of it in a row group.
    """
    # Not the sizes of single columns: where those are damaged, pyarrow ends the process.
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    largest = max((int(group.total_byte_size) for group in groups), default=1)
    return max(1, min(_ROWS_AT_A_TIME, _BATCH_BYTES // max(1, largest)))


class _Parquet:
    """An open Parquet file."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow.parquet as pq

        # Column chunks may be larger than memory: they are read a buffer at a time.
        self._file = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        self.schema = self._file.schema_arrow

    def rows(self) -> int:
        return int(self._file.metadata.num_rows)

    def batches(self, column: str, leaf: str) -> Iterator[Any]:
        rows = _rows_at_a_time(self._file.metadata)
        yield from self._file.iter_batches(rows, columns=[leaf])


class _Arrow:
    """An open file of Arrow's stream of batches, each of which is read whole."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow as pa

        self._file = file
        self.schema = pa.ipc.open_stream(pa.PythonFile(file, "r")).schema

    def rows(self) -> int:
        return sum(batch.num_rows for batch in self._batches([]))

    def batches(self, column: str, leaf: str) -> Iterator[Any]:
        for batch in self._batches([self.schema.get_field_index(column)]):
            # Places of values beyond the end would end the process.
            batch.validate(full=True)
            for start in range(0, batch.num_rows, _ROWS_AT_A_TIME):
                yield batch.slice(start, _ROWS_AT_A_TIME)

    def _batches(self, fields: list[int]) -> Iterator[Any]:
        import pyarrow as pa

        self._file.seek(0)
        options = pa.ipc.IpcReadOptions(included_fields=fields or [0], use_threads=False)
        yield from pa.ipc.open_stream(pa.PythonFile(self._file, "r"), options=options)


@contextmanager
def _table(file: IO[bytes], path: Path) -> Iterator[_Parquet | _Arrow]:
    """Read a file as Parquet or Arrow; pyarrow's errors become an `InputError` that names it."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise InputError(f"reading {path} needs pyarrow: pip install 'aecli[parquet]'") from error
    is_arrow = path.suffix == ".arrow"
    try:
        yield _Arrow(file) if is_arrow else _Parquet(file)
    except MemoryError:
        raise
    except (pa.ArrowException, *_DAMAGE) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        kind = "Arrow" if is_arrow else "Parquet"
        raise InputError(f"{path} is a damaged {kind} file: {reason}") from error


def _matches(path: Path, first_bytes: bytes) -> bool:
    return bool(find_parquet(path)) if path.is_dir() else first_bytes.startswith(_MAGIC)


def _read(source: Source, bar: Bar) -> Dataset:
    path = Path(source.location)
    return read_parquet(find_parquet(path) if path.is_dir() else [path], source, bar)


FORMAT = Format(
    description="Parquet or saved Arrow",
    matches=_matches,
    read=_read,
    labels_refusal="has labels of its own",
)
