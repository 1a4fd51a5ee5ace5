"""Data sets larger than memory: their rows on the way to the device."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset, count_of, rows_between
from aecli.memory import Layout
from aecli.pixels import Images

Item = TypeVar("Item")


class Window(NamedTuple):
    """Rows that are trained on together.

    `images`: pixels (w, h, w, c), of which the first are filled. `batches`: int32
    (steps, batch size), rows of `images`; the first `steps` are to be taken.
    """

    images: Images
    batches: npt.NDArray[np.int32]
    steps: int


def windows(
    dataset: Dataset,
    layout: Layout,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    shuffle: bool,
    skip: int = 0,
) -> Iterator[Window]:
    """Read the training images of one epoch, in an order that is a function of seed and epoch.

    Blocks of neighbouring rows come in random order and are shuffled within each window; without
    `shuffle` rows come in file order. All blocks but the last are whole batches, so that one
    incomplete batch is left out, as it is in memory. The first `skip` windows are left out.
    """
    rows = dataset.rows("train")
    count = count_of(rows)
    starts = np.arange(0, count, layout.block_rows)
    if shuffle:
        np.random.default_rng((seed, epoch)).shuffle(starts)
    for first in range(skip * layout.window_blocks, len(starts), layout.window_blocks):
        images = np.empty((layout.window_rows, *dataset.image_shape), dataset.images.dtype)
        filled = 0
        for start in starts[first : first + layout.window_blocks].tolist():
            block = rows_between(rows, start, min(start + layout.block_rows, count))
            images[filled : filled + count_of(block)] = dataset.images[block]
            filled += count_of(block)
        # The rest is never looked at, but should not be chance.
        images[filled:] = 0
        order = np.arange(filled)
        if shuffle:
            # Of its own, so that an epoch can begin with any window.
            np.random.default_rng((seed, epoch, first)).shuffle(order)
        steps = filled // batch_size
        batches = np.zeros((layout.window_rows // batch_size, batch_size), np.int32)
        batches[:steps] = order[: steps * batch_size].reshape(steps, batch_size)
        yield Window(images, batches, steps)


def prefetched(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items while a thread makes the next one."""
    iterator = iter(items)
    with ThreadPoolExecutor(1, "aecli-prefetch") as pool:
        following = pool.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, iterator, None)
            yield item
