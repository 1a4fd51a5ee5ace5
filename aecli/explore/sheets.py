"""Small images for the page, many on a sheet."""

import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from aecli.explore.blocks import Blocks, Facts
from aecli.pixels import Images, unit_range

# Every graphics card and browser takes pictures of this many pixels a side.
_MOST_SIDE = 2048
_QUALITY = 80
# The longest side of a small image, by how many there are: (at most so many, pixels).
_SIDES = ((2_000, 64), (20_000, 48), (math.inf, 32))
# Vectors are drawn as lines of this height and width.
_LINE_SHAPE = (32, 48)

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SheetPlan:
    """How small images lie on sheets: each `height` x `width`, row by row, in `columns`."""

    height: int
    width: int
    columns: int
    per_sheet: int


def plan_sheets(count: int, image_shape: tuple[int, int, int], *, lines: bool = False) -> SheetPlan:
    """Return how `count` images of a shape (h, w, c) lie on sheets; `lines` are vectors' lines."""
    height, width = _LINE_SHAPE if lines else image_shape[:2]
    most = next(side for limit, side in _SIDES if count <= limit)
    shrink = max(1.0, max(height, width) / most)
    height, width = max(1, round(height / shrink)), max(1, round(width / shrink))
    across, down = _MOST_SIDE // width, _MOST_SIDE // height
    # About as wide as high, or a few images would make a strip.
    columns = min(across, max(1, math.ceil(math.sqrt(count * height / width))))
    return SheetPlan(height, width, columns, columns * min(down, -(-count // columns)))


def add_sheets(
    blocks: Blocks,
    plan: SheetPlan,
    batches: Iterable[Images],
    report: Callable[[int], None] = lambda images: None,
    limits: tuple[float, float] | None = None,
) -> Facts:
    """Add images, in batches of any type of pixel (m, h, w, c), as sheets in WebP.

    With `limits` they are vectors, drawn as lines between these values.
    """
    sheets: list[Facts] = []
    for sheet in _filled(plan, _small(plan, batches, report, limits)):
        picture = io.BytesIO()
        Image.fromarray(sheet).save(picture, "WEBP", quality=_QUALITY, method=4)
        sheets.append(blocks.file(f"sheet{len(sheets)}", picture.getvalue()))
    return {
        "height": plan.height,
        "width": plan.width,
        "columns": plan.columns,
        "per_sheet": plan.per_sheet,
        "sheets": sheets,
    }


def _filled(plan: SheetPlan, images: Iterator[Bytes]) -> Iterator[Bytes]:
    """Yield sheets, uint8 (H, W, 3), filled with images (h, w, 3) one after the other."""
    place, sheet = 0, np.zeros((0, 0, 3), np.uint8)
    for image in images:
        if place == 0:
            rows = plan.per_sheet // plan.columns
            sheet = np.zeros((rows * plan.height, plan.columns * plan.width, 3), np.uint8)
        top, left = (place // plan.columns) * plan.height, (place % plan.columns) * plan.width
        sheet[top : top + plan.height, left : left + plan.width] = image
        place += 1
        if place == plan.per_sheet:
            yield sheet
            place = 0
    if place:
        yield sheet[: -(-place // plan.columns) * plan.height]


def _small(
    plan: SheetPlan,
    batches: Iterable[Images],
    report: Callable[[int], None],
    limits: tuple[float, float] | None,
) -> Iterator[Bytes]:
    """Yield each image as RGB, uint8 (h, w, 3) of the plan's size."""
    for batch in batches:
        if limits is not None:
            yield from (_line(plan, row.reshape(-1), limits) for row in batch)
        else:
            bright = np.rint(np.clip(unit_range(batch), 0, 1) * 255).astype(np.uint8)
            for image in bright:
                yield _resized(as_rgb(image), plan)
        report(len(batch))


def as_rgb(image: Bytes) -> Bytes:
    """Return an image of 1 to 4 channels, uint8 (h, w, c), as RGB, as pictures of it are drawn.

    One channel is grey; of two the first is red and the second green; a fourth is the opacity, on
    white.
    """
    channels = image.shape[2]
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    if channels == 2:
        return np.pad(image, [(0, 0), (0, 0), (0, 1)])
    if channels == 4:
        opacity = image[..., 3:] / 255
        blended: Bytes = np.rint(image[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)
        return blended
    return image


def _resized(image: Bytes, plan: SheetPlan) -> Bytes:
    if image.shape[:2] == (plan.height, plan.width):
        return image
    resized = Image.fromarray(image).resize((plan.width, plan.height), Image.Resampling.LANCZOS)
    return np.asarray(resized)


def _line(plan: SheetPlan, values: npt.NDArray[np.float32], limits: tuple[float, float]) -> Bytes:
    """Draw a vector (p,) as a dark line on white; its values lie between `limits`."""
    low, high = limits
    span = high - low or 1.0
    heights = (1 - (np.clip(values, low, high) - low) / span) * (plan.height - 1)
    places = np.linspace(0, plan.width - 1, len(values))
    picture = Image.new("L", (plan.width, plan.height), 255)
    points = list(zip(places.tolist(), heights.tolist(), strict=True))
    ImageDraw.Draw(picture).line(points, fill=40)
    return as_rgb(np.asarray(picture)[..., np.newaxis])
