"""The options of all kinds of plot. Importing this module imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aecli.errors import InputError
from aecli.files import kind_of
from aecli.run.points import PER_POINT

if TYPE_CHECKING:
    from aecli.data.progress import Bar

BY_LABEL = "label"
LIMITS = ("auto", "all")


@dataclass(frozen=True)
class PlotOptions:
    """The options of all kinds of plot; each kind reads those that it needs.

    `labels`: a file of labels that takes the place of the codes' own. `color_by`: what codes are
    coloured by: `label`, a number that `aecli score --per-point` wrote, or a file, also
    `FILE:COLUMN`. `over`: codes, or a run, that the codes are drawn over, in grey. `highlight`:
    names of classes, separated by commas; all others are grey. `limits`: `auto` or `all`. `size`:
    width and height in inches, as in `8x7`. `dpi`: dots an inch. `dot_size`: the diameter of a dot,
    in points. `no_names`: leave the names of classes to the legend. `title`: in place of what is
    drawn. `count`: how many images, None for as many as the kind has. `start` and `end`: codes, as
    `planes.code_of` reads them. `bar` shows the reading of images. `out`: the picture,
    which must be none of the images. `say` is called with what is to be known of it.
    """

    labels: str | Path | None = None
    color_by: str = BY_LABEL
    over: Path | None = None
    highlight: str | None = None
    limits: str = LIMITS[0]
    size: str | None = None
    dpi: int | None = None
    dot_size: float | None = None
    no_names: bool = False
    title: str | None = None
    count: int | None = None
    start: str | None = None
    end: str | None = None
    bar: "Bar | None" = None
    out: Path | None = None
    say: Callable[[str], None] = lambda line: None

    def inputs(self) -> list[Path]:
        """Return the files that the options name.

        Raises:
            InputError: a path cannot be followed.

        """
        from aecli.data.source import located

        files = [located(str(self.labels))[0]] if self.labels else []
        if self.color_by not in (BY_LABEL, *PER_POINT):
            files.append(located(self.color_by)[0])
        return [*files, *([codes_path(self.over)] if self.over else [])]

    def checked_count(self, default: int, least: int, most: int) -> int:
        """Return how many images are asked for.

        Raises:
            InputError: they are too few or too many.

        """
        count = default if self.count is None else self.count
        if not least <= count <= most:
            raise InputError(f"--count must lie in {least}..{most}, got {count}")
        return count


def codes_path(source: Path) -> Path:
    """Return the codes that a source means: a file itself, or those in a folder.

    They are those of a run, or in parts.

    Raises:
        InputError: the folder has parts of several codes.

    """
    from aecli.run.codes import default_codes_path
    from aecli.run.part import find_codes

    source = find_codes(source)
    return default_codes_path(source) if kind_of(source) == "folder" else source
