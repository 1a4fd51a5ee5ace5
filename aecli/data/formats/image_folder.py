"""Folders of image files: `label/image`, `split/label/image`, or images alone."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from aecli.data.arrays import to_images
from aecli.data.cache import decode_once
from aecli.data.dataset import Dataset
from aecli.data.decoding import SUFFIXES, EncodedImage
from aecli.data.format import LABELS_COME_FROM_FILES, Format
from aecli.data.progress import Bar
from aecli.data.source import Source
from aecli.data.splits import SPLIT_WORDS, split_at_random, split_parts
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.labels import Labels


def read_image_folder(folder: Path, source: Source, bar: Bar) -> Dataset:
    """Read a folder of images: PNG, JPEG, WebP, BMP, GIF or TIFF.

    Folders are labels, in alphabetical order, or splits (`train`, `test`, maybe `validation`) with
    folders of labels in them; images outside of any folder have no labels. Hidden files and files
    with other suffixes are left out. Links are followed, but to each folder once. Of several frames
    the first is taken. Images are rotated as their EXIF says, and transparency becomes black. They
    are grey if all of them are, or with `source.grayscale`, else RGB, always uint8. With
    `source.size` they are stretched to it (Lanczos).

    Raises:
        InputError: there are no images, one cannot be read, or their sizes differ.

    """
    parts = _find_parts(folder)
    files = [path for paths in parts.values() for path in paths]
    if not files:
        raise InputError(
            f"{folder} has no images: expected files that end in {', '.join(SUFFIXES)}, or IDX "
            "files in MNIST's naming"
        )
    labels, class_names = _label(files, folder, split_folders="all" not in parts)
    decoded = decode_once(
        files, lambda: (EncodedImage(str(path), path) for path in files), len(files), source, bar
    )
    own_splits = "all" not in parts
    return Dataset(
        name=folder.name,
        source=source,
        images=to_images(decoded, str(folder), source.rescale),
        labels=labels,
        class_names=class_names,
        splits=split_parts({name: len(paths) for name, paths in parts.items()}, str(folder))
        if own_splits
        else split_at_random(len(files), labels, source.validation, source.test, source.split_seed),
        has_own_splits=own_splits,
        row_ids=tuple(
            os.fsencode(path.relative_to(folder)).decode(errors="replace") for path in files
        ),
    )


def _find_parts(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of each split, or `all` of them, sorted by name."""
    names = {path.name for path, is_folder in _entries(folder) if is_folder}
    found = {
        split: next((folder / name for name in known if name in names), None)
        for split, known in SPLIT_WORDS.items()
    }
    if found["train"] is None or found["test"] is None:
        return {"all": _find_images(folder)}
    parts = {split: _find_images(path) for split, path in found.items() if path is not None}
    for split, paths in parts.items():
        if not paths:
            raise InputError(f"{found[split]} has no images")
    return parts


def _find_images(folder: Path) -> list[Path]:
    """Return the image files below a folder, in the order of their names.

    Links are followed, but no folder may be reached twice: links could go round in circles.
    """
    images: list[Path] = []
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
            left += reversed(_entries(path))
        else:
            images.append(path)
    return images


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """Return the images and the folders in a folder, sorted by name, and which are folders.

    Raises:
        InputError: a link leads nowhere, or something is called like an image and is no file.

    """
    with _looking(folder), os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    found: list[tuple[Path, bool]] = []
    for entry in sorted(visible, key=lambda entry: entry.name):
        path = Path(entry.path)
        with _looking(path):
            # To ask the operating system about each file takes longer.
            kind = "file" if entry.is_file(follow_symlinks=False) else kind_of(path)
        if kind == "nothing":
            raise InputError(f"{path} is a link that leads nowhere: mend or remove it")
        if os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122
            if kind != "file":
                raise InputError(f"{path} is not a file: expected an image")
            found.append((path, False))
        elif kind == "folder":
            found.append((path, True))
    return found


@contextmanager
def _looking(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot look at {path}: {error.strerror or error}") from error


def _label(
    files: Sequence[Path], folder: Path, *, split_folders: bool
) -> tuple[Labels | None, tuple[str, ...] | None]:
    """Return the label of each file, from the folder that it is in, and the names of the labels."""
    depth = 1 if split_folders else 0
    above = [path.relative_to(folder).parts[depth:-1] for path in files]
    bare = [path for path, folders in zip(files, above, strict=True) if not folders]
    if len(bare) == len(files):
        return None, None
    if bare:
        raise InputError(
            f"{folder} has images both in folders of labels and outside, such as {bare[0].name}"
        )
    names = sorted({folders[0] for folders in above})
    index = {name: label for label, name in enumerate(names)}
    labels = np.array([index[folders[0]] for folders in above], np.int64)
    return labels, tuple(os.fsencode(name).decode(errors="replace") for name in names)


def _read(source: Source, bar: Bar) -> Dataset:
    return read_image_folder(Path(source.location), source, bar)


FORMAT = Format(
    description="a folder of images",
    matches=lambda path, first_bytes: path.is_dir(),
    read=_read,
    labels_refusal=LABELS_COME_FROM_FILES,
    fallback=True,
)
