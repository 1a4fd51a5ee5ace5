"""Parquet and Arrow files as Hugging Face writes them: a column of encoded images, and labels."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from aecli import json_text
from aecli.data.dataset import Dataset
from aecli.data.encoded import EncodedImage
from aecli.data.encoded_dataset import FoundImages, read_found
from aecli.data.format import Format
from aecli.data.layout import Layout, split_of, splits_of_layout
from aecli.data.parquet_file import MAGIC, label_kind, open_table, parquet_spans
from aecli.data.progress import Bar
from aecli.data.reading import FileState, changed, reading, state_of
from aecli.data.rows import Rows
from aecli.data.source import Source, shards
from aecli.data.splits import SPLIT_WORDS, split_parts
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import MOST_CLASSES_SHARE, UNKNOWN, Labelling, labels_of_values
from aecli.memory import default_memory, refuse_beyond_memory
from aecli.validated import Text, read_as

_IMAGES = ("image", "img", "images", "picture")
_LABELS = ("label", "labels")
# Columns that may have labels too, where none is called so, in this order.
_OTHER_LABELS = ("class", "target", "category", "y")
# Columns of numbers that count rows.
_IDS = ("id", "ids", "index", "idx", "image_id", "__index_level_0__")
# What `datasets.save_to_disk` writes beside Arrow files.
_SAVED = ("state.json", "dataset_info.json")
# What a row takes in memory besides its pixels: its label, its place, and its name, if it is short.
_ROW_BYTES = 150

# A column, and a field in it where the column is a struct.
_Field = tuple[str, str | None]


@dataclass(frozen=True)
class _Columns:
    """The columns, or fields of columns, that have images, file names and labels."""

    data: _Field
    path: _Field | None
    label: _Field | None
    label_kind: str | None
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

    Labels are the column that `_label_column` chooses, or those of `source.labels`. Files with
    `train` and `test` (maybe `validation`) in their names, or those of their folders, are these
    splits; without `test`, `validation` is.

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
    row_ids = _row_ids(parts, columns, count, str(location))
    own_splits = "all" not in splits
    layout = Layout(range(count), rows, None, None, split_names, 0, count if columns.label else 0)
    found = FoundImages(
        name=location.name.removesuffix(".parquet"),
        paths=[part.path for part in parts],
        names=row_ids or [f"row {row}" for row in range(count)],
        read=lambda: (image for part in parts for image in _images(part)),
        own=lambda: _labels(parts, columns, count, str(location)),
        layout=layout,
        left_out=Counter(),
        splits_of=_splits_of_files if own_splits else splits_of_layout,
        has_own_splits=own_splits,
        named=row_ids is not None,
    )
    dataset = read_found(found, source, bar)
    # The labels and the images may be those of different files.
    for part in parts:
        with reading(part.path) as file:
            _check_state(file, part)
    return dataset


def needed_spans(file: IO[bytes], path: Path, size: int) -> list[tuple[int, int]]:
    """Return which bytes of a Parquet file of images are read; see `parquet_spans`.

    Raises:
        InputError: it is damaged, or has no images.

    """

    def leaves(schema: Any) -> list[str]:
        columns = _columns(schema, path)
        fields = (columns.data, columns.path, columns.label)
        return [".".join(filter(None, field)) for field in fields if field is not None]

    return parquet_spans(file, path, size, leaves)


def _splits_of_files(layout: Layout, source: Source) -> Mapping[str, Rows]:
    return split_parts(layout.rows, source.location)


def _split_paths(
    paths: Sequence[Path], location: Path
) -> tuple[Mapping[str, list[Path]], Mapping[str, str]]:
    """Return the files of each split, and what splits are called where one stands for another."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        inside = path.is_relative_to(location) and path != location
        folders = path.relative_to(location).parts[:-1] if inside else ()
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
    with reading(path) as file, open_table(file, path) as table:
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
        label_kind(schema.field(label).type) if label else None,
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
    """Return the column of labels, or None.

    It is one of `_LABELS`, else the first ClassLabel, else one of `_OTHER_LABELS`, else the only
    column of integers that does not count the rows, else the only one of texts.
    """
    kinds = {field.name: label_kind(field.type) for field in schema}
    classes = [name for name in kinds if name in class_names]
    others = {name: kind for name, kind in kinds.items() if name.lower() not in _IDS}
    whole, texts = ([n for n, kind in others.items() if kind == one] for one in ("whole", "text"))
    only = next((found for found in (whole, texts) if len(found) == 1), [])
    names = (*_LABELS, *classes, *_OTHER_LABELS, *only)
    return next((name for name in names if kinds.get(name)), None)


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


def _labels(parts: Sequence[_Part], columns: _Columns, count: int, where: str) -> Labelling:
    if columns.label is None or columns.label_kind is None:
        return Labelling()
    column = columns.label
    where = f"{where}, column {column[0]}"
    values = (value for part in parts for values in _lists(part, column) for value in values)
    labelling = labels_of_values(values, columns.label_kind, where)
    labels, names = labelling.labels, columns.class_names
    if labels is not None and len(labels) != count:
        raise InputError(f"{where} is damaged: expected {count:,} labels, got {len(labels):,}")
    if names is None or labels is None:
        of_texts = labelling.class_names if columns.label_kind == "text" else None
        is_named = column[0] in (*_LABELS, *_OTHER_LABELS)
        if of_texts and not is_named and len(of_texts) > max(1, MOST_CLASSES_SHARE * count):
            return Labelling()
        return labelling
    known = labels[labels != UNKNOWN]
    if len(known) == 0:
        # The labels of a test split that are withheld.
        return Labelling()
    if not (known.min() >= 0 and known.max() < len(names)):
        raise InputError(
            f"{where} has labels from {known.min()} to {known.max()}: "
            f"expected 0..{len(names) - 1}, as there are {len(names)} names"
        )
    return replace(labelling, class_names=names)


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
    with reading(part.path) as file, open_table(file, part.path) as table:
        _check_state(file, part)
        yield from table.values(*wanted)


def _matches(path: Path, first_bytes: bytes) -> bool:
    return bool(find_parquet(path)) if path.is_dir() else first_bytes.startswith(MAGIC)


def _read(source: Source, bar: Bar) -> Dataset:
    path = Path(source.location)
    return read_parquet(find_parquet(path) if path.is_dir() else shards(path), source, bar)


FORMAT = Format(
    description="Parquet or saved Arrow",
    matches=_matches,
    read=_read,
    has_shards=True,
)
