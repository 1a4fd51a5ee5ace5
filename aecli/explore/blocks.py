"""The binary blocks of a page: arrays by name, and the facts that say how to read them."""

import base64
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli import json_text

# The highest uint16 stands for "unknown"; numbers take the others.
_LEVELS = 65_534
UNKNOWN_LEVEL = 65_535
_KERNEL_LEVELS = 32_767

Facts = dict[str, Any]


class Blocks:
    """Arrays on their way into a page; each method adds one and returns the facts about it."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each block and its bytes as base64."""
        for name, data in self._bytes.items():
            yield name, base64.b64encode(data).decode()

    def array(self, name: str, values: npt.NDArray[Any]) -> Facts:
        """Add an array as it is: uint8, uint16, uint32, int8, int16 or float32, little-endian."""
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        self._bytes[name] = little.tobytes()
        return {"block": name, "type": values.dtype.name, "shape": list(values.shape)}

    def levels(self, name: str, values: npt.NDArray[np.floating[Any]]) -> Facts:
        """Add numbers (n, d), NaN where one is unknown, as uint16: 65,535 levels of each column.

        A number is `low + step * level`, and off by at most half a step.
        """
        low = np.nanmin(values, axis=0, initial=np.inf)
        high = np.nanmax(values, axis=0, initial=-np.inf)
        low, high = np.where(low > high, 0, low), np.where(low > high, 0, high)
        step = (high.astype(np.float64) - low) / _LEVELS
        step = np.where(step > 0, step, 1.0)
        level = np.rint((values - low.astype(np.float64)) / step)
        filled = np.where(np.isnan(level), UNKNOWN_LEVEL, level).astype(np.uint16)
        scale = {"low": low.astype(np.float64).tolist(), "step": step.tolist()}
        return self.array(name, filled) | scale

    def kernel(self, name: str, values: npt.NDArray[np.float32]) -> Facts:
        """Add weights as int16 with one scale: half the bytes, and 2,000 times as fine as 8 bits.

        float16 of the same size has 11 bits for large weights, where int16 has 15.
        """
        largest = float(np.abs(values).max(initial=0))
        scale = largest / _KERNEL_LEVELS or 1.0
        rounded = np.rint(values / scale).astype(np.int16)
        return self.array(name, rounded) | {"scale": scale}

    def texts(self, name: str, texts: Sequence[str]) -> Facts:
        """Add texts, compressed (zlib)."""
        self._bytes[name] = zlib.compress(json_text.dump(list(texts)).encode(), 9)
        return {"block": name, "type": "texts", "shape": [len(texts)]}

    def file(self, name: str, data: bytes) -> Facts:
        """Add the bytes of a file."""
        self._bytes[name] = data
        return {"block": name, "type": "bytes", "shape": [len(data)]}
