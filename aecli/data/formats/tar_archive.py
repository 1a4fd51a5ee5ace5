"""Tar files of images, read in place; also as WebDataset writes them, in several shards."""

import re
from collections import Counter
from pathlib import Path

from isal import igzip, isal_zlib

from aecli.data.archive import Member, contents_of, dataset_of_archives
from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.image_file import SUFFIXES
from aecli.data.layout import split_of
from aecli.data.progress import Bar
from aecli.data.reading import first_bytes, reading
from aecli.data.source import Source, shards
from aecli.data.tar_file import BLOCK, MAGIC_PLACE, tar_entries
from aecli.errors import InputError
from aecli.files import kind_of

_GZIP_MAGIC = b"\x1f\x8b"


def _shards(folder: Path) -> list[Path]:
    """Return the tar files of a folder that has no other folders or images in it."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        suffix = path.suffix.lower()
        if suffix == ".tar" and kind_of(path) in ("file", "special"):
            found.append(path)
        elif suffix in SUFFIXES or kind_of(path) == "folder":
            return []
    return found


def _split_of_shard(path: Path) -> str | None:
    words = [word for word in re.split(r"[^A-Za-z]+", path.stem) if split_of(word)]
    return words[0] if len(words) == 1 else None


def _matches(path: Path, start: bytes) -> bool:
    try:
        if path.is_dir():
            return bool(_shards(path))
        name = path.name.lower()
        if name.endswith((".tar", ".tgz", ".tbz2", ".txz")) or re.search(r"\.tar\.\w+$", name):
            return True
        if not start.startswith(_GZIP_MAGIC):
            return first_bytes(path, BLOCK)[MAGIC_PLACE] == b"ustar"
        with reading(path) as file, igzip.open(file) as unpacked:
            return bytes(unpacked.read(BLOCK))[MAGIC_PLACE] == b"ustar"
    except (OSError, EOFError, isal_zlib.error):
        return False


def _read(source: Source, bar: Bar) -> Dataset:
    location = Path(source.location)
    paths = _shards(location) if location.is_dir() else shards(location)
    archives = {}
    for path in paths:
        start = first_bytes(path, 6)
        if start.startswith((_GZIP_MAGIC, b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
            raise InputError(
                f"{path} is a compressed tar: unpack it, as with gunzip, then it is read in place"
            )
        left_out: Counter[str] = Counter()
        split = _split_of_shard(path) if len(paths) > 1 else None
        with reading(path) as file:
            members = (Member(*entry) for entry in tar_entries(file, path, left_out))
            archives[path] = contents_of(members, left_out, str(path), split)
    return dataset_of_archives(source, archives, bar)


FORMAT = Format(
    description="a tar of images",
    matches=_matches,
    read=_read,
    priority=1,
    has_shards=True,
)
