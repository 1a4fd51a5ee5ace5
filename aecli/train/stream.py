"""Data sets larger than memory: their rows on the way to the device."""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

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


class BufferOrder(NamedTuple):
    """Which training images a shuffle buffer has, and how they come.

    `blocks`: their numbers from where to where, in the order in which they are read. `order`:
    int64 (w,), a permutation of them. `drawn`: int32 (k, w), neighbours of the images as they are
    read.
    """

    blocks: list[tuple[int, int]]
    order: npt.NDArray[np.int64]
    drawn: npt.NDArray[np.int32]

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """The numbers of the training images as they are read, int64 (w,)."""
        return np.concatenate([np.arange(start, stop) for start, stop in self.blocks])

    def batches(self, batch_size: int) -> npt.NDArray[np.int64]:
        """Return the training images of each whole batch, int64 (steps, 1 + k, batch size)."""
        steps = len(self.order) // batch_size
        rows = np.vstack([self.positions, self.drawn])[:, self.order[: steps * batch_size]]
        return rows.reshape(-1, steps, batch_size).swapaxes(0, 1)


def buffer_orders(
    count: int,
    layout: ShuffleLayout,
    neighbors: npt.NDArray[np.int32] | None = None,
    *,
    positives: int = 0,
    seed: int,
    epoch: int,
    shuffle: bool,
    skip: int = 0,
) -> Iterator[BufferOrder]:
    """Yield the order of `count` training images in one epoch; see `shuffle_buffers`."""
    starts = np.arange(0, count, layout.block_rows)
    if shuffle:
        np.random.default_rng((seed, epoch)).shuffle(starts)
    for first in range(skip * layout.buffer_blocks, len(starts), layout.buffer_blocks):
        own = starts[first : first + layout.buffer_blocks].tolist()
        blocks = [(start, min(start + layout.block_rows, count)) for start in own]
        filled = sum(stop - start for start, stop in blocks)
        # An order of its own, so that an epoch can begin with any buffer.
        generator = np.random.default_rng((seed, epoch, first))
        order = np.arange(filled)
        if shuffle:
            generator.shuffle(order)
        drawn = np.empty((0, filled), np.int32)
        buffer = BufferOrder(blocks, order, drawn)
        if neighbors is not None:
            chosen = generator.integers(neighbors.shape[1], size=(positives, filled))
            buffer = buffer._replace(drawn=neighbors[buffer.positions, chosen])
        yield buffer


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
    group = 1 + positives
    for buffer in buffer_orders(
        count_of(rows),
        layout,
        neighbors,
        positives=positives,
        seed=seed,
        epoch=epoch,
        shuffle=shuffle,
        skip=skip,
    ):
        images = np.empty((group, layout.buffer_rows, *dataset.image_shape), dataset.images.dtype)
        positions = np.zeros(layout.buffer_rows, np.int64)
        filled, order, drawn = len(buffer.order), buffer.order, buffer.drawn
        positions[:filled] = buffer.positions
        if isinstance(dataset.images, StoredImages):
            dataset.images.announce(rows_between(rows, *block) for block in buffer.blocks)
        done = 0
        for start, stop in buffer.blocks:
            images[0, done : done + stop - start] = dataset.images[rows_between(rows, start, stop)]
            done += stop - start
        for images_of_positive, wanted in zip(images[1:], drawn, strict=True):
            images_of_positive[:filled] = read_rows(dataset, rows, wanted)
        # The rest is never looked at, but should not be chance.
        images[:, filled:] = 0
        steps = filled // batch_size
        batches = np.zeros((layout.buffer_rows // batch_size, group, batch_size), np.int32)
        # The first positive lies one buffer behind its image, the second two, ...
        taken = order[: steps * batch_size].reshape(steps, 1, batch_size)
        batches[:steps] = taken + layout.buffer_rows * np.arange(group)[:, np.newaxis]
        own_labels = None if labels is None else labels[positions]
        yield ShuffleBuffer(images.reshape(-1, *dataset.image_shape), batches, steps, own_labels)


def read_rows(dataset: Dataset, rows: Rows, wanted: npt.NDArray[np.integer[Any]]) -> Images:
    """Read training images, (n,), in any order, some of them more than once."""
    ascending, places = np.unique(wanted.astype(np.int64), return_inverse=True)
    images: Images = dataset.images[rows_at(rows, ascending)][places]
    return images


def prefetched(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items while a thread makes the next one."""
    iterator = iter(items)
    with ThreadPoolExecutor(1, "aecli-prefetch") as pool:
        following = pool.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, iterator, None)
            yield item
