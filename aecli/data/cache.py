"""A cache of decoded images, keyed by the content of the files that they come from."""

import fcntl
import hashlib
import math
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from aecli import files
from aecli.data.decoding import Ground, Kind, Target, decode_into
from aecli.data.encoded import EncodedImage, batched
from aecli.data.image_file import has_heif
from aecli.data.progress import Bar
from aecli.data.source import Source
from aecli.data.survey import ReadImages, Survey, broken_error, chunk_count, chunks, look_at
from aecli.data.workers import in_parallel
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
_ADVICE = "XDG_CACHE_HOME names another place"


class Decoded(NamedTuple):
    """Decoded images.

    `array`: (n, h, w, c), uint8; uint16 where some images have 16 bits; or float32, numbers of any
    range. `source`: with that type, and with the ground of transparent images, None where there are
    none. `converted`: how many images are not as they were, by what was done. `survey`:
    what the files hold, and which are broken. `kept`: bool, which of the images that the survey of
    `EncodedFiles` promised are in the array.
    """

    array: StoredArray
    source: Source
    converted: Mapping[str, int]
    survey: Survey
    kept: npt.NDArray[np.bool_]


class EncodedFiles:
    """The encoded images of the files `paths`, and the cache of what they are decoded to.

    `read` yields `count` encoded images, `names` are what people call them. `survey`: what they
    hold, as far as that is known before they are decoded.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: ReadImages,
        names: Sequence[str],
        source: Source,
        bar: Bar,
    ) -> None:
        """Look at all images, unless the cache knows what they hold.

        Raises:
            InputError: none can be read, or the sizes differ and `source.size` is not set.
            AecliError: the cache folder cannot be written, or is not the user's alone.

        """
        import PIL

        self._paths, self._read, self._names = paths, read, names
        self._source, self._bar = source, bar
        try:
            self._folder = kept_folder("decoded")
        except OSError as error:
            place = files.cache_folder() / "decoded"
            reason = error.strerror or error
            raise AecliError(f"cannot write {place}: {reason}; {_ADVICE}") from error
        self._conversion = f"{_VERSION} {PIL.__version__} {source.size} {source.grayscale}"
        if has_heif():
            # What could not be read without it was left out.
            self._conversion += " HEIF"
        self._note, self._settled = _note(paths, self._conversion)
        self._content = _read_note(self._folder, self._note) or _content(paths, self._conversion)
        noted = self._folder.read(f"{self._content}.facts")
        known = Survey.from_json(noted) if noted else None
        self._is_known = known is not None
        self.survey = known or look_at(read, len(names), source, bar)

    def decode(self) -> Decoded:
        """Return the images, in a file of the cache folder; they are decoded unless it is there.

        The images are grey if all of them are, or with `source.grayscale`, else RGB; with
        `source.size` they are stretched to it. Where the ground is "auto", transparent images lie
        on white if their drawings are dark, else on black. Files that are broken are left out with
        `source.skip_broken`.

        Raises:
            InputError: some files are broken and are not to be left out; all are named.
            AecliError: the cache folder cannot be written.

        """
        source, survey, folder = self._source, self.survey, self._folder
        promised = survey.files_of_rows()
        if survey.decoded:
            # All are known, without decoding them.
            self._refuse_broken(survey)
        ground: Ground = survey.ground if source.ground == "auto" else source.ground or "black"
        if not survey.transparent:
            ground = "black"
        kind = survey.kind(source.kind)
        brought = f" {kind}" if kind != survey.kind() else ""
        key = hashlib.sha256(f"{self._content} {ground}{brought}".encode()).hexdigest()
        rows = int(np.count_nonzero(~survey.is_broken()[promised]))
        array = _open(folder, key)
        # Without notes it is not known which files are broken.
        if array is None or len(array) != rows:
            survey = self._decode_to(key, replace(survey, ground=ground), kind)
            array = _open(folder, key)
        if array is None:
            raise InputError(f"{_pixels(folder, key)} was changed while it was written: try again")
        survey = replace(survey, ground=self.survey.ground, decoded=True)
        self._refuse_broken(survey)
        self._keep_notes(survey)
        if source.ground == "auto":
            source = replace(source, ground=ground if survey.transparent else None)
        source, converted = replace(source, kind=kind), survey.conversions(kind)
        return Decoded(array, source, converted, survey, ~survey.is_broken()[promised])

    def _refuse_broken(self, survey: Survey) -> None:
        is_allowed = self._source.skip_broken and len(survey.broken) < survey.count
        if survey.broken and not is_allowed:
            raise broken_error(self._read, self._names, survey, self._source.location)

    def _decode_to(self, key: str, survey: Survey, kind: Kind) -> Survey:
        """Decode all images into a file of the cache; return the survey with all broken ones."""
        survey = _decode_to_file(
            self._folder, key, self._read, survey, kind, self._bar, self._refuse_broken
        )
        is_same = _note(self._paths, self._conversion)[0] == self._note
        if not is_same or (
            not self._settled and _content(self._paths, self._conversion) != self._content
        ):
            # The pixels may be those of the old content or of the new one.
            files.remove(_pixels(self._folder, key))
            raise InputError(f"{self._source.location} was changed while it was decoded: try again")
        return survey

    def _keep_notes(self, survey: Survey) -> None:
        # Without these the files are read once more, no worse.
        if not self._is_known or survey != self.survey:
            with suppress(AecliError):
                self._folder.write(f"{self._content}.facts", survey.to_json())
        if self._settled and _read_note(self._folder, self._note) != self._content:
            with suppress(AecliError):
                self._folder.write(self._note, self._content.encode())


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
    folder: KeptFolder,
    key: str,
    read: ReadImages,
    survey: Survey,
    kind: Kind,
    bar: Bar,
    check: Callable[[Survey], None],
) -> Survey:
    """Decode all images into a file of the cache; return the survey with all that are broken.

    `check` may refuse it.
    """
    shape = _shape(survey, sum(map(len, _pages(survey))))
    dtype = np.dtype(kind)
    path = _pixels(folder, key)
    files.sweep_folder(folder.path)
    try:
        with files.writing(path, math.prod(shape) * dtype.itemsize) as file:
            write_header(file, dtype, shape)
            file.flush()
            place = (file.name, file.tell())
            target = Target(*place, survey.size, survey.gray, kind, survey.ground)
            found = _decode_all(target, read, survey, bar)
            check(found)
            if found.broken != survey.broken:
                _drop_rows(file, target, survey, found)
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
    return found


def _shape(survey: Survey, rows: int) -> tuple[int, int, int, int]:
    return (rows, *survey.size, 1 if survey.gray else 3)


def _pages(survey: Survey) -> Iterator[tuple[int, ...]]:
    """Yield the pages of each file that is not broken."""
    for place in range(survey.count):
        if place not in survey.broken:
            yield survey.pages.get(place, (0,))


def _decode_all(target: Target, read: ReadImages, survey: Survey, bar: Bar) -> Survey:
    """Decode all images into their rows; return the survey with all that are broken."""
    # Batches are made ahead of their results.
    places: deque[int] = deque()

    def images() -> Iterator[EncodedImage]:
        for place, image in chunks(read, survey):
            places.append(place)
            yield image

    broken = dict(survey.broken)
    decode = partial(decode_into, target=target)
    batches = batched(images(), target.row_bytes)
    with (
        bar("decoding images", chunk_count(survey)) as advance,
        closing(in_parallel(decode, batches, advance)) as results,
    ):
        for _, faults in results:
            for fault in faults:
                place = places.popleft()
                if fault is not None:
                    broken.setdefault(place, fault)
    return replace(survey, broken=broken)


def _drop_rows(file: IO[bytes], target: Target, before: Survey, after: Survey) -> None:
    """Move the rows of files that are not broken together, in a file that has those of all."""
    rows = before.files_of_rows()
    rows = rows[~before.is_broken()[rows]]
    kept = np.flatnonzero(~after.is_broken()[rows])
    size = target.row_bytes
    with Path(target.path).open("r+b") as pixels:
        for new, old in enumerate(kept.tolist()):
            if new != old:
                pixels.seek(target.offset + old * size)
                row = pixels.read(size)
                pixels.seek(target.offset + new * size)
                pixels.write(row)
        pixels.truncate(target.offset + len(kept) * size)
    # Its length is that of the one before: it has room for longer numbers.
    file.seek(0)
    write_header(file, np.dtype(target.kind), _shape(after, len(kept)))
    file.flush()


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
