from collections.abc import Sequence

import pytest

from aecli.data.layout import Layout, layout_of
from aecli.errors import InputError


def _layout(*names: str) -> Layout:
    return layout_of([tuple(name.split("/")) for name in names], "pictures")


def _labels(layout: Layout) -> list[str]:
    assert layout.labels is not None
    assert layout.class_names is not None
    return [layout.class_names[label] if label >= 0 else "?" for label in layout.labels]


def test_folders_are_classes_in_alphabetical_order() -> None:
    layout = _layout("dog/1", "cat/2", "cat/deep/3", "cat/1")
    assert layout.order == [3, 1, 2, 0]
    assert layout.class_names == ("cat", "dog")
    assert _labels(layout) == ["cat", "cat", "cat", "dog"]
    assert (layout.rows, layout.split_names, layout.outside) == ({"all": 4}, {}, 0)


@pytest.mark.parametrize(
    "names",
    [["1", "2"], ["images/1", "images/2"], ["a/b/1", "a/b/2"], ["cat/1"]],
)
def test_a_folder_with_nothing_beside_it_is_no_class(names: Sequence[str]) -> None:
    layout = _layout(*names)
    assert layout.labels is None
    assert layout.class_names is None


def test_a_wrapping_folder_is_looked_into() -> None:
    layout = _layout("Pictures/cat/1", "Pictures/dog/2")
    assert layout.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "VAL", "Testing"), ("TRAIN", "Valid", "Test")],
)
def test_splits_are_known_in_any_letter_case(train: str, validation: str, test: str) -> None:
    layout = _layout(f"{train}/cat/1", f"{test}/dog/1", f"{train}/dog/2", f"{validation}/cat/1")
    assert layout.rows == {"validation": 1, "train": 2, "test": 1}
    assert layout.split_names == {"train": train, "validation": validation, "test": test}
    assert layout.order == [3, 0, 2, 1]
    assert _labels(layout) == ["cat", "cat", "dog", "dog"]


def test_without_a_test_folder_that_of_validation_is_tested_on() -> None:
    layout = _layout("train/cat/1", "train/dog/1", "val/cat/2")
    assert layout.rows == {"train": 2, "test": 1}
    assert layout.split_names == {"train": "train", "test": "val"}
    assert layout.class_names == ("cat", "dog")


def test_an_unlabelled_test_folder_is_unknown() -> None:
    layout = _layout("train/cat/1", "train/dog/1", "test/1", "test/2")
    assert _labels(layout) == ["cat", "dog", "?", "?"]


def test_a_folder_around_the_classes_of_all_splits_means_nothing() -> None:
    layout = _layout("x/train/images/cat/1", "x/train/images/dog/1", "x/test/images/cat/2")
    assert layout.class_names == ("cat", "dog")
    layout = _layout("train/images/1", "test/images/2")
    assert layout.class_names is None


def test_what_lies_beside_the_splits_is_counted() -> None:
    layout = _layout("train/1", "test/2", "extra/3", "cover")
    assert layout.rows == {"train": 1, "test": 1}
    assert layout.outside == 2


def test_a_class_that_is_called_like_a_split_is_a_class() -> None:
    assert _layout("bus/1", "car/1", "train/1").class_names == ("bus", "car", "train")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train/1", "Train/2", "test/3"], "2 folders of one split, train: Train, train"),
        (["test/1", "val/2"], "none of images to train on: expected one called train"),
        (["cat/1", "2"], "both in folders of labels and outside, such as 2"),
        (["train/cat/1", "train/2", "test/cat/3"], "outside, such as 2"),
    ],
)
def test_what_can_mean_two_things_is_refused(names: Sequence[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _layout(*names)
