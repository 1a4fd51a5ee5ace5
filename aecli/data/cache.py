"""A cache of decoded images, keyed by the content of the files that they come from."""

import fcntl
import hashlib
import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from aecli import files
from aecli.data.decoding import (
    EncodedImage,
    Ground,
    Kind,
    Target,
    batched,
    decode_into,
    in_parallel,
    lightness,
    read_info,
)
from aecli.data.progress import Bar
from aecli.data.rows import spread_evenly
from aecli.data.source import Source
from aecli.errors import AecliError, InputError
from aecli.kept import KeptFolder, is_ours, kept_folder, make_private
from aecli.npy import StoredArray, read_header, write_header

# Raise it when the same files are decoded to different pixels.
_VERSION = 3
# A file may change twice within the resolution of its time stamps.
_SETTLED_SECONDS = 2.0
# Beyond that, those that were not used for longest go.
_MOST_BYTES = 20_000_000_000
# After that the content of files is read once more.
_NOTE_SECONDS = 30 * 24 * 3600
# Transparent images whose drawings are looked at, to choose the ground that shows them.
_MOST_LOOKED_AT = 200
# Drawings that are darker, of 0..255, lie on white.
_DARK = 128
_BITS: Mapping[Kind, int] = {"uint8": 8, "uint16": 16, "float32": 32}
_ADVICE = "XDG_CACHE_HOME names another place"

ReadImages = Callable[[], Iterable[EncodedImage]]


class Decoded(NamedTuple):
    """Decoded images.

    `array`: (n, h, w, c), uint8; uint16 where some images have 16 bits; or float32, numbers of any
    range. `source`: with that type, and with the ground of transparent images, None where there
    are none. `converted`: how many images are not as they were, by what was done.
    """

    array: StoredArray
    source: Source
    converted: Mapping[str, int]


class _Facts(NamedTuple):
    """What the properties of all images say: of all of them, and what they are to become."""

    gray: bool
    size: tuple[int, int]
    kinds: dict[Kind, int]
    transparent: bool
    ground: Ground
    converted: dict[str, int]

    def kind(self, wanted: str | None) -> Kind:
        """Return the type that all images become: the one wanted, else the longest of theirs."""
        longest: Kind = max(self.kinds, key=lambda kind: _BITS[kind])
        whole: tuple[Kind, ...] = ("uint8", "uint16")
        return next((kind for kind in whole if kind == wanted and longest in whole), longest)


def decode_once(
    paths: Sequence[Path], read: ReadImages, count: int, source: Source, bar: Bar
) -> Decoded:
    """Return the images in the files `paths`, in a file of the cache folder.

    They are decoded unless the cache has them. `read` yields their `count` encoded images. The
    images are grey if all of them are, or with `source.grayscale`, else RGB; with `source.size`
    they are stretched to it. Where the ground is "auto", transparent images lie on white if their
    drawings are dark, else on black.

    Raises:
        InputError: an image cannot be read, or the sizes differ and `source.size` is not set.
        AecliError: the cache folder cannot be written, or is not the user's alone.

    """
    import PIL

    try:
        folder = kept_folder("decoded")
    except OSError as error:
        place = files.cache_folder() / "decoded"
        raise AecliError(f"cannot write {place}: {error.strerror or error}; {_ADVICE}") from error
    conversion = f"{_VERSION} {PIL.__version__} {source.size} {source.grayscale}"
    note, settled = _note(paths, conversion)
    content = _read_note(folder, note) or _content(paths, conversion)
    known = _read_facts(folder, content)
    facts = known or _find_facts(read, count, source, bar)
    ground: Ground = facts.ground if source.ground == "auto" else source.ground or "black"
    if not facts.transparent:
        ground = "black"
    kind = facts.kind(source.kind)
    brought = f" {kind}" if kind != facts.kind(None) else ""
    key = hashlib.sha256(f"{content} {ground}{brought}".encode()).hexdigest()
    array = _open(folder, key)
    if array is None:
        _decode_to_file(folder, key, read, facts._replace(ground=ground), kind, count, bar)
        is_same = _note(paths, conversion)[0] == note
        if not is_same or (not settled and _content(paths, conversion) != content):
            # The pixels may be those of the old content or of the new one.
            files.remove(_pixels(folder, key))
            raise InputError(f"{source.location} was changed while it was decoded: try again")
        array = _open(folder, key)
    if array is None:
        raise InputError(f"{_pixels(folder, key)} was changed while it was written: try again")
    # Without these the files are read once more, no worse.
    if not known:
        with suppress(AecliError):
            folder.write(f"{content}.facts", json.dumps(facts).encode())
    if settled and _read_note(folder, note) != content:
        with suppress(AecliError):
            folder.write(note, content.encode())
    if source.ground == "auto":
        source = replace(source, ground=ground if facts.transparent else None)
    bits = {
        f"of {_BITS[other]} bits brought to {_BITS[kind]}": count
        for other, count in facts.kinds.items()
        if other != kind
    }
    return Decoded(array, replace(source, kind=kind), facts.converted | bits)


def _read_facts(folder: KeptFolder, content: str) -> _Facts | None:
    data = folder.read(f"{content}.facts")
    if data is None:
        return None
    gray, size, *others = json.loads(data)
    return _Facts(gray, tuple(size), *others)


def _pixels(folder: KeptFolder, key: str) -> Path:
    return folder.path / f"{key}.npy"


def _open(folder: KeptFolder, key: str) -> StoredArray | None:
    """Return the array of decoded images, or None if the file is not as it was written."""
    path = _pixels(folder, key)
    try:
        with files.open_regular(path) as file:
            # While it is open, no other process evicts it.
            with suppress(OSError):
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            if not is_ours(file) or not _is_as_written(folder, key, file):
                return None
            size = os.fstat(file.fileno()).st_size
            shape, _, dtype = read_header(file, str(path), size)
            return StoredArray(file, path, dtype, shape)
    except (InputError, OSError):
        return None


def _is_as_written(folder: KeptFolder, key: str, file: IO[bytes]) -> bool:
    """Return whether a file of pixels has the digest that it had when it was written.

    It is read whole only where its state is another one than when that was last found.
    """
    name = f"{key}.sum"
    digest, _, known_state = (folder.read(name) or b"").decode().partition("\n")
    state = os.fstat(file.fileno())
    text = f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"
    if known_state == text:
        folder.mark_used(name)
        return True
    if _sha256(file) != digest:
        return False
    file.seek(0)
    if _is_settled(state.st_ctime_ns):
        # Without it the file is read once more, no worse.
        with suppress(AecliError):
            folder.write(name, f"{digest}\n{text}".encode())
    return True


def _is_settled(newest_ns: int) -> bool:
    """Return whether a change after now would show: the last one is not too recent."""
    return time.time() - newest_ns / 10**9 > _SETTLED_SECONDS


def _note(paths: Sequence[Path], conversion: str) -> tuple[str, bool]:
    """Return the name of the note of the content of files in their present state.

    It saves reading them all: the same path, size, time stamps and inode mean the same content.
    Also return whether the state is settled: old enough for time stamps to show every change.
    """
    digest = hashlib.sha256(conversion.encode())
    newest = 0
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            raise InputError(f"cannot look at {path}: {error.strerror or error}") from error
        digest.update(bytes(path))
        digest.update(
            f"\0{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}\0".encode()
        )
        newest = max(newest, state.st_mtime_ns, state.st_ctime_ns)
    return f"{digest.hexdigest()}.note", _is_settled(newest)


def _read_note(folder: KeptFolder, note: str) -> str | None:
    key = (folder.read(note) or b"").decode()
    return key if re.fullmatch("[0-9a-f]{64}", key) else None


def _content(paths: Sequence[Path], conversion: str) -> str:
    """Return a digest of the content of files, in this order."""
    digest = hashlib.sha256(conversion.encode())
    for path in paths:
        try:
            with files.open_regular(path) as file:
                digest.update(bytes.fromhex(_sha256(file)))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def _sha256(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _decode_to_file(
    folder: KeptFolder, key: str, read: ReadImages, facts: _Facts, kind: Kind, count: int, bar: Bar
) -> None:
    shape = (count, *facts.size, 1 if facts.gray else 3)
    dtype = np.dtype(kind)
    path = _pixels(folder, key)
    files.sweep_folder(folder.path)
    try:
        with (
            files.writing(path, math.prod(shape) * dtype.itemsize) as file,
            bar("decoding images", count) as advance,
        ):
            write_header(file, dtype, shape)
            file.flush()
            place = (file.name, file.tell())
            target = Target(*place, facts.size, facts.gray, kind, facts.ground)
            decode = partial(decode_into, target=target)
            batches = batched(read(), target.row_bytes)
            with closing(in_parallel(decode, batches, advance)) as results:
                for _ in results:
                    pass
            with Path(file.name).open("rb") as written:
                digest = _sha256(written)
        make_private(path)
        folder.write(f"{key}.sum", digest.encode())
    except AecliError as error:
        # What is wrong with the images themselves has causes of this kind too.
        if isinstance(error.__cause__, OSError) and not isinstance(error, InputError):
            raise AecliError(f"{error}; {_ADVICE}") from error.__cause__
        raise
    _evict(folder, key)


def _evict(folder: KeptFolder, kept: str) -> None:
    """Remove the pixels that were not used for longest, beyond what all may take, and old notes.

    Those of the key `kept` stay, and those that a process has open.
    """
    # Another process may remove them at the same time.
    with suppress(OSError):
        for note in chain(folder.path.glob("*.note"), folder.path.glob("*.facts")):
            if time.time() - note.stat().st_mtime > _NOTE_SECONDS:
                note.unlink()
        found = []
        for path in folder.path.glob("*.npy"):
            used = path.with_suffix(".sum")
            found.append(((used if used.exists() else path).stat().st_mtime_ns, path))
        room = _MOST_BYTES
        for _, path in sorted(found, reverse=True):
            room -= path.stat().st_size
            if room < 0 and path.stem != kept:
                with path.open("rb") as file:
                    try:
                        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    path.with_suffix(".sum").unlink(missing_ok=True)
                    path.unlink()


def _find_facts(read: ReadImages, count: int, source: Source, bar: Bar) -> _Facts:
    """Return what the properties of all images say, without decoding more than a few."""
    gray, size, first, seen = True, source.size, "", 0
    kinds: Counter[Kind] = Counter()
    converted: Counter[str] = Counter()
    transparent: list[int] = []
    with (
        bar("reading image sizes", count) as advance,
        closing(in_parallel(read_info, batched(read()), advance)) as results,
    ):
        for batch, infos in results:
            for image, info in zip(batch.images, infos, strict=True):
                size, first = size or info.size, first or image.name
                gray = gray and info.gray
                if source.size is not None and info.size != size:
                    converted[f"stretched to {_text(source.size)}"] += 1
                if source.grayscale and not info.gray:
                    converted["made gray"] += 1
                kinds[info.kind] += 1
                if info.transparent:
                    transparent.append(seen)
                seen += 1
                if source.size is None and info.size != size:
                    raise InputError(
                        f"{image.name} has {_text(info.size)} pixels, {first} has {_text(size)}: "
                        f"expected one size; --size {_text(size)} stretches all images to it"
                    )
    if seen != count or size is None:
        raise InputError(f"{source.location} is damaged: expected {count:,} images, got {seen:,}")
    if len(kinds) > 1 and "float32" in kinds:
        raise InputError(
            f"{source.location} has {kinds['float32']:,} images of 32 bits per pixel, others have "
            "8 or 16: expected one type of number, or the scale of neither is known"
        )
    return _Facts(
        gray=source.grayscale or gray,
        size=size,
        kinds=dict(kinds),
        transparent=bool(transparent),
        ground=_choose_ground(read, transparent, bar) if transparent else "black",
        converted=dict(converted),
    )


def _choose_ground(read: ReadImages, rows: Sequence[int], bar: Bar) -> Ground:
    """Return the ground on which the drawings of transparent images show; `rows` are theirs."""
    looked_at = {rows[place] for place in spread_evenly(len(rows), _MOST_LOOKED_AT).tolist()}
    images = (image for row, image in enumerate(read()) if row in looked_at)
    found: list[float] = []
    with (
        bar("looking at transparent images", len(looked_at)) as advance,
        closing(in_parallel(lightness, batched(images), advance)) as results,
    ):
        for _, values in results:
            found += [value for value in values if not math.isnan(value)]
    return "white" if found and sum(found) / len(found) < _DARK else "black"


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
