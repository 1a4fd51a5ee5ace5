"""Images in archives, read in place: their members mean what files in folders mean."""

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple

from aecli import json_text
from aecli.data.arrays import to_images
from aecli.data.cache import decode_once
from aecli.data.dataset import Dataset, left_out_text
from aecli.data.decoding import SUFFIXES, EncodedImage, is_image
from aecli.data.label_files import labels_for
from aecli.data.layout import Parts, as_unicode, layout_of, splits_of_layout
from aecli.data.progress import Bar
from aecli.data.reading import Span, first_bytes, read_span
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.labels import MOST_CLASSES_SHARE, Labelling, labels_of_cells
from aecli.memory import refuse_beyond_memory

# What macOS adds to archives.
_MACOS = "__MACOSX"
# Files beside images that have their labels, as WebDataset writes them; the first wins.
LABEL_SUFFIXES = (".cls", ".json", ".txt")
_MOST_LABEL_BYTES = 1_000_000
# A member of a zip file begins with this, then its name, something else, and its data.
ZIP_MAGIC = b"PK\3\4"
ZIP_HEADER = struct.Struct("<4s22xHH")
# The most that a list of members takes at once, for millions of them; more is a bomb.
_MOST_LIST_BYTES = 2**28
# What a member takes in memory: its name, its place, and what images take besides their pixels.
_MEMBER_BYTES = 1_500


class Member(NamedTuple):
    """A file in an archive: its name there, and where its data are."""

    name: str
    span: Span


class Contents(NamedTuple):
    """The members of an archive: images, files of labels beside them, and what is left out.

    `split`: what the name of the archive means for all of them, or None.
    """

    images: Sequence[Member]
    labels: Sequence[Member]
    left_out: Counter[str]
    split: str | None = None


class BoundedFile:
    """A file that lists of members are read from, which never gives gigabytes at once."""

    def __init__(self, file: IO[bytes]) -> None:
        """Take an open file, which stays open."""
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, or all that are left.

        Raises:
            ValueError: this is too much for a list of members.

        """
        data = self._file.read(
            _MOST_LIST_BYTES + 1 if size < 0 else min(size, _MOST_LIST_BYTES + 1)
        )
        if len(data) > _MOST_LIST_BYTES:
            raise ValueError(f"a header of more than {_MOST_LIST_BYTES:,} bytes")
        return data

    def seekable(self) -> bool:
        """Return whether places can be chosen, as zipfile asks."""
        return True


def contents_of(
    members: Iterable[Member], left_out: Counter[str], where: str, split: str | None = None
) -> Contents:
    """Return what an archive holds: images by suffix or content; what is hidden is left out.

    Of members with one name the last counts, as if all were unpacked.

    Raises:
        InputError: there are more members than memory takes.

    """
    found: dict[str, Member] = {}
    for member in members:
        parts = parts_of(member.name)
        if _MACOS in parts:
            left_out[_MACOS] += 1
        elif any(part.startswith(".") for part in parts):
            left_out["hidden"] += 1
        elif parts:
            left_out["of the same name"] += member.name in found
            found[member.name] = member
            if len(found) % 100_000 == 0:
                refuse_beyond_memory(
                    len(found) * _MEMBER_BYTES, f"{where}, of more than {len(found):,} files,",
                    "split it",
                )  # fmt: skip
    images: list[Member] = []
    labels: list[Member] = []
    for member in found.values():
        suffix = os.path.splitext(member.name)[1].lower()  # noqa: PTH122
        if suffix in SUFFIXES or is_image(member.span):
            images.append(member)
        elif suffix in LABEL_SUFFIXES:
            labels.append(member)
        else:
            left_out[suffix or "without a suffix"] += 1
    return Contents(images, labels, +left_out, split)


def parts_of(name: str) -> Parts:
    """Return the folders and the name of a member, without what means nothing."""
    return tuple(part for part in name.split("/") if part not in ("", "."))


def dataset_of_archives(source: Source, archives: Mapping[Path, Contents], bar: Bar) -> Dataset:
    """Return the data set of the images in archives, in the layouts of `layout_of`.

    Labels are the folders, or files beside the images with the same name up to its first dot:
    `.cls`, `.json` with `label`, or, where folders are no classes, `.txt`.

    Raises:
        InputError: there are no images, one cannot be read, their sizes differ, or the folders can
            mean two things.

    """
    location = Path(source.location)
    left_out: Counter[str] = Counter()
    images: list[Member] = []
    parts: list[Parts] = []
    for contents in archives.values():
        left_out += contents.left_out
        left_out += Counter(Path(label.name).suffix.lower() for label in contents.labels)
        images += contents.images
        above = () if contents.split is None else (contents.split,)
        parts += [above + parts_of(as_unicode(image.name)) for image in contents.images]
    if not images:
        raise InputError(
            f"{location} has no images{left_out_text(left_out)}: expected files that end in "
            f"{', '.join(SUFFIXES)}"
        )
    layout = layout_of(parts, str(location), classes=source.own_labels)
    ordered = [images[index] for index in layout.order]
    if layout.outside:
        left_out["beside the splits"] += layout.outside
    several = len(archives) > 1
    row_ids = tuple(_row_id(image, several) for image in ordered)
    used: Counter[str] = Counter()

    def own() -> Labelling:
        beside, files = _labels_beside(archives, ordered, has_classes=layout.labels is not None)
        if beside is None:
            return Labelling(layout.labels, layout.class_names)
        used.update(files)
        return labels_of_cells(beside, str(location))

    labelling = labels_for(
        source,
        own,
        len(ordered),
        row_ids,
        overridden=layout.in_folders,
        by_row=not layout.split_names,
    )
    layout = replace(layout, labels=labelling.labels)
    left_out -= used
    left_out.update(labelling.left_out)
    decoded = decode_once(list(archives), lambda: map(_encoded, ordered), len(ordered), source, bar)
    return Dataset(
        name=location.name.removesuffix(location.suffix),
        source=decoded.source,
        images=to_images(decoded.array, str(location), source.rescale),
        labels=labelling.labels,
        class_names=labelling.class_names,
        splits=splits_of_layout(layout, source),
        has_own_splits=bool(layout.split_names),
        row_ids=row_ids,
        left_out=left_out,
        split_names=layout.split_names,
        converted=decoded.converted,
    )


def _encoded(member: Member) -> EncodedImage:
    return EncodedImage(f"{member.span.path}, {member.name}", member.span)


def _row_id(member: Member, several: bool) -> str:
    name = as_unicode(member.name)
    return f"{member.span.path.name}/{name}" if several else name


def _labels_beside(
    archives: Mapping[Path, Contents], images: Sequence[Member], *, has_classes: bool
) -> tuple[list[str] | None, Counter[str]]:
    """Return the label beside each image, empty where there is none, and the files by suffix.

    None where no image has one. Texts of which most differ are captions, not labels.
    """
    for suffix, read in _READ_LABEL.items():
        if suffix == ".txt" and has_classes:
            continue
        beside = {
            (path, _key(label.name)): label
            for path, contents in archives.items()
            for label in contents.labels
            if label.name.lower().endswith(suffix)
        }
        found = [beside.get((image.span.path, _key(image.name))) for image in images]
        values = ["" if label is None else read(label).strip() for label in found]
        different = len(set(values) - {""})
        is_captions = suffix == ".txt" and different > max(1, MOST_CLASSES_SHARE * len(values))
        if different and not is_captions:
            return values, Counter({suffix: len({label for label in found if label})})
    return None, Counter()


def _key(name: str) -> str:
    """Return what the files of one example have in common: the name up to its first dot."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _read_text(label: Member) -> str:
    where = f"{label.span.path}, {label.name}"
    if label.span.size > _MOST_LABEL_BYTES:
        raise InputError(f"{where} has {label.span.size:,} bytes: expected a label")
    return read_span(label.span, where).decode(errors="replace")


def _read_json(label: Member) -> str:
    found = json_text.parse(_read_text(label).encode(), f"{label.span.path}, {label.name}")
    value = found.get("label") if isinstance(found, dict) else None
    return str(value) if isinstance(value, str | int) else ""


_READ_LABEL: Mapping[str, Callable[[Member], str]] = {
    ".cls": _read_text,
    ".json": _read_json,
    ".txt": _read_text,
}


@contextmanager
def damage_of(path: Path, kind: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what a reader of archives raises for damage into an `InputError` that names the file."""
    try:
        yield
    except errors as error:
        raise InputError(f"{path} is a damaged {kind} file ({error}): fetch it again") from error


def is_zip_of_files(path: Path, start: bytes) -> bool:
    """Return whether this is a zip file that does not begin with an array, as `.npz` does."""
    if not start.startswith(ZIP_MAGIC) or path.suffix.lower() == ".npz":
        return False
    head = first_bytes(path, ZIP_HEADER.size + 2**16)
    if len(head) < ZIP_HEADER.size:
        return False
    _, size, _ = ZIP_HEADER.unpack(head[: ZIP_HEADER.size])
    name = head[ZIP_HEADER.size :][:size]
    return len(name) == size and not name.endswith(b".npy")
