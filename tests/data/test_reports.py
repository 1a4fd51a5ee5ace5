"""What people report of their data, the smallest of each kind, read as they mean it.

Layouts, pixels, labels and archives have tests of their own beside their readers; these are whole
cases, as people have them.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aecli.data import Source, open_dataset
from aecli.data.describe import first_facts
from tests.data.examples import PIXELS, save_image

ROWS = range(40)


def _folder(name: Callable[[int], str]) -> Callable[[Path], Path]:
    def write(place: Path) -> Path:
        for row in ROWS:
            save_image(place / "set" / name(row), PIXELS[row])
        return place / "set"

    return write


def _part(row: int, first: str, last: str) -> str:
    return first if row < 30 else last


def _linked(place: Path) -> Path:
    for row in ROWS:
        save_image(place / "real" / f"c{row % 4}" / f"{row:02}.png", PIXELS[row])
    (place / "set").mkdir()
    for label in range(4):
        (place / "set" / f"c{label}").symlink_to(place / "real" / f"c{label}")
    return place / "set"


# A twelfth of the 30 training images validates.
SPLIT = (27, 3, 10)
FOLDERS: dict[str, tuple[Callable[[Path], Path], int, tuple[int, int, int] | None]] = {
    "train_val": (_folder(lambda i: f"{_part(i, 'train', 'val')}/c{i % 4}/{i}.png"), 4, SPLIT),
    "capital": (_folder(lambda i: f"{_part(i, 'Train', 'Test')}/c{i % 4}/{i}.png"), 4, SPLIT),
    "wrapped": (_folder(lambda i: f"Pictures/c{i % 4}/{i}.png"), 4, None),
    "one_inner": (_folder(lambda i: f"images/{i}.png"), 0, None),
    "linked": (_linked, 4, None),
    "flat_test": (
        _folder(lambda i: f"train/c{i % 4}/{i}.png" if i < 30 else f"test/{i}.png"), 4, SPLIT
    ),
    "other_kinds": (_folder(lambda i: f"{i}.{('png', 'avif', 'pgm')[i % 3]}"), 0, None),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_folders(case: str, tmp_path: Path) -> None:
    write, classes, rows = FOLDERS[case]
    dataset = open_dataset(str(write(tmp_path)))
    assert len(dataset.images) == 40
    assert len(dataset.class_names or ()) == classes
    if rows is not None:
        counts = tuple(dataset.count(name) for name in ("train", "validation", "test"))
        assert counts == rows
        assert dataset.has_own_splits
        assert "drawn from" in dict(first_facts(dataset))["splits"]


IMAGES, LABELS = PIXELS[:, :5, :5], np.arange(90) % 5
KERAS = {"x_train": IMAGES[:50], "x_val": IMAGES[50:70], "x_test": IMAGES[70:]}
OF_PARTS = {"y_train": LABELS[:50], "y_val": LABELS[50:70], "y_test": LABELS[70:]}
HOT = {name: np.eye(5, dtype=np.float32)[values] for name, values in OF_PARTS.items()}
MANY = {name: np.random.default_rng(0).integers(0, 2, (len(v), 14)) for name, v in OF_PARTS.items()}


@pytest.mark.parametrize(
    ("labels", "classes"), [(OF_PARTS, 5), (HOT, 5), (MANY, 0)], ids=["keras", "one_hot", "many"]
)
def test_keras_arrays(labels: dict[str, np.ndarray], classes: int, tmp_path: Path) -> None:
    arrays = KERAS | labels
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    dataset = open_dataset(str(tmp_path / "x.npz"))
    counts = [dataset.count(name) for name in ("train", "validation", "test")]
    assert counts == [50, 20, 20]
    found = dataset.labels_of("train")
    if classes:
        assert found is not None
        assert found.tolist() == LABELS[:50].tolist()
    else:
        assert found is None
        assert dataset.left_out


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (LABELS.astype(float), LABELS.tolist()),
        (np.array([f"digit {label}" for label in LABELS]), LABELS.tolist()),
        (LABELS > 2, (LABELS > 2).astype(int).tolist()),
        (np.where(LABELS == 3, -1, LABELS), np.where(LABELS == 3, -1, LABELS).tolist()),
        (LABELS / 7, None),
    ],
    ids=["float", "text", "bool", "minus1", "continuous"],
)
def test_labels_of_other_types(
    labels: np.ndarray, expected: list[int] | None, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", IMAGES)
    np.save(tmp_path / "y.npy", labels)
    dataset = open_dataset(Source(str(tmp_path / "x.npy"), labels=str(tmp_path / "y.npy")))
    assert (None if dataset.labels is None else dataset.labels.tolist()) == expected
