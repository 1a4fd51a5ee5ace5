"""How much memory there is, and how much of it pixels may take."""

import re
from pathlib import Path

from aecli.errors import InputError

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
# Linux's limits on a container's memory, of its second and its first version.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def parse_memory(text: str) -> int:
    """Parse `"2GB"` or `"1.5 GiB"` into bytes.

    Raises:
        InputError: this is not an amount of memory.

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
    """Raise `InputError` where `size` bytes do not fit into what is free now."""
    free = 2 * default_memory()
    if size > free:
        raise InputError(
            f"{where} takes {size:,} bytes, but there are {free:,} bytes of memory: {advice}"
        )
