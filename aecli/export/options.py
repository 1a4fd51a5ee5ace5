"""What the user decides about an export, and what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aecli.config import UINT32, Range, SplitName
from aecli.data.progress import Bar, no_bar

# TensorBoard's projector becomes slow with more.
MOST_POINTS = 100_000
_SAMPLE = Range("at least 1", 1, MOST_POINTS)


@dataclass(frozen=True)
class ExportOptions:
    """What the user decides; None stands for what the format does by itself.

    `input`: the type of the pixels that go into an ONNX encoder. `split`: whose codes are written.
    `sample`: at most how many of them, and `seed` draws them where there are more. `replace`:
    whether to replace files. `bar` shows what takes long; `say` is called with what is left out.
    """

    input: str | None = None
    split: SplitName | None = None
    sample: int | None = None
    seed: int | None = None
    replace: bool = False
    bar: Bar = no_bar
    say: Callable[[str], None] = lambda line: None

    def check(self) -> None:
        """Raise `InputError` where a number is out of range."""
        if self.sample is not None:
            _SAMPLE.check("--sample", self.sample)
        if self.seed is not None:
            UINT32.check("--seed", self.seed)


@dataclass(frozen=True)
class Exported:
    """What was written: the files, the line that says it to people, the facts for programs."""

    files: tuple[Path, ...]
    line: str
    facts: Mapping[str, Any] = field(default_factory=dict)
