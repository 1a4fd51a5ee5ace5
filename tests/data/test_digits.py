"""The digits of scikit-learn."""

import numpy as np

from aecli.config import SplitName
from aecli.data import Dataset, extremes

PARTS: tuple[SplitName, ...] = ("train", "validation", "test")


def test_digits_have_a_fixed_split(digits: Dataset) -> None:
    assert {name: len(digits.split(name).images) for name in PARTS} == {
        "train": 1257,
        "validation": 180,
        "test": 360,
    }
    assert digits.images.shape == (1797, 8, 8, 1)
    assert digits.images.dtype == np.uint8
    assert extremes(digits.images) == (0, 255)
    assert digits.class_names == tuple("0123456789")


def test_the_digits_are_those_of_scikit_learn(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    original = load_digits()
    assert digits.labels is not None
    assert digits.labels.tolist() == original.target.tolist()
    np.testing.assert_allclose(
        digits.images[:].reshape(-1, 64), original.data / 16 * 255, atol=0.5001
    )
