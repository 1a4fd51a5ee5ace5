"""NumPy's file of several arrays, `.npz`, in the layouts of Keras and MedMNIST."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from aecli.data.arrays import to_images
from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.label_files import labels_for
from aecli.data.npz_file import read_arrays
from aecli.data.progress import Bar
from aecli.data.single_array import dataset_of_array
from aecli.data.source import Source
from aecli.data.splits import SPLIT_WORDS, split_parts
from aecli.errors import InputError
from aecli.labels import labels_of_parts
from aecli.npy import Array

# The names of the images and the labels of each part, for each layout.
_LAYOUTS = {
    "Keras": {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")},
    "MedMNIST": {
        "train": ("train_images", "train_labels"),
        "validation": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
}


def read_npz(path: Path, *, with_labels: bool = True) -> dict[str, tuple[Array, Array | None]]:
    """Read the parts of a `.npz` file: images and labels of train, validation and test, or of all.

    The layouts are Keras' (`x_train`, `y_train`, `x_test`, `y_test`), MedMNIST's
    (`train_images`, `train_labels`, `val_images`, ...), or a single array, the part `all`.

    Raises:
        InputError: the file is damaged, too large, or in none of these layouts.

    """
    wanted: dict[str, tuple[str, str | None]] = {}

    def choose(names: Collection[str]) -> list[str]:
        wanted.update(_choose_members(names, path))
        pairs = [(images, labels if with_labels else None) for images, labels in wanted.values()]
        return [name for pair in pairs for name in pair if name is not None]

    arrays = read_arrays(path, choose, text=True)
    return {
        part: (arrays[images], None if labels is None else arrays.get(labels))
        for part, (images, labels) in wanted.items()
    }


def _choose_members(names: Collection[str], path: Path) -> dict[str, tuple[str, str | None]]:
    known = set(names)
    for layout in _LAYOUTS.values():
        if all(images in known for images, _ in layout.values()):
            return {
                part: (images, labels if labels in known else None)
                for part, (images, labels) in layout.items()
            }
    if len(known) == 1:
        return {"all": (known.pop(), None)}
    raise InputError(
        f"{path} holds {', '.join(sorted(known)) or 'nothing'}: expected Keras' x_train, y_train, "
        "x_test, y_test, MedMNIST's train_images, train_labels, val_images, ..., or one array"
    )


def _read(source: Source, bar: Bar) -> Dataset:
    path = Path(source.location)
    parts = read_npz(path, with_labels=not source.no_labels)
    if set(parts) == {"all"}:
        return dataset_of_array(source, parts["all"][0])
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
        left_out=labelling.left_out,
    )


FORMAT = Format(
    description=".npz",
    matches=lambda path, first_bytes: first_bytes.startswith(b"PK"),
    read=_read,
)
