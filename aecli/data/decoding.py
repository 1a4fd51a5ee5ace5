"""Decode image files: what their pages are, and the pixels of each."""

import math
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from aecli.data.encoded import Batch, EncodedImage
from aecli.data.image_file import BrokenImage, at_page, further_frames, opened, pages_of
from aecli.data.stretch import GRAY_WEIGHTS
from aecli.errors import InputError
from aecli.pixels import Images

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow's modes without colour.
_GRAY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I", "F")
# Colours of 16 bits, by what Pillow calls their bytes; it keeps the upper 8 of them.
_WIDE_COLOUR = ("RGB;16", "RGBA;16", "LA;16")
_LUMA = np.array(GRAY_WEIGHTS, np.float32)
# EXIF's tag that says how an image is turned, and how Pillow calls what undoes it.
_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
# From here on an alpha of 0..255 counts as opaque.
_OPAQUE = 128

# The types of decoded pixels: 8 bits, 16 bits, and other numbers.
Kind = Literal["uint8", "uint16", "float32"]
# What transparent images lie on.
Ground = Literal["black", "white"]
_BRIGHTNESS: Mapping[Ground, int] = {"black": 0, "white": 65535}


class ImageInfo(NamedTuple):
    """The properties of an encoded image; `size` is its (height, width) after rotation by EXIF.

    `narrowed`: whether the file has more bits than are read.
    """

    gray: bool
    size: tuple[int, int]
    kind: Kind = "uint8"
    transparent: bool = False
    narrowed: bool = False


class FileInfo(NamedTuple):
    """What a file holds: the `pages` that are images, and the others by reason.

    `images`: their properties, how many have these, and the first page that has them.
    """

    pages: tuple[int, ...]
    images: Mapping[ImageInfo, tuple[int, int]]
    others: Mapping[str, int]


@dataclass(frozen=True)
class Target:
    """Where decoded images go: rows (h, w, c) of a type in the file `path`, from `offset` on."""

    path: str
    offset: int
    size: tuple[int, int]
    gray: bool
    kind: Kind = "uint8"
    ground: Ground = "black"

    @property
    def row_bytes(self) -> int:
        """The size of a decoded image."""
        return math.prod(self.size) * (1 if self.gray else 3) * np.dtype(self.kind).itemsize


def read_info(batch: Batch) -> list[FileInfo | str]:
    """Return what each file holds, or why it cannot be read, without decoding more than it takes.

    Raises:
        InputError: the operating system refused a file, or memory is short.

    """
    found: list[FileInfo | str] = []
    for image in batch.images:
        try:
            found.append(_read_info(image))
        except BrokenImage as error:
            found.append(error.reason)
    return found


def decode_into(batch: Batch, target: Target) -> list[str | None]:
    """Decode images, grey or RGB, stretched to the target's size, and write their rows.

    They are rotated as their EXIF says, and transparent ones lie on the target's ground. Among
    images of 16 bits those of 8 become 257 times as large, so that white stays white, and where 8
    are asked for, those of 16 become that much smaller. Return for each image why it cannot be
    read, or None; the rows of such a one hold anything.

    Raises:
        InputError: the operating system refused an image, memory is short, or it was changed.
        OSError: the rows cannot be written.

    """
    faults: list[str | None] = []
    row = batch.first
    with Path(target.path).open("r+b") as file:
        for image in batch.images:
            file.seek(target.offset + row * target.row_bytes)
            row += len(image.pages)
            try:
                _decode_pages(image, target, file)
                faults.append(None)
            except BrokenImage as error:
                faults.append(error.reason)
    return faults


def lightness(batch: Batch) -> list[float]:
    """Return for each image the mean of its opaque pixels as grey, in 0..255.

    NaN where there are none, or it cannot be read.

    Raises:
        InputError: the operating system refused an image, or memory is short.

    """
    found = []
    for image in batch.images:
        try:
            found.append(_lightness(image))
        except BrokenImage:
            found.append(math.nan)
    return found


def _lightness(encoded: EncodedImage) -> float:
    with opened(encoded) as image, at_page(image, encoded.name, encoded.pages[0]):
        image.load()
        solid = image.convert("RGBA")
        opaque = np.asarray(solid)[..., 3] >= _OPAQUE
        return float(np.asarray(solid.convert("L"))[opaque].mean()) if opaque.any() else math.nan


def _read_info(encoded: EncodedImage) -> FileInfo:
    pages: list[int] = []
    images: dict[ImageInfo, tuple[int, int]] = {}
    with opened(encoded) as image:
        with at_page(image, encoded.name, 0):
            others = Counter({"further frames": further_frames(image)})
            first = _page_info(image)
        for page, reason in pages_of(image, encoded.name):
            if reason is not None:
                others[reason] += 1
                continue
            info = _page_info(image) if page else first
            count, where = images.get(info, (0, page))
            images[info] = count + 1, where
            pages.append(page)
    if not pages:
        # A file of one page that calls itself a part of another.
        return FileInfo((0,), {first: (1, 0)}, {})
    return FileInfo(tuple(pages), images, +others)


def _page_info(image: "Image") -> ImageInfo:
    """Return the properties of the page that an opened image stands at."""
    # Before it is loaded: what its bytes are is forgotten then.
    kind, narrowed = _kind(image), _is_narrowed(image)
    shows_ground = kind == "uint8" or _is_wide_colour(image)
    gray = _is_gray(image)
    turn = _turn(image)
    if image.format == "TIFF" and turn is not None:
        # Pillow turns these itself, sooner or later.
        image.load()
        turn = _turn(image)
    # Orientations 5 to 8 are rotated by 90 degrees.
    is_rotated = turn is not None and turn >= 5
    size = image.size if is_rotated else (image.height, image.width)
    return ImageInfo(gray, size, kind, shows_ground and image.has_transparency_data, narrowed)


def _is_gray(image: "Image") -> bool:
    if image.mode in _GRAY_MODES or _raw_mode(image).startswith("LA;"):
        return True
    if image.mode == "P":
        # A palette is stored in several ways: all are the same once the image is decoded.
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    if image.format == "GIF":
        # Frames that lie on earlier ones are RGB, whatever the palette.
        pixels = np.asarray(image.convert("RGB"))
        return bool((pixels == pixels[..., :1]).all())
    return False


def _kind(image: "Image") -> Kind:
    """Return the type that holds all bits of the pixels of an opened image."""
    if _is_wide_colour(image) or image.mode.startswith("I;16"):
        return "uint16"
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return "uint16"
    return "float32" if image.mode in ("I", "F") else "uint8"


def _raw_mode(image: "Image") -> str:
    """Return what Pillow calls the bytes of an image that is not loaded, empty where it has none.

    Some decoders take more than this.
    """
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else ""
    return arguments if isinstance(arguments, str) else ""


def _is_wide_colour(image: "Image") -> bool:
    is_known = image.format in ("PNG", "TIFF") and image.mode in ("RGB", "RGBA")
    return is_known and _raw_mode(image)[:-1] in _WIDE_COLOUR


def _is_narrowed(image: "Image") -> bool:
    """Return whether Pillow gives fewer bits of an opened image than its file has."""
    if _kind(image) != "uint8":
        return False
    if image.format == "PPM":
        arguments: Any = image.tile[0][3] if getattr(image, "tile", None) else ()  # type: ignore[attr-defined]
        return isinstance(arguments, tuple) and arguments[-1:] > (255,)
    if image.format in ("JPEG2000", "AVIF", "HEIF"):
        return _bits_of_header(image) > 8
    return _raw_mode(image)[-4:-1] == ";16"


def _bits_of_header(image: "Image") -> int:
    """Return how many bits a channel has, as the header of JPEG 2000, AVIF or HEIF says; 0 if not.

    Sources: ISO/IEC 15444-1, A.5.1 (SIZ); ISO/IEC 23008-12, 6.5.6 (pixi).
    """
    depth = image.info.get("bit_depth")
    if isinstance(depth, int):
        return depth
    file: Any = getattr(image, "_fp", None) or getattr(image, "fp", None)
    if file is None:
        return 0
    place = file.tell()
    file.seek(0)
    start = file.read(65_536)
    file.seek(place)
    siz = start.find(b"\xff\x4f\xff\x51")
    if siz >= 0 and len(start) > siz + 42:
        return int(start[siz + 42] & 0x7F) + 1
    pixi = start.find(b"pixi")
    return int(start[pixi + 9]) if pixi >= 0 and len(start) > pixi + 9 else 0


def _turn(image: "Image") -> int | None:
    """Return the key in `_TURNS` that EXIF says; None where there is none, or another thing."""
    value = image.getexif().get(_ORIENTATION)
    return value if isinstance(value, int) and value in _TURNS else None


def _turned(image: "Image") -> "Image":
    from PIL.Image import Transpose

    turn = _turn(image)
    return image if turn is None else image.transpose(Transpose[_TURNS[turn]])


def _decode_pages(encoded: EncodedImage, target: Target, file: IO[bytes]) -> None:
    with opened(encoded) as image:
        for page in encoded.pages:
            with at_page(image, encoded.name, page):
                pixels = _brought_to(target.kind, _decode(image, encoded, page, target))
            if pixels.dtype != target.kind:
                raise InputError(f"{encoded.name} was changed while it was decoded: try again")
            file.write(pixels.data)


def _brought_to(kind: Kind, pixels: Images) -> Images:
    """Return pixels of 16 bits as 8 where those are asked for, so that white stays white."""
    if pixels.dtype == np.uint16 and kind == "uint8":
        return np.rint(pixels / 257).astype(np.uint8)
    return pixels


def _decode(opened_image: "Image", encoded: EncodedImage, page: int, target: Target) -> Images:
    """Return the pixels of the page that an opened image stands at, (h, w, c)."""
    from PIL import Image

    if _is_wide_colour(opened_image):
        return _decode_wide(opened_image, encoded, page, target)
    kind = _kind(opened_image)
    opened_image.load()
    image = _turned(opened_image)
    if kind != "uint8":
        # Pillow's floats hold 16 bits, and it can stretch them.
        values = np.asarray(image).astype(np.float32)
        image = Image.fromarray(values)
    elif image.has_transparency_data:
        solid = image.convert("RGBA")
        ground = Image.new("RGBA", solid.size, target.ground)
        image = Image.alpha_composite(ground, solid)
    if kind == "uint8":
        image = image.convert("L" if target.gray else "RGB")
    if image.size != target.size[::-1]:
        image = image.resize(target.size[::-1], Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    if kind == "uint16":
        pixels = _rounded(pixels)
    elif kind == "uint8" and target.kind == "uint16":
        pixels = pixels.astype(np.uint16) * np.uint16(257)
    return pixels if pixels.ndim == 3 else _with_channels(pixels[..., np.newaxis], target)


def _decode_wide(image: "Image", encoded: EncodedImage, page: int, target: Target) -> Images:
    """Return the pixels of a page whose colours have 16 bits, uint16 (h, w, c)."""
    from PIL import Image

    values = _read_wide(image, encoded, page)
    transparency = image.info.get("transparency")
    pixels = values.astype(np.float32)
    if values.shape[2] in (2, 4) or isinstance(transparency, tuple):
        if isinstance(transparency, tuple):
            alpha = (values != np.array(transparency, np.uint16)).any(axis=2, keepdims=True)
        else:
            alpha, pixels = pixels[..., -1:] / np.float32(65535), pixels[..., :-1]
        ground = np.float32(_BRIGHTNESS[target.ground])
        pixels = ground + (pixels - ground) * alpha.astype(np.float32)
    if target.gray and pixels.shape[2] == 3:
        pixels = (pixels @ _LUMA)[..., np.newaxis]
    if pixels.shape[:2] != target.size:
        size, filter_ = target.size[::-1], Image.Resampling.LANCZOS
        channels = [Image.fromarray(channel).resize(size, filter_) for channel in _planes(pixels)]
        pixels = np.stack([np.asarray(channel) for channel in channels], axis=2)
    return _with_channels(_rounded(pixels), target)


def _planes(pixels: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    return [np.ascontiguousarray(pixels[..., place]) for place in range(pixels.shape[2])]


def _read_wide(image: "Image", encoded: EncodedImage, page: int) -> npt.NDArray[np.uint16]:
    """Return the values of a page whose colours have 16 bits, (h, w, c), and alpha as the last.

    Pillow keeps the upper 8 bits. So they are read as they are, and once more as if the bytes of
    each number were in the other order.
    """
    raw = _raw_mode(image)
    if raw.startswith("LA;"):
        # Both bytes of the grey and of the alpha, as if they were four channels of 8 bits.
        both = _loaded(image, "RGBA")
        return _joined(both[..., ::2], both[..., 1::2])
    upper = _loaded(image, raw)
    with opened(encoded) as again, at_page(again, encoded.name, page):
        native = "L" if sys.byteorder == "little" else "B"
        order = native if raw[-1] == "N" else raw[-1]
        lower = _loaded(again, raw[:-1] + ("B" if order == "L" else "L"))
    return _joined(upper, lower)


def _joined(upper: npt.NDArray[np.uint16], lower: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    values: npt.NDArray[np.uint16] = np.left_shift(upper, np.uint16(8)) | lower
    return values


def _loaded(image: "Image", raw: str) -> npt.NDArray[np.uint16]:
    """Return the bytes of an image as if Pillow called them `raw`, turned as EXIF says."""
    tiles: Any = image.tile  # type: ignore[attr-defined]
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw)
        for tile in tiles
    ]
    image.load()
    values: npt.NDArray[np.uint16] = np.asarray(_turned(image)).astype(np.uint16)
    return values


def _rounded(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Return 16 bits; stretching may overshoot."""
    rounded: npt.NDArray[np.uint16] = np.rint(np.clip(pixels, 0, 65535)).astype(np.uint16)
    return rounded


def _with_channels(pixels: npt.NDArray[Any], target: Target) -> Images:
    """Return pixels (h, w, 1 or 3) with the channels of the target."""
    channels = 1 if target.gray else 3
    if pixels.shape[2] == channels:
        return np.ascontiguousarray(pixels)
    return np.ascontiguousarray(np.repeat(pixels, channels, axis=2))
