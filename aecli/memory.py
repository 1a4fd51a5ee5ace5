"""How much memory pixels may take, and how data beyond that pass through it."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from aecli.errors import InputError

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
# Linux's limits on a container's memory, of its second and its first version.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
# In memory, pixels lie once in the program's hands and once in the device's.
_COPIES = 2
# One window is trained on, one waits, one is being read; each may lie in both hands for a moment.
_WINDOWS = 5
# Larger blocks are read faster, more blocks in a window mix rows better that lie far apart.
_LARGEST_BLOCK = 64_000_000
_FEWEST_BLOCKS = 64


@dataclass(frozen=True)
class ShuffleLayout:
    """How rows that do not fit into memory pass through it.

    Blocks of `block_rows` successive rows are read in random order; `buffer_blocks` of them are
    shuffled together, trained on, and let go. The order of the batches depends on both numbers.
    """

    block_rows: int
    buffer_blocks: int

    @property
    def buffer_rows(self) -> int:
        """Rows that are shuffled together."""
        return self.block_rows * self.buffer_blocks

    def needed(self, row_bytes: int) -> int:
        """Return the bytes that passing rows of this size takes."""
        return _WINDOWS * self.buffer_rows * row_bytes


@dataclass(frozen=True)
class PartialEpoch:
    """An epoch of streamed data that was stopped: what its first shuffle buffers gave.

    `loss` and `neighbor_loss` are the sums over their steps, `finite_steps` for how many of these
    the first was finite.
    """

    buffers: int
    loss: float
    neighbor_loss: float
    finite_steps: int


def parse_memory(text: str) -> int:
    """Parse `"2GB"` or `"1.5 GiB"` into bytes.

    Raises:
        InputError: this is no amount of memory.

    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([a-z]*)\s*", text, re.ASCII | re.IGNORECASE)
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None or not 0 < float(match[1]) < 1e9:
        raise InputError(f"--memory {text!r}: expected an amount such as 500MB, 2GB or 2GiB")
    return int(float(match[1]) * unit)


def default_memory() -> int:
    """Return half of the bytes that this machine, or the container's limit, has to give now."""
    import psutil

    amounts: list[int] = [psutil.virtual_memory().available]
    for path in _LIMITS:
        try:
            amounts.append(int(Path(path).read_text()))
        except (OSError, ValueError):
            # Another version, no container, or the word for no limit.
            continue
    return min(amounts) // 2


def refuse_beyond_memory(size: int, where: str, advice: str) -> None:
    """Raise `InputError` where so many bytes do not fit into what is free now."""
    free = 2 * default_memory()
    if size > free:
        raise InputError(
            f"{where} takes {size:,} bytes, but there are {free:,} bytes of memory: {advice}"
        )


def needed_in_memory(pixel_bytes: int) -> int:
    """Return the bytes that training on so many bytes of pixels takes without streaming."""
    return _COPIES * pixel_bytes


def choose_shuffle_layout(row_bytes: int, batch_size: int, memory: int) -> ShuffleLayout:
    """Return how rows of so many bytes pass through so much memory, in whole batches.

    Raises:
        InputError: not even one batch fits.

    """
    window = memory // _WINDOWS
    block = min(window // _FEWEST_BLOCKS, _LARGEST_BLOCK)
    batches = max(1, block // (batch_size * row_bytes))
    block_rows = batches * batch_size
    buffer_blocks = window // (block_rows * row_bytes)
    if buffer_blocks < 1:
        least = math.ceil(_WINDOWS * batch_size * row_bytes / 10**6)
        raise InputError(
            f"--memory {memory / 10**6:g}MB is too small for batches of {batch_size} images: "
            f"expected at least {least}MB, or a smaller --batch-size"
        )
    return ShuffleLayout(block_rows, buffer_blocks)
