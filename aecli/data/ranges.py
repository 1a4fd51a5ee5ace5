"""What numbers are black and white: the range that becomes 0..1.

Pixels say it by their type: 0..255, 0..65535, or 0..1 as floats. But masks of 0 and 1, grey levels
0..16 or 12 bits in 16 use a sliver of it, and would all be one shade; other types say nothing. The
range of the training images is taken then.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.config import SplitName
from aecli.data.arrays import to_pixels
from aecli.data.dataset import Dataset
from aecli.data.rows import Rows, count_of, rows_between, spread_evenly
from aecli.data.stored import StoredImages, blocks
from aecli.errors import InputError
from aecli.npy import Array, StoredArray
from aecli.pixels import is_pixel, scale_of

# Images that use a smaller share of the range of their type are spread over all of it. Two bits
# are lost then; photographs that are that flat are rare, and gain by it too.
_LEAST_SHARE = 1 / 4
# A few images of full contrast tell what all would.
_SAMPLE = 64
# Images this many times beyond the range are of another kind, and codes of theirs may be infinite.
_FARTHEST = 1e6

# Deviations this much smaller than the mean are errors of rounding.
_ROUNDING = 1e-13

Columns = tuple[tuple[float, ...], tuple[float, ...]]
Floats = npt.NDArray[np.float64]


def take_range(dataset: Dataset) -> Dataset:
    """Return a data set as read with its numbers as pixels, and with the choices in its source.

    With `rescale` "auto", the range of the training images is taken as 0..1 unless the type says
    it. Vectors of floats that cannot be images are standardised, column by column, by the training
    rows. Other images may reach beyond it: they are kept as they are, and `outside` tells which.

    Raises:
        InputError: there is a NaN, an infinity or a number very far out.

    """
    source, images = dataset.source, dataset.images
    ground = None if source.ground == "auto" else source.ground
    rescale = None if source.rescale == "auto" else source.rescale
    settled = replace(dataset, source=replace(source, rescale=rescale, ground=ground))
    where = source.location
    if source.columns is not None:
        return _standardise(settled, source.columns, source.reach)
    if source.rescale != "auto":
        if rescale is None and is_pixel(images.dtype):
            return settled
        lowest, highest = _row_extremes(images, where)
        limits = (0.0, 1.0)
    else:
        raw = images.array if isinstance(images, StoredImages) else images
        if raw.dtype.kind == "b" or (is_pixel(raw.dtype) and _is_wide(dataset)):
            return replace(settled, images=to_pixels(images, where, None))
        lowest, highest = _row_extremes(raw, where)
        rows = dataset.splits["train"]
        chosen = rows if count_of(rows) else slice(None)
        if dataset.vectors and raw.dtype.kind == "f" and not _are_pixels(raw, lowest, highest):
            return _standardise(settled, _measure_columns(raw, chosen, where), None)
        ends = float(lowest[chosen].min()), float(highest[chosen].max())
        rescale = _choose(raw.dtype, *ends, where)
        limits = rescale or (0.0, scale_of(images.dtype))
        settled = replace(
            settled,
            source=replace(settled.source, rescale=rescale),
            images=to_pixels(images, where, rescale),
            found_range=rescale is not None,
        )
    low, high = limits
    far = (lowest < low - _FARTHEST * (high - low)) | (highest > high + _FARTHEST * (high - low))
    if far.any():
        raise InputError(
            f"{where}: image {int(np.argmax(far))} has pixels more than {_FARTHEST:,.0f} times as "
            "far out as the range that is taken as 0..1; leave it out, or give --rescale LOW,HIGH"
        )
    outside = (lowest < low) | (highest > high)
    return replace(settled, outside=outside if outside.any() else None)


def _are_pixels(values: Array | StoredArray, lowest: Floats, highest: Floats) -> bool:
    """Return whether vectors of floats can be images: in 0..1, or squares of whole 0..255."""
    if lowest.min() < 0 or highest.max() > 255:
        return False
    if highest.max() <= 1:
        return True
    is_square = math.isqrt(values.shape[1]) ** 2 == math.prod(values.shape[1:])
    return is_square and all((block == np.rint(block)).all() for block in blocks(values))


def _measure_columns(values: Array | StoredArray, rows: Rows, where: str) -> Columns:
    """Return the mean and the deviation of each column over some rows; 1 where that is 0.

    Raises:
        InputError: the numbers are too large.

    """
    used = np.zeros(len(values), bool)
    used[rows] = True
    count, start = 0, 0
    mean = squares = np.zeros(math.prod(values.shape[1:]))
    for block in blocks(values):
        part = block.reshape(len(block), -1)[used[start : start + len(block)]].astype(np.float64)
        start += len(block)
        if not len(part):
            continue
        # Blocks are put together as Chan, Golub and LeVeque (1979) do it: nothing cancels.
        with np.errstate(over="ignore", invalid="ignore"):
            own = part.mean(axis=0)
            share = len(part) / (count + len(part))
            squares = squares + np.square(part - own).sum(axis=0)
            squares = squares + np.square(own - mean) * count * share
            mean = mean + (own - mean) * share
        count += len(part)
    deviation = np.sqrt(squares / count)
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
        raise InputError(f"{where} has numbers that are too large to measure: make them smaller")
    # Equal numbers may differ in their last bit from their mean.
    deviation[deviation <= _ROUNDING * np.abs(mean)] = 1
    return tuple(mean.tolist()), tuple(deviation.tolist())


def _standardise(dataset: Dataset, columns: Columns, reach: float | None) -> Dataset:
    """Return vectors with each column less its mean and divided by its deviation.

    `reach` is the largest number of a training row then; where it is None, that of these.

    Raises:
        InputError: there is another number of columns, or a number very far out.

    """
    source, images = dataset.source, dataset.images
    where, size = source.location, math.prod(images.shape[1:])
    if not dataset.vectors or size != len(columns[0]):
        raise InputError(
            f"{where} has {size:,} numbers per row{'' if dataset.vectors else ', as images'}: "
            f"expected vectors of {len(columns[0]):,}, as those that the run was trained on"
        )
    mean, deviation = (np.array(values).reshape(1, size, 1) for values in columns)
    shape = (len(images), 1, size, 1)
    if isinstance(images, StoredImages):
        raw: Array | StoredImages = StoredImages(images.array, shape, None)
    else:
        raw = images.reshape(shape)
    vectors = to_pixels(raw, where, (mean, mean + deviation))
    lowest, highest = _row_extremes(vectors, where)
    distances = np.maximum(-lowest, highest)
    far = distances > _FARTHEST
    if far.any():
        raise InputError(
            f"{where}: row {int(np.argmax(far))} is more than {_FARTHEST:,.0f} deviations from the "
            "mean of the training rows: leave it out"
        )
    if reach is None:
        train = distances[dataset.splits["train"]]
        reach = float((train if len(train) else distances).max())
    source = replace(source, rescale="auto", columns=columns, reach=reach)
    outside = distances > reach
    return replace(
        dataset, source=source, images=vectors, outside=outside if outside.any() else None
    )


def contrast_note(dataset: Dataset, name: SplitName) -> str | None:
    """Return in words that the images of a split use a sliver of the range; None where they do not.

    That is so where a run has another range than they have.
    """
    if dataset.standardised or count_of(dataset.rows(name)) == 0:
        return None
    is_wide, *used = _look_for_contrast(dataset, dataset.rows(name))
    if is_wide:
        return None
    low, high = dataset.range
    scale = scale_of(dataset.images.dtype)
    lowest, highest = (low + value / scale * (high - low) for value in used)
    return (
        f"these images use {lowest:g}..{highest:g} of {low:g}..{high:g}, which is taken as 0..1; "
        "--rescale decides otherwise"
    )


def _is_wide(dataset: Dataset) -> bool:
    """Return whether some of the training images use enough of the range of their type."""
    return _look_for_contrast(dataset, dataset.splits["train"])[0]


def _look_for_contrast(dataset: Dataset, rows: Rows) -> tuple[bool, float, float]:
    """Return whether some images use enough of the range, and the extremes of those looked at."""
    lowest, highest = math.inf, -math.inf
    for place in spread_evenly(count_of(rows), _SAMPLE).tolist():
        image = dataset.images[rows_between(rows, place, place + 1)]
        lowest, highest = min(lowest, float(image.min())), max(highest, float(image.max()))
        if _share(dataset.images.dtype, lowest, highest) >= _LEAST_SHARE:
            return True, lowest, highest
    return False, lowest, highest


def _share(dtype: npt.DTypeLike, lowest: float, highest: float) -> float:
    return (highest - lowest) / scale_of(dtype)


def _choose(
    dtype: np.dtype[Any], lowest: float, highest: float, where: str
) -> tuple[float, float] | None:
    """Return the range to take as 0..1, or None where the type says it.

    Raises:
        InputError: no number holds the difference of its ends.

    """
    in_type = is_pixel(dtype) or (dtype.kind == "f" and lowest >= 0 and highest <= 1)
    # Where all pixels are equal there is nothing to spread.
    if in_type and (lowest == highest or _share(dtype, lowest, highest) >= _LEAST_SHARE):
        return None
    if lowest == highest:
        highest += max(1.0, abs(lowest))
    if not math.isfinite(highest - lowest):
        raise InputError(
            f"{where} has pixels from {lowest:g} to {highest:g}, too far apart: expected 0..1"
        )
    return lowest, highest


def _row_extremes(images: Array | StoredArray | StoredImages, where: str) -> tuple[Floats, Floats]:
    """Return the lowest and the highest number of each image, float64 (n,) each.

    Raises:
        InputError: there is a NaN, or a number that is infinite, maybe as a float32 only.

    """
    lowest, highest = np.empty(len(images)), np.empty(len(images))
    start = 0
    for block in blocks(images):
        rows = block.reshape(len(block), -1)
        stop = start + len(rows)
        lowest[start:stop], highest[start:stop] = rows.min(axis=1), rows.max(axis=1)
        finite = np.isfinite(lowest[start:stop]) & np.isfinite(highest[start:stop])
        if not finite.all():
            wrong = block[np.argmin(finite)]
            pixel = np.unravel_index(np.argmin(np.isfinite(wrong)), wrong.shape)
            index = (start + int(np.argmin(finite)), *(int(i) for i in pixel))
            raise InputError(
                f"{where} holds NaN, infinity or a number too large for float32, first at {index}"
            )
        start = stop
    return lowest, highest
