"""Zip files of images, read in place."""

import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from aecli.data.archive import (
    ZIP_HEADER,
    ZIP_MAGIC,
    BoundedFile,
    Member,
    contents_of,
    damage_of,
    dataset_of_archives,
    is_zip_of_files,
)
from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.progress import Bar
from aecli.data.reading import Span, reading
from aecli.data.source import Source
from aecli.errors import InputError

_ENCRYPTED = 0x1
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError, KeyError,
    IndexError, struct.error,
)  # fmt: skip


def _members(file: IO[bytes], path: Path) -> Iterator[Member]:
    """Yield the files of an archive, in its order.

    Raises:
        InputError: one is encrypted, or compressed in another way than by deflate.

    """
    with damage_of(path, "zip", *_DAMAGE), zipfile.ZipFile(BoundedFile(file)) as archive:
        infos = archive.infolist()
    for info in infos:
        # As programs of Windows write them.
        name = info.filename.replace("\\", "/")
        if name.endswith("/"):
            continue
        if info.flag_bits & _ENCRYPTED:
            raise InputError(f"{path} is encrypted, such as {name}: unpack it first")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{path}, {name} is compressed with method {info.compress_type}: expected none or "
                "deflate; unpack it first"
            )
        with damage_of(path, "zip", struct.error, OSError, OverflowError):
            start = os.pread(file.fileno(), ZIP_HEADER.size, info.header_offset)
            magic, name_size, extra_size = ZIP_HEADER.unpack(start)
        if magic != ZIP_MAGIC:
            raise InputError(f"{path} is a damaged zip file: {name} is not where it should be")
        offset = info.header_offset + ZIP_HEADER.size + name_size + extra_size
        packed = None if info.compress_type == zipfile.ZIP_STORED else info.compress_size
        yield Member(name, Span(path, offset, info.file_size, packed))


def _read(source: Source, bar: Bar) -> Dataset:
    path = Path(source.location)
    with reading(path) as file:
        contents = contents_of(_members(file, path), Counter(), str(path))
    return dataset_of_archives(source, {path: contents}, bar)


FORMAT = Format(
    description="a zip of images",
    matches=is_zip_of_files,
    read=_read,
    priority=1,
)
