"""Folders of image files: `label/image`, `split/label/image`, or images alone."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from aecli.data.dataset import Dataset, left_out_text
from aecli.data.encoded import EncodedImage
from aecli.data.encoded_dataset import FoundImages, read_found
from aecli.data.format import Format
from aecli.data.image_file import SUFFIXES, is_image
from aecli.data.layout import Layout, as_unicode, layout_of
from aecli.data.progress import Bar
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import Labelling

# What else may lie in folders of splits.
_ARRAYS = (".npy", ".npz")


def read_image_folder(folder: Path, source: Source, bar: Bar) -> Dataset:
    """Read a folder of images, in the layouts of `layout_of`.

    Every raster format that is decoded without another program counts, by content. What is left
    out is counted. Links are followed, but to each folder once. Pages of TIFF and frames of GIF are
    images, of other formats the first frame is. Images are rotated as their EXIF says, and
    transparent ones lie on `source.ground`. They are grey if all of them are, or with
    `source.grayscale`, else RGB; uint8, uint16 or float32, as the files hold them. With
    `source.size` they are stretched to it (Lanczos).

    Raises:
        InputError: there are no images, one cannot be read, their sizes differ, or the folders can
            mean two things.

    """
    found, left_out = _find_images(folder)
    if not found and any(left_out[suffix] for suffix in _ARRAYS):
        raise InputError(
            f"{folder} has no images{left_out_text(left_out)}: arrays are read one file at a time; "
            "name one, or join them with numpy.concatenate, and those of splits with "
            "numpy.savez(..., x_train=..., x_test=...)"
        )
    if not found:
        raise InputError(
            f"{folder} has no images{left_out_text(left_out)}: expected files that end in "
            f"{', '.join(SUFFIXES)}, or IDX files in MNIST's naming"
        )
    # Not with `relative_to`, which takes a third of the time of a second start.
    start = len(os.path.join(folder, ""))  # noqa: PTH118
    names = [str(path)[start:] for path in found]
    places = [tuple(name.split(os.sep)) for name in names]  # noqa: PTH206
    layout = layout_of(places, str(folder), classes=source.own_labels)
    files = [found[index] for index in layout.order]
    images = FoundImages(
        name=folder.name,
        paths=files,
        names=[as_unicode(names[index]) for index in layout.order],
        read=lambda: (EncodedImage(str(path), path) for path in files),
        own=partial(_of_folders, layout),
        layout=layout,
        left_out=left_out,
        has_own_splits=bool(layout.split_names),
        by_row=not layout.split_names,
    )
    return read_found(images, source, bar)


def _of_folders(layout: Layout) -> Labelling:
    names = layout.class_names
    return Labelling(layout.labels, None if names is None else tuple(map(as_unicode, names)))


def _find_images(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Return the image files below a folder in the order of their names, and what is left out.

    Links are followed, but no folder may be reached twice: links could go round in circles.
    """
    images: list[Path] = []
    left_out: Counter[str] = Counter()
    seen: dict[tuple[int, int], Path] = {}
    # Not by recursion: folders may be nested more deeply than functions.
    left = [(folder, True)]
    while left:
        path, is_folder = left.pop()
        if is_folder:
            with _looking(path):
                state = path.stat()
            first = seen.setdefault((state.st_dev, state.st_ino), path)
            if first is not path:
                raise InputError(
                    f"{path} leads to {first} once more, by a link: expected each folder once"
                )
            left += reversed(_entries(path, left_out))
        else:
            images.append(path)
    return images, left_out


def _entries(folder: Path, left_out: Counter[str]) -> list[tuple[Path, bool]]:
    """Return the images and the folders in a folder, sorted by name, and which are folders.

    Other files are counted in `left_out`, by suffix.

    Raises:
        InputError: a link leads nowhere, or something is called like an image and is no file.

    """
    with _looking(folder), os.scandir(folder) as entries:
        everything = sorted(entries, key=lambda entry: entry.name)
    found: list[tuple[Path, bool]] = []
    for entry in everything:
        if entry.name.startswith("."):
            left_out["hidden"] += 1
            continue
        path = Path(entry.path)
        with _looking(path):
            # To ask the operating system about each file takes longer.
            kind = "file" if entry.is_file(follow_symlinks=False) else kind_of(path)
        if kind == "nothing":
            raise InputError(f"{path} is a link that leads nowhere: mend or remove it")
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
        if suffix in SUFFIXES:
            if kind != "file":
                raise InputError(f"{path} is not a file: expected an image")
            found.append((path, False))
        elif kind == "folder":
            found.append((path, True))
        elif kind == "file" and is_image(path):
            found.append((path, False))
        else:
            left_out[suffix or "without a suffix"] += 1
    return found


@contextmanager
def _looking(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot look at {path}: {error.strerror or error}") from error


def _read(source: Source, bar: Bar) -> Dataset:
    return read_image_folder(Path(source.location), source, bar)


FORMAT = Format(
    description="a folder of images",
    matches=lambda path, first_bytes: path.is_dir(),
    read=_read,
    fallback=True,
)
