"""One IDX file of images."""

from pathlib import Path

from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.idx import GZIP_MAGIC, MAGICS, open_idx
from aecli.data.progress import Bar
from aecli.data.single_array import dataset_of_array
from aecli.data.source import Source


def _read(source: Source, bar: Bar) -> Dataset:
    return dataset_of_array(source, open_idx(Path(source.location), ndim=3))


FORMAT = Format(
    description="an IDX file",
    matches=lambda path, first_bytes: first_bytes.startswith((GZIP_MAGIC, *MAGICS)),
    read=_read,
)
