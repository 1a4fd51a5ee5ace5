"""Parts of codes that many processes make: their rows and names, and how missing ones are named."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aecli.errors import InputError
from aecli.files import kind_of
from aecli.printable import plural

# Their numbers have five digits, so that names sort in order.
MOST_PARTS = 99_999
_NUMBERS = "-00000-of-00000"
_NAME = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.npy")
# Longer, and a message would lose its middle.
_MOST_CHARACTERS_OF_NUMBERS = 80


@dataclass(frozen=True)
class Part:
    """One of `count` parts of the rows of a split; `index` counts from 0.

    Raises:
        InputError: there is no such part.

    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_PARTS:
            raise InputError(f"--part {self}: expected 1 to {MOST_PARTS:,} parts")
        if not 0 <= self.index < self.count:
            raise InputError(
                f"--part {self}: parts are counted from 0, expected I/N with I in "
                f"0..{self.count - 1}"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def bounds(self, rows: int) -> tuple[int, int]:
        """Return the first of this part's rows, of `rows`, and the one after the last.

        Parts differ by at most one row.

        Raises:
            InputError: there are fewer rows than parts.

        """
        if rows < self.count:
            raise InputError(
                f"--part {self}: {plural(rows, 'image')} cannot be shared among {self.count} "
                f"parts; expected at most {rows}"
            )
        return rows * self.index // self.count, rows * (self.index + 1) // self.count

    def path(self, codes: Path) -> Path:
        """Return where this part of `codes` lies: `codes.npy` -> `codes-00003-of-00016.npy`."""
        return codes.with_name(f"{codes.stem}-{self.index:05}-of-{self.count:05}.npy")

    def whole(self, path: Path) -> Path:
        """Return the codes of which this part lies at `path`."""
        return path.with_name(f"{path.stem[: -len(_NUMBERS)]}.npy")


def parts_in(folder: Path) -> dict[Path, set[Part]]:
    """Return the parts whose codes lie in a folder, by the name of the codes that they are of.

    Raises:
        InputError: the folder cannot be read.

    """
    found: dict[Path, set[Part]] = {}
    if kind_of(folder) != "folder":
        return found
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}") from error
    for match in filter(None, map(_NAME.fullmatch, names)):
        stem, index, count = match[1], int(match[2]), int(match[3])
        if index < count:
            found.setdefault(folder / f"{stem}.npy", set()).add(Part(index, count))
    return found


def parts_of(codes: Path) -> set[Part]:
    """Return the parts of `codes` that lie beside it, whole or not; raises as `parts_in`."""
    return parts_in(codes.parent).get(codes, set())


def find_codes(path: Path) -> Path:
    """Return the codes that a folder of parts holds, such as `FOLDER/codes.npy`; else `path`.

    A folder that holds a run means the run.

    Raises:
        InputError: the folder has parts of several codes.

    """
    if kind_of(path) != "folder" or any(
        kind_of(path / f"{name}.safetensors") == "file" for name in ("best", "last")
    ):
        return path
    names = sorted(parts_in(path))
    if len(names) > 1:
        raise InputError(f"{path} has parts of several codes: name one, such as {names[0]}")
    return names[0] if names else path


def codes_are_there(path: Path) -> bool:
    """Return whether there are codes of this name: a file, or parts."""
    return kind_of(path) == "file" or bool(parts_of(path))


def count_of_parts(codes: Path) -> int:
    """Return how many parts `codes` are in.

    Raises:
        InputError: there are no parts, or some of another count.

    """
    counts = sorted({part.count for part in parts_of(codes)})
    if not counts:
        raise InputError(
            f"there are no parts of {codes}, such as {Part(0, 16).path(codes).name}: aecli encode "
            "--part I/N makes them"
        )
    if len(counts) > 1:
        several = " and of ".join(map(str, counts))
        raise InputError(f"{codes} has parts of {several}: move those that do not belong away")
    return counts[0]


def missing_line(codes: Path, indices: Iterable[int], count: int) -> str:
    """Return in a line which parts have to be made, as schedulers take their numbers."""
    wanted = sorted(set(indices))
    numbers = ranges(wanted)
    shown = numbers
    if len(numbers) > _MOST_CHARACTERS_OF_NUMBERS:
        shown = numbers[:_MOST_CHARACTERS_OF_NUMBERS].rpartition(",")[0]
    first = "" if shown == numbers else "; the first are"
    return (
        f"{codes}: {len(wanted):,} of {plural(count, 'part')} missing or damaged{first}: {shown}; "
        f"encode them with --part I/{count}, or sbatch --array={shown} and --part auto/{count}"
    )


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers as schedulers take them: `3,7-9`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] + 1 == number:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
