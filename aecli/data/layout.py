"""What the folders of image files mean: splits, classes, or nothing."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aecli.data.rows import Rows
from aecli.data.source import Source
from aecli.data.splits import SPLIT_WORDS, draw_validation, split_at_random
from aecli.errors import InputError
from aecli.labels import UNKNOWN, Labels

# The folders that a file lies in and its own name, from the top of the data set.
Parts = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Layout:
    """The meaning of the folders of image files.

    `order`: the places of the files that are read among those that were given, split by split.
    `rows`: how many of them each split has, in that order; one part, `all`, where folders are no
    splits. `labels`: int64 (n,), indices into `class_names`, -1 where a file lies in no folder of a
    class; None without classes. `split_names`: what the folder of each split is called. `outside`:
    how many files lie beside the folders of the splits, and are left out. `in_folders`: how many of
    those that are read lie in a folder of a class.
    """

    order: Sequence[int]
    rows: Mapping[str, int]
    labels: Labels | None
    class_names: tuple[str, ...] | None
    split_names: Mapping[str, str]
    outside: int
    in_folders: int


def as_unicode(name: str) -> str:
    """Return the name of a file or folder, whose bytes may be no UTF-8, as text."""
    return os.fsencode(name).decode(errors="replace")


def split_of(name: str) -> str | None:
    """Return the split that the name of a folder or file means, in any letter case, or None."""
    known = name.casefold()
    return next((split for split, words in SPLIT_WORDS.items() if known in words), None)


def layout_of(files: Sequence[Parts], where: str, *, classes: bool = True) -> Layout:
    """Return what the folders of `files` mean; `where` is what errors call the data set.

    Without `classes` they are splits, or nothing.

    Folders are splits where one is called train and another one test or validation, in any letter
    case; without one for test, that of validation is tested on. The folders below, or else these
    themselves, are classes in alphabetical order. Folders with nothing beside them mean nothing, so
    that a single folder of images has no classes.

    Raises:
        InputError: two folders mean one split, a split has no training images beside it, or some
            images of a split lie in folders of classes and some do not.

    """
    depth = _common_folders(files)
    ordered = sorted(range(len(files)), key=lambda index: files[index])
    folders = {parts[depth] for parts in files if len(parts) > depth + 1}
    split_names = _split_folders(folders, where)
    if not split_names:
        everything = {"all": [files[index][depth:] for index in ordered]}
        labels, names = _classes(everything, where) if classes else (None, None)
        inside = _in_folders(everything)
        return Layout(ordered, {"all": len(ordered)}, labels, names, {}, 0, inside)
    members: dict[str, list[int]] = {
        split: [
            index
            for index in ordered
            if len(files[index]) > depth + 1 and files[index][depth] == split_names[split]
        ]
        for split in SPLIT_WORDS
        if split in split_names
    }
    inner = min(_common_folders([files[index] for index in part]) for part in members.values())
    order = [index for part in members.values() for index in part]
    below = {split: [files[index][inner:] for index in part] for split, part in members.items()}
    labels, names = _classes(below, where) if classes else (None, None)
    rows = {split: len(part) for split, part in members.items()}
    outside = len(files) - len(order)
    return Layout(order, rows, labels, names, split_names, outside, _in_folders(below))


def splits_of_layout(layout: Layout, source: Source) -> Mapping[str, Rows]:
    """Return the rows of each split: those of folders, else drawn at random as `source` says.

    Where there is no folder of validation images they are drawn from the training images, the same
    share of each class: files of one class follow each other.

    Raises:
        InputError: there is only one training image, and none to validate on.

    """
    labels = layout.labels
    if not layout.split_names:
        rows = layout.rows["all"]
        return split_at_random(rows, labels, source.validation, source.test, source.split_seed)
    splits: dict[str, Rows] = {}
    start = 0
    for split, rows in layout.rows.items():
        if split == "train" and "validation" not in layout.rows:
            of_train = None if labels is None else labels[start : start + rows]
            where = source.location
            splits |= draw_validation(start, of_train, rows, source.split_seed, where)
        else:
            splits[split] = slice(start, start + rows)
        start += rows
    return splits


def layout_of_rows(layout: Layout, files: npt.NDArray[np.int64]) -> Layout:
    """Return the layout of images, of which files may have several, or none; its `order` is theirs.

    `files`: the place of the file of each image in the order of `layout`, ascending.
    """
    ends = np.cumsum(list(layout.rows.values()))
    rows = np.diff(np.searchsorted(files, ends), prepend=0)
    return replace(
        layout,
        order=[layout.order[place] for place in files.tolist()],
        rows=dict(zip(layout.rows, rows.tolist(), strict=True)),
        labels=None if layout.labels is None else layout.labels[files],
    )


def _common_folders(files: Sequence[Parts]) -> int:
    """Return how many folders all files lie in together."""
    if not files:
        return 0
    first, last = min(files)[:-1], max(files)[:-1]
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    # The least and the greatest have no more in common than all have.
    return min(depth, *(len(parts) - 1 for parts in files))


def _split_folders(folders: set[str], where: str) -> dict[str, str]:
    """Return the folder of each split, or nothing where folders are no splits."""
    found: dict[str, list[str]] = {}
    for name in sorted(folders):
        split = split_of(name)
        if split is not None:
            found.setdefault(split, []).append(name)
    if len(found) < 2:
        return {}
    for split, names in found.items():
        if len(names) > 1:
            raise InputError(
                f"{where} has {len(names)} folders of one split, {split}: {', '.join(names)}; "
                "expected one of them"
            )
    if "test" not in found:
        found["test"] = found.pop("validation")
    if "train" not in found:
        raise InputError(
            f"{where} has the folders {', '.join(sorted(folders))}, but none of images to train "
            "on: expected one called train"
        )
    return {split: names[0] for split, names in found.items()}


def _in_folders(parts: Mapping[str, Sequence[Parts]]) -> int:
    return sum(len(one) > 1 for files in parts.values() for one in files)


def _classes(
    parts: Mapping[str, Sequence[Parts]], where: str
) -> tuple[Labels | None, tuple[str, ...] | None]:
    """Return the class of each file, and the names of all classes; a part may have none."""
    for files in parts.values():
        bare = next((one for one in files if len(one) == 1), None)
        if bare is not None and any(len(one) > 1 for one in files):
            raise InputError(
                f"{where} has images both in folders of labels and outside, such as {bare[0]}"
            )
    names = sorted({one[0] for files in parts.values() for one in files if len(one) > 1})
    if not names:
        return None, None
    index = {name: label for label, name in enumerate(names)}
    labels = [
        index[one[0]] if len(one) > 1 else UNKNOWN for files in parts.values() for one in files
    ]
    return np.array(labels, np.int64), tuple(names)
