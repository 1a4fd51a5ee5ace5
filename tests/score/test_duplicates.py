from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from aecli.data import Dataset
from aecli.score.duplicates import DuplicateGroup, find_duplicates

GENERATOR = np.random.default_rng(0)


def _of(digits: Dataset, images: npt.NDArray[np.uint8]) -> Dataset:
    rows = {"train": slice(0, 2), "validation": slice(2, 4), "test": slice(4, len(images))}
    return replace(digits, images=images, labels=None, splits=rows)


@pytest.fixture
def images(digits: Dataset) -> npt.NDArray[np.uint8]:
    """Return 300 digits, no two of which are nearly equal."""
    found: npt.NDArray[np.uint8] = digits.split("all").images[:300].copy()
    return found


def test_images_that_differ_have_no_group(digits: Dataset, images: npt.NDArray[np.uint8]) -> None:
    found = find_duplicates(_of(digits, images), "all")
    assert found.groups == ()
    assert found.note.startswith("no image is equal to another, or nearly; nearly means pixels")
    # A tenth of what two images drawn at random differ by, root mean square.
    unit = images.reshape(300, -1) / 255
    first, second = np.triu_indices(300, 1)
    expected = np.sqrt(0.01 * np.square(unit[first] - unit[second]).mean())
    assert found.limit == pytest.approx(expected, rel=0.01)


def test_equal_and_nearly_equal_images_are_found(
    digits: Dataset, images: npt.NDArray[np.uint8]
) -> None:
    images[[20, 77]] = images[5]
    images[200] = images[199]
    # Each pixel by 5 of 255, 0.02: half of the limit; twice as far from the first of the chain.
    images[100] = np.where(images[50] > 127, images[50] - 5, images[50] + 5)
    images[101] = np.where(images[50] > 127, images[50] - 12, images[50] + 12)
    images[102] = np.where(images[60] > 127, images[60] - 20, images[60] + 20)
    images[150] = images[100]
    found = find_duplicates(_of(digits, images), "all")
    assert [group.rows for group in found.groups] == [
        (50, 100, 101, 150),
        (5, 20, 77),
        (199, 200),
    ]
    chain, *equal = found.groups
    assert chain.difference == pytest.approx(7 / 255, rel=1e-3) or chain.difference == (
        pytest.approx(12 / 255, rel=1e-3)
    )
    assert {group.difference for group in equal} == {0}
    assert found.first_of(300)[[5, 20, 77, 50, 150, 0]].tolist() == [-1, 5, 5, -1, 50, -1]
    assert found.note.startswith(
        "equal: 5 images in 2 groups; nearly equal: 4 images in 1 group; nearly means pixels that "
        "differ by less than 0.03"
    )


def test_rows_are_those_of_the_split(digits: Dataset, images: npt.NDArray[np.uint8]) -> None:
    images[9] = images[6]
    images[1] = images[0]
    found = find_duplicates(_of(digits, images), "test")
    assert [group.rows for group in found.groups] == [(2, 5)]


def test_images_that_are_all_equal_are_one_group(
    digits: Dataset, images: npt.NDArray[np.uint8]
) -> None:
    found = find_duplicates(_of(digits, np.repeat(images[:1], 40, 0)), "all")
    assert found.groups == (DuplicateGroup(tuple(range(40)), 0.0),)
    assert found.note == "all 40 images are equal"
    one = find_duplicates(_of(digits, images[:5]), "test")
    assert one.groups == ()
