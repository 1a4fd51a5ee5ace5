"""A single image file: a data set of one, or of as many images as it has pages."""

from collections import Counter
from pathlib import Path

from aecli.data.dataset import Dataset
from aecli.data.encoded import EncodedImage
from aecli.data.encoded_dataset import FoundImages, read_found
from aecli.data.format import Format
from aecli.data.image_file import SUFFIXES, looks_like_image
from aecli.data.layout import as_unicode, layout_of
from aecli.data.progress import Bar
from aecli.data.source import Source
from aecli.labels import Labelling


def _matches(path: Path, start: bytes) -> bool:
    return path.is_file() and (path.suffix.lower() in SUFFIXES or looks_like_image(path))


def _read(source: Source, bar: Bar) -> Dataset:
    path = Path(source.location)
    name = as_unicode(path.name)
    images = FoundImages(
        name=path.stem,
        paths=[path],
        names=[name],
        read=lambda: [EncodedImage(str(path), path)],
        own=Labelling,
        layout=layout_of([(name,)], str(path), classes=False),
        left_out=Counter(),
    )
    return read_found(images, source, bar)


FORMAT = Format(
    description="an image",
    matches=_matches,
    read=_read,
    # Arrays and tables say more surely what they are.
    priority=-1,
)
