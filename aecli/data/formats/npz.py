"""NumPy's file of several arrays, `.npz`, in the layouts of Keras and MedMNIST, or any other."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from aecli.data.archive import is_zip_of_files
from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.label_files import labels_for
from aecli.data.named_arrays import Shapes, choose_array
from aecli.data.npz_file import read_arrays
from aecli.data.progress import Bar
from aecli.data.single_array import dataset_of_array
from aecli.data.source import Source, located
from aecli.data.splits import SPLIT_WORDS, split_parts
from aecli.errors import InputError
from aecli.labels import labels_of_parts
from aecli.npy import Array

# The names of the images and the labels of each split, Keras' and MedMNIST's.
_LAYOUTS = (("x_{}", "y_{}"), ("{}_images", "{}_labels"))


@dataclass(frozen=True)
class _Choice:
    """The members of images and labels of each part, what is left out, and what splits are called.

    The parts are train, test and maybe validation, or `all`.
    """

    parts: Mapping[str, tuple[str, str | None]]
    left_out: Mapping[str, int]
    split_names: Mapping[str, str] = field(default_factory=dict)


def read_npz(
    path: Path, named: str | None = None, *, with_labels: bool = True
) -> tuple[dict[str, tuple[Array, Array | None]], _Choice]:
    """Read the parts of a `.npz` file: images and labels of train, validation and test, or of all.

    The layouts are Keras' (`x_train`, `y_train`, `x_test`, `y_test`, maybe `x_val`), MedMNIST's
    (`train_images`, `train_labels`, `val_images`, ...), or one array, the part `all`: that called
    `named`, or the only one that can be images. Without a test part that for validation is tested
    on.

    Raises:
        InputError: the file is damaged, too large, or in none of these layouts.

    """
    choices: list[_Choice] = []

    def choose(names: Collection[str], shapes: Callable[[], Shapes]) -> list[str]:
        choice = _choose_members(names, shapes, named, path)
        choices.append(choice)
        pairs = [(image, label if with_labels else None) for image, label in choice.parts.values()]
        return [name for pair in pairs for name in pair if name is not None]

    arrays = read_arrays(path, choose)
    [choice] = choices
    parts = {
        part: (arrays[images], None if labels is None else arrays.get(labels))
        for part, (images, labels) in choice.parts.items()
    }
    return parts, choice


def _choose_members(
    members: Collection[str], shapes: Callable[[], Shapes], named: str | None, path: Path
) -> _Choice:
    if named is None:
        for images_name, labels_name in _LAYOUTS:
            parts: dict[str, tuple[str, str | None]] = {}
            for split, words in SPLIT_WORDS.items():
                for word in words:
                    images, labels = images_name.format(word), labels_name.format(word)
                    if images in members and split not in parts:
                        parts[split] = images, labels if labels in members else None
            if "train" in parts and len(parts) > 1:
                return _choice_of_splits(parts, members)
        if len(members) == 1:
            return _Choice({"all": (next(iter(members)), None)}, {})
    found = shapes()
    layouts = "Keras' x_train, y_train, x_test, y_test, MedMNIST's train_images, ..., or "
    chosen = choose_array(found, named, str(path), layouts)
    others = {f"array {name}": 1 for name in members if name not in found}
    return _Choice({"all": (chosen.images, chosen.labels)}, {**chosen.left_out, **others})


def _choice_of_splits(
    parts: dict[str, tuple[str, str | None]], members: Collection[str]
) -> _Choice:
    split_names = {}
    if "test" not in parts:
        parts["test"] = parts.pop("validation")
        split_names = {split: images for split, (images, _) in parts.items()}
    used = {name for pair in parts.values() for name in pair}
    left_out = {f"array {name}": 1 for name in members if name not in used}
    return _Choice(parts, left_out, split_names)


def _read(source: Source, bar: Bar) -> Dataset:
    path, named = located(source.location)
    parts, choice = read_npz(path, named, with_labels=source.own_labels)
    if set(parts) == {"all"}:
        values, labels = parts["all"]
        label = choice.parts["all"][1]
        own = partial(labels_of_parts, [(labels, len(values), f"{path}, {label}")])
        return dataset_of_array(source, values, own if label else None, choice.left_out)
    if source.labels is not None:
        raise InputError(f"{path} is in parts that have labels of their own: leave out --labels")
    order = [name for name in SPLIT_WORDS if name in parts]
    images = {name: to_images(parts[name][0], f"{path}, {name}", source.rescale) for name in order}
    shapes = {(part.dtype, part.shape[1:]) for part in images.values()}
    if len(shapes) > 1:
        found = ", ".join(f"{name} {part.dtype} {part.shape}" for name, part in images.items())
        raise InputError(f"{path} has parts that differ: {found}; expected one type and size")
    of_parts = [(parts[name][1], len(images[name]), f"{path}, {name}") for name in order]
    rows = sum(len(part) for part in images.values())
    labelling = labels_for(source, lambda: labels_of_parts(of_parts), rows)
    return Dataset(
        name=path.name.removesuffix(".npz"),
        source=source,
        images=np.concatenate([images[name] for name in order]),
        labels=labelling.labels,
        class_names=labelling.class_names,
        splits=split_parts({name: len(images[name]) for name in order}, str(path)),
        vectors=any(len(values.shape) == 2 for values, _ in parts.values()),
        left_out={**choice.left_out, **labelling.left_out},
        split_names=choice.split_names,
    )


FORMAT = Format(
    description=".npz",
    matches=lambda path, start: start.startswith(b"PK") and not is_zip_of_files(path, start),
    read=_read,
    has_names=True,
)
