"""Folders of image files: `label/image`, `split/label/image`, or images alone."""

import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aecli.data.dataset import Dataset
from aecli.data.source import Source
from aecli.data.splits import split_at_random, split_parts
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.pixels import Images

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# What folders of splits are called, in the order of their rows.
_SPLITS = {
    "validation": ("validation", "valid", "val"),
    "train": ("train", "training"),
    "test": ("test", "testing"),
}
# Pillow's modes without colour.
_GRAY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def read_image_folder(folder: Path, source: Source) -> Dataset:
    """Read a folder of images: PNG, JPEG, WebP, BMP, GIF (its first frame) or TIFF.

    The first folder level are the labels, in alphabetical order, or splits (`train`, `test`, maybe
    `validation`) with labels below; images without any folder have no labels. Hidden files and
    files with other suffixes are left out. Images are turned as their EXIF says, put on black
    where they are transparent, and are grey if all of them are, or with `source.grayscale`, else
    RGB; uint8 in any case. With `source.size` they are stretched to it (Lanczos).

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
    images = _decode_all(files, source)
    own_splits = "all" not in parts
    return Dataset(
        name=folder.name,
        source=source,
        images=images,
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
    """Return the image files of each split, or all of them, sorted by name."""
    names = {path.name for path in _visible(folder) if path.is_dir()}
    found = {
        split: next((folder / name for name in known if name in names), None)
        for split, known in _SPLITS.items()
    }
    if found["train"] is None or found["test"] is None:
        return {"all": _find_images(folder)}
    parts = {split: _find_images(path) for split, path in found.items() if path is not None}
    for split, paths in parts.items():
        if not paths:
            raise InputError(f"{found[split]} has no images")
    return parts


def _find_images(folder: Path) -> list[Path]:
    """Return the images below a folder; links to folders are not followed, so none can loop."""
    images = []
    for path in _visible(folder):
        if path.is_dir() and not path.is_symlink():
            images += _find_images(path)
        elif path.suffix.lower() in SUFFIXES:
            images.append(path)
    return images


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}") from error


def _label(
    files: Sequence[Path], folder: Path, *, split_folders: bool
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]] | None, tuple[str, ...] | None]:
    """Return the label of each file, from the folder it lies in, and what the labels mean."""
    depth = 1 if split_folders else 0
    above = [path.relative_to(folder).parts[depth:-1] for path in files]
    bare = [path for path, folders in zip(files, above, strict=True) if not folders]
    if len(bare) == len(files):
        return None, None
    if bare:
        raise InputError(
            f"{folder} has images both in folders of labels and beside them, such as {bare[0].name}"
        )
    names = sorted({folders[0] for folders in above})
    index = {name: label for label, name in enumerate(names)}
    labels = np.array([index[folders[0]] for folders in above], np.int64)
    return labels, tuple(os.fsencode(name).decode(errors="replace") for name in names)


def _decode_all(files: Sequence[Path], source: Source) -> Images:
    """Decode images in parallel: Pillow lets go of Python's lock while it decodes."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = list(pool.map(_look, files))
        gray = source.grayscale or all(is_gray for is_gray, _ in looks)
        first = looks[0][1]
        if source.size is None:
            for path, (_, size) in zip(files, looks, strict=True):
                if size != first:
                    raise InputError(
                        f"{path} has {_text(size)} pixels, {files[0]} has {_text(first)}: expected "
                        f"one size; --size {_text(first)} stretches all images to it"
                    )
        images = np.empty((len(files), *(source.size or first), 1 if gray else 3), np.uint8)
        decode = partial(_decode, gray=gray, size=source.size)
        for row, image in enumerate(pool.map(decode, files)):
            images[row] = image
    return images


def _look(path: Path) -> tuple[bool, tuple[int, int]]:
    """Return whether an image is grey, and its (height, width) once it is turned."""
    with _opened(path) as image:
        gray = image.mode in _GRAY_MODES
        if image.mode == "P" and image.palette is not None:
            colors = np.frombuffer(image.palette.tobytes(), np.uint8).reshape(-1, 3)
            gray = bool((colors == colors[:, :1]).all())
        turned = image.getexif().get(0x0112, 1) >= 5
        return gray, (image.width, image.height) if turned else (image.height, image.width)


def _decode(path: Path, *, gray: bool, size: tuple[int, int] | None) -> Images:
    from PIL import Image, ImageOps

    with _opened(path) as opened:
        image: Image.Image = ImageOps.exif_transpose(opened)
        if image.mode in ("I", "F"):
            raise InputError(f"{path} has 32 bits a pixel: expected 8 or 16")
        if image.mode.startswith("I;16"):
            # 0..65535 to 0..255.
            image = Image.fromarray((np.asarray(image).astype(np.int64) // 257).astype(np.uint8))
        if image.has_transparency_data:
            solid = image.convert("RGBA")
            black = Image.new("RGBA", solid.size, "black")
            image = Image.alpha_composite(black, solid)
        image = image.convert("L" if gray else "RGB")
        if size is not None:
            image = image.resize((size[1], size[0]), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
        return pixels[..., np.newaxis] if gray else pixels


@contextmanager
def _opened(path: Path) -> Iterator["Image"]:
    """Open an image; what Pillow raises for a bad one becomes a line that names the file."""
    from PIL import Image, UnidentifiedImageError

    if kind_of(path) != "file" or not path.is_file():
        raise InputError(f"{path} is no file: expected an image")
    try:
        with Image.open(path) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is refused: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is no image that can be read") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise InputError(f"{path} is a damaged image: {error}") from error


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
