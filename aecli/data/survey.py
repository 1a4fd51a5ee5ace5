"""What the images of files have in common, and which cannot be read."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from aecli.data.decoding import FileInfo, Ground, ImageInfo, Kind, lightness, read_info
from aecli.data.encoded import EncodedImage, batched
from aecli.data.image_file import HEIF_REMEDY
from aecli.data.progress import Bar
from aecli.data.rows import spread_evenly
from aecli.data.source import Source
from aecli.data.workers import in_parallel
from aecli.errors import InputError
from aecli.printable import MOST_CHARACTERS, one_line, printable

# Transparent images whose drawings are looked at, to choose the ground that shows them.
_MOST_LOOKED_AT = 200
# Drawings that are darker, of 0..255, lie on white.
_DARK = 128
# What one process decodes of a file of many pages.
_PAGES_AT_A_TIME = 256
# What is shown of the place of a data set whose broken images are named.
_MOST_OF_A_PLACE = 80
_SHORTEST_NAME = 24

_BITS: Mapping[Kind, int] = {"uint8": 8, "uint16": 16, "float32": 32}

ReadImages = Callable[[], Iterable[EncodedImage]]


@dataclass(frozen=True)
class Survey:
    """What the properties of all images say: of all of them, and what they are to become.

    `count`: how many files there are. `pages`: those of each file that has not one image, its first
    page, by its place among the files. `broken`: why files cannot be read, by their places;
    `decoded` says whether all are known, also those whose pixels are damaged. `others`: how many
    pages are no images, by reason. `kinds`: how many images have pixels of each type. `converted`:
    how many are not of the size or the channels that all have in the end, by what is done.
    `narrowed`: how many have more bits in the file than are read.
    """

    count: int
    gray: bool
    size: tuple[int, int]
    kinds: Mapping[Kind, int]
    ground: Ground
    transparent: bool
    converted: Mapping[str, int]
    narrowed: int
    pages: Mapping[int, tuple[int, ...]]
    others: Mapping[str, int]
    broken: Mapping[int, str]
    decoded: bool = False

    def kind(self, wanted: str | None = None) -> Kind:
        """Return the type that all images become: the one wanted, else the longest of theirs."""
        longest: Kind = max(self.kinds, key=lambda kind: _BITS[kind])
        whole: tuple[Kind, ...] = ("uint8", "uint16")
        return next((kind for kind in whole if kind == wanted and longest in whole), longest)

    def conversions(self, kind: Kind) -> dict[str, int]:
        """Return how many images are not as they were once all are of a type, by what was done."""
        bits = {
            f"of {_BITS[other]} bits brought to {_BITS[kind]}": count
            for other, count in self.kinds.items()
            if other != kind
        }
        lost = {"of more than 8 bits per channel are read as 8": self.narrowed}
        return {**self.converted, **bits, **(lost if self.narrowed else {})}

    def files_of_rows(self) -> npt.NDArray[np.int64]:
        """Return the file of each image, int64 (n,), also of broken ones.

        A file whose pages are not known counts as one image.
        """
        counts = np.ones(self.count, np.int64)
        for place, pages in self.pages.items():
            counts[place] = len(pages)
        return np.repeat(np.arange(self.count), counts)

    def is_broken(self) -> npt.NDArray[np.bool_]:
        """Return for each file whether it cannot be read, bool (count,)."""
        mask = np.zeros(self.count, np.bool_)
        mask[list(self.broken)] = True
        return mask

    def to_json(self) -> bytes:
        """Return the fields as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Survey | None":
        """Return what `to_json` wrote; None where another version did, with other fields."""
        values = json.loads(data)
        if values.keys() != {field.name for field in fields(cls)}:
            return None
        pages = {int(place): tuple(pages) for place, pages in values["pages"].items()}
        broken = {int(place): reason for place, reason in values["broken"].items()}
        size = tuple(values["size"])
        return cls(**{**values, "size": size, "pages": pages, "broken": broken})


def look_at(read: ReadImages, count: int, source: Source, bar: Bar) -> Survey:
    """Return what `count` files hold, without decoding more than a few.

    Raises:
        InputError: none can be read, the sizes differ and `source.size` is not set, or some are
            floats and others not.

    """
    found = _Found(source)
    with (
        bar("reading image sizes", count) as advance,
        closing(in_parallel(read_info, batched(read()), advance)) as results,
    ):
        for batch, infos in results:
            for image, info in zip(batch.images, infos, strict=True):
                found.add(image.name, info)
    if found.count != count:
        raise InputError(
            f"{source.location} is damaged: expected {count:,} images, got {found.count:,}"
        )
    survey = found.survey()
    if found.transparent:
        survey = replace(survey, ground=_choose_ground(read, found.transparent, survey, bar))
    return survey


class _Found:
    """What is found in one file after another."""

    def __init__(self, source: Source) -> None:
        self.count = 0
        self.transparent: list[int] = []
        self._source = source
        self._size, self._first = source.size, ""
        self._gray, self._narrowed = True, 0
        self._kinds: Counter[Kind] = Counter()
        self._converted: Counter[str] = Counter()
        self._pages: dict[int, tuple[int, ...]] = {}
        self._others: Counter[str] = Counter()
        self._broken: dict[int, str] = {}
        self._name = ""

    def add(self, name: str, info: FileInfo | str) -> None:
        """Add what the next file holds, or why it cannot be read."""
        place = self.count
        self.count += 1
        if isinstance(info, str):
            self._broken[place] = info
            self._name = self._name or name
            return
        if info.pages != (0,):
            self._pages[place] = info.pages
        self._others.update(info.others)
        for image, (images, page) in info.images.items():
            self._add_images(name_of_page(name, page, info.pages), image, images)
        if any(image.transparent for image in info.images):
            self.transparent.append(place)

    def _add_images(self, name: str, info: ImageInfo, count: int) -> None:
        self._size, self._first = self._size or info.size, self._first or name
        self._gray = self._gray and info.gray
        self._kinds[info.kind] += count
        self._narrowed += count * info.narrowed
        if self._source.size is not None and info.size != self._source.size:
            self._converted[f"stretched to {_text(self._source.size)}"] += count
        if self._source.grayscale and not info.gray:
            self._converted["made gray"] += count
        if self._source.size is None and info.size != self._size:
            size = _text(self._size)
            raise InputError(
                f"{name} has {_text(info.size)} pixels, {self._first} has {size}: "
                f"expected one size; --size {size} stretches all images to it"
            )

    def survey(self) -> Survey:
        """Return what all files have in common."""
        where, kinds = self._source.location, self._kinds
        if not kinds or self._size is None:
            raise _all_broken_error(self._name, self._broken, where)
        if len(kinds) > 1 and "float32" in kinds:
            raise InputError(
                f"{where} has {kinds['float32']:,} images of 32 bits per pixel, others have "
                "8 or 16: expected one type of number, or the scale of neither is known"
            )
        return Survey(
            count=self.count,
            gray=self._source.grayscale or self._gray,
            size=self._size,
            kinds=dict(kinds),
            ground="black",
            transparent=bool(self.transparent),
            converted=dict(self._converted),
            narrowed=self._narrowed,
            pages=self._pages,
            others=dict(self._others),
            broken=self._broken,
        )


def names_of_rows(names: Sequence[str], survey: Survey) -> tuple[str, ...]:
    """Return what images are called, those of broken files too; `names` are those of all files."""
    if not survey.pages:
        return tuple(names)
    return tuple(
        name_of_page(name, page, pages)
        for place, name in enumerate(names)
        for pages in (survey.pages.get(place, (0,)),)
        for page in pages
    )


def name_of_page(name: str, page: int, pages: Sequence[int]) -> str:
    """Return what a page of a file is called, `NAME#3` for the third; NAME where it is the only."""
    return name if len(pages) == 1 else f"{name}#{page + 1}"


def chunks(read: ReadImages, survey: Survey) -> Iterator[tuple[int, EncodedImage]]:
    """Yield the images of files that are not known to be broken, and the place of each file.

    A file of many pages comes in several parts, which several processes can decode.
    """
    for place, image in enumerate(read()):
        if place in survey.broken:
            continue
        pages = survey.pages.get(place, (0,))
        for start in range(0, len(pages), _PAGES_AT_A_TIME):
            yield place, image._replace(pages=pages[start : start + _PAGES_AT_A_TIME])


def chunk_count(survey: Survey) -> int:
    """Return how many parts `chunks` yields."""
    several = (n for place, n in survey.pages.items() if place not in survey.broken)
    more = sum(math.ceil(len(pages) / _PAGES_AT_A_TIME) - 1 for pages in several)
    return survey.count - len(survey.broken) + more


def _all_broken_error(first: str, broken: Mapping[int, str], where: str) -> InputError:
    """Return the error for files none of which can be read; `first` is the name of the first."""
    more = f"; no other of the {len(broken):,} images of {where} can be read"
    return InputError(f"{first} {broken[0]}{more if len(broken) > 1 else ''}")


def broken_error(read: ReadImages, names: Sequence[str], survey: Survey, where: str) -> InputError:
    """Return the error that names all files that cannot be read; `names` are those of all files."""
    broken = sorted(survey.broken)
    first = next(islice(read(), broken[0], None)).name
    if len(broken) == survey.count:
        return _all_broken_error(first, survey.broken, where)
    if len(broken) == 1:
        return InputError(f"{first} {survey.broken[broken[0]]}; --skip-broken leaves it out")
    start = (
        f"{one_line(where, _MOST_OF_A_PLACE)} has {len(broken):,} images of {survey.count:,} that "
        "cannot be read, --skip-broken leaves them out: "
    )
    is_heif = any(HEIF_REMEDY in reason for reason in survey.broken.values())
    remedy = f"; HEIF needs {HEIF_REMEDY}" if is_heif else ""
    return InputError(start + listed([names[p] for p in broken], start + remedy) + remedy)


def listed(names: Sequence[str], beside: str = "") -> str:
    """Return as many names as fit into a line with `beside`, and how many more there are."""
    left = MOST_CHARACTERS - len(beside) - len(f", and {len(names):,} more")
    shown: list[str] = []
    for name in names:
        text = " ".join(printable(name).split())
        if shown and len(text) + 2 > left:
            return f"{', '.join(shown)}, and {len(names) - len(shown):,} more"
        shown.append(one_line(text, max(left, _SHORTEST_NAME)))
        left -= len(shown[-1]) + 2
    return ", ".join(shown)


def _choose_ground(read: ReadImages, places: Sequence[int], survey: Survey, bar: Bar) -> Ground:
    """Return the ground on which the drawings of transparent images show; `places` are theirs."""
    looked_at = {places[index] for index in spread_evenly(len(places), _MOST_LOOKED_AT).tolist()}
    images = (
        image._replace(pages=survey.pages.get(place, (0,))[:1])
        for place, image in enumerate(read())
        if place in looked_at
    )
    found: list[float] = []
    with (
        bar("looking at transparent images", len(looked_at)) as advance,
        closing(in_parallel(lightness, batched(images), advance)) as results,
    ):
        for _, values in results:
            found += [value for value in values if not math.isnan(value)]
    return "white" if found and sum(found) / len(found) < _DARK else "black"


def _text(size: tuple[int, int] | None) -> str:
    return "" if size is None else f"{size[0]}x{size[1]}"
