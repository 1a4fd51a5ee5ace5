"""Give the images of a data set another size and other channels, as its source says."""

import math
from dataclasses import replace

import numpy as np

from aecli.data.dataset import Dataset
from aecli.data.stored import StoredImages, blocks
from aecli.data.stretch import fit
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory
from aecli.pixels import Images


def take_shape(dataset: Dataset) -> Dataset:
    """Return a data set with its images of the size and the channels that its source says.

    Image files have them already, but for gray ones that are to be RGB. Images in a file stay
    there, and are converted when they are read.

    Raises:
        InputError: they are vectors of another length, or have channels without a meaning.

    """
    source, shape = dataset.source, dataset.image_shape
    height, width = source.size or shape[:2]
    channels = 1 if source.grayscale else 3 if source.color and shape[2] == 1 else shape[2]
    wanted = (height, width, channels)
    if wanted == shape:
        return dataset
    where, images = source.location, dataset.images
    if dataset.vectors and (dataset.standardised or 1 in shape[:2]):
        raise InputError(
            f"{where} has vectors of {math.prod(shape):,} numbers: expected images, or vectors of "
            f"{math.prod(wanted):,} that can be images of {_text(wanted)}"
        )
    if channels != shape[2] and shape[2] not in (1, 3):
        raise InputError(
            f"{where} has images of {shape[2]} channels: expected 1 or 3, which can be converted "
            f"to {channels}"
        )
    fitted: Images | StoredImages
    if isinstance(images, StoredImages):
        fitted = replace(images, shape=(len(images), *wanted), stored=images.shape[1:])
    else:
        size = len(images) * math.prod(wanted) * images.dtype.itemsize
        refuse_beyond_memory(size, where, "save it as .npy, then it can stay on disk")
        fitted = np.concatenate([fit(block, wanted) for block in blocks(images)])
    return replace(dataset, images=fitted, converted={**dataset.converted, **_done(shape, dataset)})


def _done(shape: tuple[int, int, int], dataset: Dataset) -> dict[str, int]:
    """Return what is done to all images, which are of the shape (h, w, c)."""
    source, count = dataset.source, len(dataset.images)
    done = {}
    if source.size not in (None, shape[:2]):
        done[f"stretched to {_text(source.size)}"] = count
    if source.grayscale and shape[2] != 1:
        done["made gray"] = count
    if source.color and shape[2] == 1:
        done["gray made RGB"] = count
    return done


def _text(shape: tuple[int, ...] | None) -> str:
    return "x".join(map(str, shape or ()))
