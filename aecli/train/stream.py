"""Data sets larger than memory: their rows on the way to the device."""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset, Rows, StoredImages, count_of, rows_at, rows_between
from aecli.errors import InputError
from aecli.pixels import Images
from aecli.run.states import ShuffleLayout

Item = TypeVar("Item")

# In memory, pixels lie on the host and on the device.
_COPIES = 2
# One shuffle buffer is trained on, one waits, one is being read; each may lie on host and device
# for a moment.
_BUFFERS = 5
# Larger blocks are read faster; more blocks in a buffer mix rows better that lie far apart.
_LARGEST_BLOCK = 64_000_000
_FEWEST_BLOCKS = 64


def bytes_in_memory(pixel_bytes: int) -> int:
    """Return the bytes that training takes without streaming, for pixels of this size."""
    return _COPIES * pixel_bytes


def bytes_streamed(layout: ShuffleLayout, row_bytes: int) -> int:
    """Return the bytes that streaming rows of this size takes."""
    return _BUFFERS * layout.buffer_rows * row_bytes


def choose_shuffle_layout(row_bytes: int, batch_size: int, memory: int) -> ShuffleLayout:
    """Return how rows of `row_bytes` each pass through `memory` bytes, in whole batches.

    Raises:
        InputError: not even one batch fits.

    """
    buffer = memory // _BUFFERS
    block = min(buffer // _FEWEST_BLOCKS, _LARGEST_BLOCK)
    batches = max(1, block // (batch_size * row_bytes))
    block_rows = batches * batch_size
    buffer_blocks = buffer // (block_rows * row_bytes)
    if buffer_blocks < 1:
        least = math.ceil(_BUFFERS * batch_size * row_bytes / 10**6)
        raise InputError(
            f"--memory {memory / 10**6:g}MB is too small for batches of {batch_size} images: "
            f"expected at least {least}MB, or a smaller --batch-size"
        )
    return ShuffleLayout(block_rows, buffer_blocks)


class ShuffleBuffer(NamedTuple):
    """Rows that are trained on together.

    `images`: pixels (w, h, w, c), of which the first of each group are filled. `batches`: int32
    (steps, group, batch size), rows of `images`; the first `steps` are to be taken. `labels`: int32
    (buffer rows,), of the images without their neighbours, or None.
    """

    images: Images
    batches: npt.NDArray[np.int32]
    steps: int
    labels: npt.NDArray[np.int32] | None


def shuffle_buffers(
    dataset: Dataset,
    layout: ShuffleLayout,
    batch_size: int,
    neighbors: npt.NDArray[np.int32] | None = None,
    labels: npt.NDArray[np.int32] | None = None,
    *,
    positives: int = 0,
    seed: int,
    epoch: int,
    shuffle: bool,
    skip: int = 0,
) -> Iterator[ShuffleBuffer]:
    """Read the training images of one epoch, in an order that is a function of seed and epoch.

    Blocks of neighbouring rows come in random order and are shuffled within each buffer; without
    `shuffle` rows come in file order. All blocks but the last are whole batches, so that one
    incomplete batch is left out, as it is in memory. The first `skip` shuffle buffers are left out.

    With `neighbors`, int32 (n, k) rows of the training images, each image of a batch comes with
    `positives` of its neighbours, drawn at random and read too: groups of 1 + `positives`. With
    `labels`, int32 (n,) of the training images, it comes with its own.
    """
    rows = dataset.rows("train")
    count = count_of(rows)
    group = 1 + positives
    starts = np.arange(0, count, layout.block_rows)
    if shuffle:
        np.random.default_rng((seed, epoch)).shuffle(starts)
    for first in range(skip * layout.buffer_blocks, len(starts), layout.buffer_blocks):
        images = np.empty((group, layout.buffer_rows, *dataset.image_shape), dataset.images.dtype)
        positions = np.zeros(layout.buffer_rows, np.int64)
        filled = 0
        own = starts[first : first + layout.buffer_blocks].tolist()
        blocks = [(start, min(start + layout.block_rows, count)) for start in own]
        if isinstance(dataset.images, StoredImages):
            dataset.images.announce(rows_between(rows, *block) for block in blocks)
        for start, stop in blocks:
            positions[filled : filled + stop - start] = np.arange(start, stop)
            images[0, filled : filled + stop - start] = dataset.images[
                rows_between(rows, start, stop)
            ]
            filled += stop - start
        # An order of its own, so that an epoch can begin with any buffer.
        generator = np.random.default_rng((seed, epoch, first))
        order = np.arange(filled)
        if shuffle:
            generator.shuffle(order)
        if neighbors is not None:
            chosen = generator.integers(neighbors.shape[1], size=(positives, filled))
            drawn = neighbors[positions[:filled], chosen]
            for images_of_positive, wanted in zip(images[1:], drawn, strict=True):
                _read_rows(dataset, rows, wanted, images_of_positive[:filled])
        # The rest is never looked at, but should not be chance.
        images[:, filled:] = 0
        steps = filled // batch_size
        batches = np.zeros((layout.buffer_rows // batch_size, group, batch_size), np.int32)
        # The first positive lies one buffer behind its image, the second two, ...
        taken = order[: steps * batch_size].reshape(steps, 1, batch_size)
        batches[:steps] = taken + layout.buffer_rows * np.arange(group)[:, np.newaxis]
        own_labels = None if labels is None else labels[positions]
        yield ShuffleBuffer(images.reshape(-1, *dataset.image_shape), batches, steps, own_labels)


def _read_rows(dataset: Dataset, rows: Rows, wanted: npt.NDArray[np.int32], into: Images) -> None:
    """Read training images in any order, some of them more than once."""
    ascending, places = np.unique(wanted.astype(np.int64), return_inverse=True)
    into[:] = dataset.images[rows_at(rows, ascending)][places]


def prefetched(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items while a thread makes the next one."""
    iterator = iter(items)
    with ThreadPoolExecutor(1, "aecli-prefetch") as pool:
        following = pool.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, iterator, None)
            yield item
