"""What a format of data sets declares: how to recognise it, and how to read it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aecli.data.dataset import Dataset
from aecli.data.progress import Bar
from aecli.data.source import Source

# A `Format.labels_refusal`.
LABELS_COME_FROM_FILES = "is a folder, where labels come from the files"


@dataclass(frozen=True)
class Format:
    """A format of data sets: a file or a folder of some kind.

    `description`: what it is called in messages, in a few words, such as "an IDX file".
    `matches(path, first_bytes)`: whether the file or folder at `path` has this format;
    `first_bytes` are the first 8 bytes of a file, and empty for a folder. `read(source, bar)`
    reads it; `source.location` is its absolute path. `labels_refusal`: why `--labels` cannot be
    used, in words that follow the path; None where it can be used. Formats are tried in order of
    `priority`, highest first, then in order of their modules' names; those that are a `fallback`
    take what no other format matches. `has_names`: whether `PATH:NAME` names an array in it.
    `has_shards`: whether several files of it, named with braces, are one data set.
    `is_refused`: whether `read` only says what to do with it.
    """

    description: str
    matches: Callable[[Path, bytes], bool]
    read: Callable[[Source, Bar], Dataset]
    labels_refusal: str | None = None
    priority: int = 0
    fallback: bool = False
    has_names: bool = False
    has_shards: bool = False
    is_refused: bool = False
