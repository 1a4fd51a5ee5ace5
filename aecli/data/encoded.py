"""Encoded images, and batches of them that are large enough to be sent to another process."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from aecli.data.reading import Span, first_bytes
from aecli.errors import InputError

# The most bytes of an encoded image: more than the most pixels take in any format.
_MOST_ENCODED_BYTES = 2**30
# TIFF may have any number of pages, which are read one by one.
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# The limits of a batch: images, encoded bytes and decoded bytes.
_BATCH_IMAGES = 256
_BATCH_BYTES = 4_000_000
_BATCH_DECODED_BYTES = 8_000_000


class EncodedImage(NamedTuple):
    """An encoded image: `name` is for messages, `data` its file, a span of one, or the bytes.

    `pages` are those that are wanted, counted from 0; most images have one. Files and spans are
    read by the process that decodes them.
    """

    name: str
    data: Path | Span | bytes
    pages: tuple[int, ...] = (0,)


class Batch(NamedTuple):
    """Images to process together: the row of the first one, and the size of them all, encoded."""

    first: int
    images: Sequence[EncodedImage]
    size: int


def batched(images: Iterable[EncodedImage], decoded_bytes: int = 1) -> Iterator[Batch]:
    """Yield images in batches that are large enough to be sent to another process.

    `decoded_bytes` is the size of the result for one page.

    Raises:
        InputError: a file is missing, or an image is too large.

    """
    most = max(1, min(_BATCH_IMAGES, _BATCH_DECODED_BYTES // decoded_bytes))
    batch: list[EncodedImage] = []
    first = rows = size = 0
    for image in images:
        batch.append(image)
        rows += len(image.pages)
        size += _size(image)
        if max(rows, len(batch)) >= most or size > _BATCH_BYTES:
            yield Batch(first, batch, size)
            first += rows
            batch, rows, size = [], 0, 0
    if batch:
        yield Batch(first, batch, size)


def _size(image: EncodedImage) -> int:
    try:
        size = _size_of_data(image.data)
    except OSError as error:
        raise InputError(f"cannot look at {image.name}: {error.strerror or error}") from error
    if size > _MOST_ENCODED_BYTES and not _is_tiff_file(image.data):
        raise InputError(
            f"{image.name} has {size:,} bytes: expected an image, of at most "
            f"{_MOST_ENCODED_BYTES:,}"
        )
    return size


def _is_tiff_file(data: Path | Span | bytes) -> bool:
    return isinstance(data, Path) and first_bytes(data, 4) in _TIFF_STARTS


def _size_of_data(data: Path | Span | bytes) -> int:
    if isinstance(data, Path):
        return data.stat().st_size
    return data.size if isinstance(data, Span) else len(data)
