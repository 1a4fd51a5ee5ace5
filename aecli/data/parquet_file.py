"""Parquet files: opened and read a few rows at a time, so that damage and size are one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from aecli.errors import InputError

MAGIC = b"PAR1"
_ROWS_AT_A_TIME = 256
_BUFFER_BYTES = 1_000_000
# The most that the values may take that are read together, unless a single one takes more.
_BATCH_BYTES = 500_000_000
# What pyarrow raises for damage, besides its own errors.
_DAMAGE = (OSError, ValueError, KeyError, IndexError, OverflowError)


@contextmanager
def open_parquet(file: IO[bytes], path: Path) -> Iterator[Any]:
    """Read a file as Parquet; pyarrow's errors become an `InputError` that names it."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(f"reading {path} needs pyarrow: pip install 'aecli[parquet]'") from error
    try:
        # Column chunks may be larger than memory: they are read a buffer at a time.
        with pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False) as parquet:
            yield parquet
    except MemoryError:
        raise
    except (pa.ArrowException, *_DAMAGE) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is a damaged Parquet file: {reason}") from error


def column_values(parquet: Any, column: str, field: str | None = None) -> Iterator[list[Any]]:
    """Yield the values of a column, or of a field of one, as many as memory takes at a time."""
    leaf = f"{column}.{field}" if field else column
    for batch in parquet.iter_batches(_rows_at_a_time(parquet.metadata), columns=[leaf]):
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
