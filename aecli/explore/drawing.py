"""How a drawing becomes an image like those of a data set: its ink, and where it lies."""

import numpy as np

from aecli.config import SplitName
from aecli.data import Dataset
from aecli.explore.blocks import Facts
from aecli.pixels import unit_range

_SAMPLE = 1_000
# A pixel this far from the ground is ink.
_INK = 0.25
# Images whose centres of mass and sizes vary by less, in parts of a side, were centred and scaled.
_MOST_SPREAD = 0.04
_MOST_SIZE_SPREAD = 0.12


def drawing_facts(dataset: Dataset, split: SplitName) -> Facts | None:
    """Return how to draw an image of a data set; None where they are not grey or not drawings.

    `ground` and `ink`: grey values in 0..1. `box`: the longest side of what is drawn, in pixels,
    and `center`: (y, x) of its centre of mass, where the images were made so, as those of MNIST
    were; None where they lie anyhow.
    """
    height, width, channels = dataset.image_shape
    if channels != 1 or dataset.standardised or min(height, width) < 4:
        return None
    images = np.clip(unit_range(dataset.sample(split, _SAMPLE).images)[..., 0], 0, 1)
    border = np.concatenate(
        [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1
    )
    ground = float(np.median(border))
    ink = 1.0 if ground < 1 / 2 else 0.0
    weights = np.abs(images - ground)
    total = weights.sum(axis=(1, 2))
    drawn = total > 0
    if not drawn.any():
        return None
    weights, total = weights[drawn], total[drawn]
    y = (weights.sum(axis=2) * np.arange(height)).sum(axis=1) / total
    x = (weights.sum(axis=1) * np.arange(width)).sum(axis=1) / total
    sides = np.array([_longest_side(image > _INK) for image in weights])
    side = max(height, width)
    centred = max(y.std(), x.std()) < _MOST_SPREAD * side
    scaled = sides.std() < _MOST_SIZE_SPREAD * side
    placed = {"box": float(np.median(sides)), "center": [float(np.median(y)), float(np.median(x))]}
    return {"ground": ground, "ink": ink, **(placed if centred and scaled else {})}


def _longest_side(ink: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> int:
    """Return the longer side of the box around the ink (h, w), in pixels."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return int(max(np.ptp(rows), np.ptp(columns)) + 1) if len(rows) else 0
