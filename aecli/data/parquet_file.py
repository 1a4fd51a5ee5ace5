"""Parquet and Arrow files: read a few rows at a time, so that damage and size are one line."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from aecli.errors import InputError

MAGIC = b"PAR1"
# How it ends: the length of its description of itself, and the magic.
_TAIL = struct.Struct("<I4s")
_ROWS_AT_A_TIME = 256
_BUFFER_BYTES = 1_000_000
# The most that the values may take that are read together, unless a single one takes more.
_BATCH_BYTES = 500_000_000
# What pyarrow raises for damage, besides its own errors.
_DAMAGE = (OSError, ValueError, KeyError, IndexError, OverflowError)


class FileTable(ABC):
    """An open file of columns. `schema`: pyarrow's description of them."""

    schema: Any

    @abstractmethod
    def rows(self) -> int:
        """Return how many rows the file promises."""

    @abstractmethod
    def _batches(self, column: str, leaf: str) -> Iterator[Any]:
        """Yield a few rows of a column at a time, of the field `leaf` in it."""

    def values(self, column: str, field: str | None = None) -> Iterator[list[Any]]:
        """Yield the values of a column, or of a field of one, as many as memory takes at a time."""
        for batch in self._batches(column, f"{column}.{field}" if field else column):
            values = batch.column(column)
            yield (values.field(field) if field else values).to_pylist()


class _Parquet(FileTable):
    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow.parquet as pq

        # Column chunks may be larger than memory: they are read a buffer at a time.
        self._file = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        self.schema = self._file.schema_arrow

    def rows(self) -> int:
        return int(self._file.metadata.num_rows)

    def _batches(self, column: str, leaf: str) -> Iterator[Any]:
        rows = _rows_at_a_time(self._file.metadata)
        yield from self._file.iter_batches(rows, columns=[leaf])

    def spans(self, leaves: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield where the values of columns, or of fields of columns, are: first byte, and end."""
        metadata = self._file.metadata
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            for place in range(group.num_columns):
                chunk = group.column(place)
                name = chunk.path_in_schema
                if any(name == leaf or name.startswith(f"{leaf}.") for leaf in leaves):
                    first = chunk.dictionary_page_offset or chunk.data_page_offset
                    first = min(first, chunk.data_page_offset)
                    yield first, first + chunk.total_compressed_size


class _Arrow(FileTable):
    """Arrow's stream of batches, each of which is read whole."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow as pa

        self._file = file
        self.schema = pa.ipc.open_stream(pa.PythonFile(file, "r")).schema

    def rows(self) -> int:
        return sum(batch.num_rows for batch in self._stream([]))

    def _batches(self, column: str, leaf: str) -> Iterator[Any]:
        for batch in self._stream([self.schema.get_field_index(column)]):
            # Places of values beyond the end would end the process.
            batch.validate(full=True)
            for start in range(0, batch.num_rows, _ROWS_AT_A_TIME):
                yield batch.slice(start, _ROWS_AT_A_TIME)

    def _stream(self, fields: list[int]) -> Iterator[Any]:
        import pyarrow as pa

        self._file.seek(0)
        options = pa.ipc.IpcReadOptions(included_fields=fields or [0], use_threads=False)
        yield from pa.ipc.open_stream(pa.PythonFile(self._file, "r"), options=options)


@contextmanager
def open_table(file: IO[bytes], path: Path) -> Iterator[FileTable]:
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


def parquet_spans(
    file: IO[bytes], path: Path, size: int, leaves_of: Callable[[Any], Sequence[str]]
) -> list[tuple[int, int]]:
    """Return what has to be read of a Parquet file, of `size` bytes, in its order.

    That is where it describes itself, and the columns, or fields of them, that `leaves_of` chooses
    by pyarrow's description. Each span is its first byte, and its end.

    Raises:
        InputError: it is damaged.

    """
    with open_table(file, path) as table:
        chosen = sorted(table.spans(leaves_of(table.schema))) if isinstance(table, _Parquet) else []
        file.seek(max(0, size - _TAIL.size))
        length, _ = _TAIL.unpack(file.read(_TAIL.size))
    if any(not 0 < first <= stop <= size for first, stop in chosen):
        raise InputError(f"{path} is a damaged Parquet file: a column ends beyond its end")
    return [(0, len(MAGIC)), *chosen, (max(0, size - _TAIL.size - length), size)]


def _rows_at_a_time(metadata: Any) -> int:
    """Return how many rows of a column may be in memory together.

    However a column is encoded, none of its values is longer than all of it in a row group.
    """
    # Not the sizes of single columns: where those are damaged, pyarrow ends the process.
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    largest = max((int(group.total_byte_size) for group in groups), default=1)
    return max(1, min(_ROWS_AT_A_TIME, _BATCH_BYTES // max(1, largest)))


def label_kind(kind: Any) -> str | None:
    """Return what values of a type of pyarrow's can be as labels.

    That is `whole`, `float`, `truth`, `text` or `list`; None where they can be no labels.
    """
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind):
        return "whole"
    if types.is_floating(kind):
        return "float"
    if types.is_boolean(kind):
        return "truth"
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return "list"
    return None
