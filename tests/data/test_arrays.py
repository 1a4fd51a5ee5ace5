"""Arrays of every type of number, and what images they become."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.data.arrays import to_images


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 255]], np.uint8), [0, 255]),
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0, 65535]], np.uint16), [0, 65535]),
        (np.array([[0, 65535]], ">u2"), [0, 65535]),
        (np.array([[0.0, 1.0]]), [0.0, 1.0]),
        (np.array([[0.0, 0.5]], np.float16), [0.0, 0.5]),
        (np.array([[0.0, 0.25]], ">f8"), [0.0, 0.25]),
    ],
)
def test_every_type_of_pixel_has_one_scaling(
    values: npt.NDArray[Any], expected: list[float]
) -> None:
    images = to_images(values, "x.npy", None)
    assert images.shape == (1, 1, 2, 1)
    assert images.dtype in (np.uint8, np.uint16, np.float32)
    assert images.dtype.isnative
    assert images[:].reshape(-1).tolist() == expected


def test_rescaling_maps_the_range_it_is_given() -> None:
    images = to_images(np.array([[-1, 0, 1]]), "x.npy", (-1, 1))
    assert images.dtype == np.float32
    assert images[:].reshape(-1).tolist() == [0, 0.5, 1]


def test_vectors_become_squares_where_they_can() -> None:
    assert to_images(np.zeros((2, 49)), "", None).shape == (2, 7, 7, 1)
    assert to_images(np.zeros((2, 50)), "", None).shape == (2, 1, 50, 1)
