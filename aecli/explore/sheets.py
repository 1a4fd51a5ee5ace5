"""Small images for the page, many on a sheet."""

import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from aecli.explore.blocks import Blocks, Facts
from aecli.pixels import Images
from aecli.plot.tiles import LINE_SHAPE, Bytes, tiles

# Every graphics card and browser takes pictures of this many pixels a side.
_MOST_SIDE = 2048
_QUALITY = 80
# The longest side of a small image, by how many there are: (at most so many, pixels).
_SIDES = ((2_000, 64), (20_000, 48), (math.inf, 32))


@dataclass(frozen=True)
class SheetPlan:
    """How small images lie on sheets: each `height` x `width`, row by row, in `columns`."""

    height: int
    width: int
    columns: int
    per_sheet: int

    @property
    def shape(self) -> tuple[int, int]:
        """The height and width of an image on a sheet."""
        return self.height, self.width


def plan_sheets(count: int, image_shape: tuple[int, int, int], *, lines: bool = False) -> SheetPlan:
    """Return how `count` images of a shape (h, w, c) lie on sheets; `lines` are vectors' lines."""
    height, width = LINE_SHAPE if lines else image_shape[:2]
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
    for sheet in _filled(plan, tiles(batches, plan.shape, limits, report)):
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
