"""How much memory there is, and how much of it pixels may take."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aecli.errors import InputError

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class _Version:
    """The files of a version of Linux's control groups: limits, what is in use, and its parts."""

    limits: tuple[str, ...]
    usage: str
    # Pages of files: they are given back when memory is short, as in the machine's own account.
    reclaimable: tuple[str, ...]


_SECOND = _Version(
    ("memory.max", "memory.high"), "memory.current", ("active_file", "inactive_file")
)
_FIRST = _Version(
    ("memory.limit_in_bytes",),
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)


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
    """Return half of the bytes that this process can have now.

    The machine has an amount to give, and so have the container, each group of processes above
    this one, and the shell's limits (`ulimit`).
    """
    import psutil

    available: int = psutil.virtual_memory().available
    return min([available, *free_in_groups(), *_free_of_process()]) // 2


def free_in_groups(root: Path = Path("/")) -> list[int]:
    """Return the bytes that each limited control group of this process has to give now.

    `root` is the folder that has `proc` and `sys`.
    """
    free = []
    for version, folders in _memory_groups(root):
        for folder in folders:
            limits = [_read_number(folder / name) for name in version.limits]
            limit = min((number for number in limits if number is not None), default=None)
            if limit is not None:
                parts = _read_lines(folder / "memory.stat")
                given_back = sum(
                    int(number)
                    for name, _, number in (line.partition(" ") for line in parts)
                    if name in version.reclaimable
                )
                used = (_read_number(folder / version.usage) or 0) - given_back
                free.append(max(0, limit - max(0, used)))
    return free


def _memory_groups(root: Path) -> Iterator[tuple[_Version, list[Path]]]:
    """Yield the folders of this process's groups, from its own one up, for each version."""
    # Lines such as 0::/user.slice/a.scope, or 4:memory:/a of the first version.
    groups: dict[_Version, str] = {}
    for line in _read_lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            groups[_FIRST if controllers else _SECOND] = group
    # ID, parent, device, root, mount point, options, ..., -, type, source, options of the type.
    for line in _read_lines(root / "proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        top, mount_point = (_unescape(field) for field in place.split()[3:5])
        file_system, _, options = kind.split(" ", 2)
        if file_system == "cgroup" and "memory" in options.split(","):
            version = _FIRST
        elif file_system == "cgroup2":
            version = _SECOND
        else:
            continue
        if version in groups:
            # Of a group outside of what is mounted here, only the mounted ones can be read.
            own = Path(os.path.normpath(groups[version]))
            inside = own.relative_to(top) if own.is_relative_to(top) else Path()
            mounted = root / mount_point.lstrip("/")
            yield version, [mounted / part for part in (inside, *inside.parents)]


def _unescape(field: str) -> str:
    """Return a field of mountinfo without its escapes, such as `\\040` for a blank."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _free_of_process() -> list[int]:
    """Return the bytes that this process can still have under the limits of its shell."""
    import resource

    import psutil

    memory = psutil.Process().memory_info()
    # Not every system counts the second.
    in_use = {resource.RLIMIT_AS: memory.vms, resource.RLIMIT_DATA: getattr(memory, "data", 0)}
    limits = {kind: resource.getrlimit(kind)[0] for kind in in_use}
    return [
        max(0, limit - in_use[kind])
        for kind, limit in limits.items()
        if limit != resource.RLIM_INFINITY
    ]


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        # Another system, or another version.
        return []


def _read_number(path: Path) -> int | None:
    """Return the number in a file; None where there is none, as in the word for no limit."""
    try:
        return int("".join(_read_lines(path)))
    except ValueError:
        return None


def refuse_beyond_memory(size: int, where: str, advice: str) -> None:
    """Raise `InputError` where `size` bytes do not fit into what is free now."""
    free = 2 * default_memory()
    if size > free:
        raise InputError(
            f"{where} takes {size:,} bytes, but there are {free:,} bytes of memory: {advice}"
        )
