"""What numbers are taken as 0 and 1: those of the type, or those that the training images use."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.data import Dataset, Source, open_dataset
from aecli.data.describe import first_facts
from aecli.data.ranges import take_range
from aecli.errors import InputError
from aecli.pixels import unit_range

# Of 80 images, each with all of the levels.
LEVELS = np.random.default_rng(0).permuted(np.tile(np.arange(17), (80, 1)), axis=1)
STRETCHED = LEVELS / 16


def _open(folder: Path, values: npt.NDArray[Any], **options: Any) -> Dataset:
    path = folder / "x.npy"
    np.save(path, values.reshape(len(values), -1, 1))
    return open_dataset(Source(str(path), **options))


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        (LEVELS.astype(np.uint8), (0, 16)),
        ((LEVELS > 8).astype(np.uint8), (0, 1)),
        ((LEVELS * 80 + 100).astype(np.uint16), (100, 1380)),
        ((LEVELS * 255).astype(">u2"), (0, 4080)),
        (LEVELS * 0.00125, (0, 0.02)),
        (LEVELS * 16.0 - 1, (-1, 255)),
        (LEVELS.astype(np.int16) * -3, (-48, 0)),
        (LEVELS.astype(np.uint32) + 2**31, (2**31, 2**31 + 16)),
        (LEVELS.astype(np.int64) * 2**50, (0, 2**54)),
        (LEVELS.astype(np.int8) - 8, (-8, 8)),
    ],
)
def test_a_sliver_of_a_type_is_spread_over_all_of_it(
    tmp_path: Path, values: npt.NDArray[Any], limits: tuple[float, float]
) -> None:
    dataset = _open(tmp_path, values)
    assert dataset.source.rescale == pytest.approx(limits)
    assert dataset.images.dtype == np.float32
    low, high = limits
    expected = (values.astype(float) - low) / (high - low)
    np.testing.assert_allclose(dataset.images[:].reshape(80, -1), expected, atol=1e-6)
    said = f"{low:g}..{high:g} is taken as 0..1, what the training images use; --rescale decides"
    assert said in first_facts(dataset)[0][1]
    again = open_dataset(dataset.source)
    assert (again.fingerprint, again.found_range) == (dataset.fingerprint, False)
    # In memory as in a file.
    np.savez(tmp_path / "x.npz", x_train=values[:60], x_test=values[60:])
    packed = open_dataset(str(tmp_path / "x.npz"))
    assert packed.source.rescale == pytest.approx(limits)
    np.testing.assert_allclose(packed.images[:].ravel(), dataset.images[:].ravel(), atol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        (LEVELS * 4).astype(np.uint8),
        (LEVELS * 1025 + 7).astype(">u2"),
        LEVELS > 8,
        (LEVELS / 64 + 0.5).astype(np.float32),
        np.full((80, 3), 7, np.uint8),
        np.zeros((80, 3)),
    ],
)
def test_a_type_that_is_used_says_its_range(tmp_path: Path, values: npt.NDArray[Any]) -> None:
    dataset = _open(tmp_path, values)
    assert dataset.source.rescale is None
    known = open_dataset(replace(dataset.source, rescale=None))
    assert dataset.fingerprint == known.fingerprint
    assert dataset.images.dtype == known.images.dtype
    assert dataset.outside is None
    assert "what the training images use" not in first_facts(dataset)[0][1]


def test_only_training_images_decide_and_others_may_reach_beyond(tmp_path: Path) -> None:
    drawn = _open(tmp_path, LEVELS * 1.0).splits
    values = LEVELS * 1.0
    values[drawn["test"]] *= -2
    dataset = _open(tmp_path, values)
    assert dataset.source.rescale == (0, 16)
    assert dataset.split("test").images.min() == -2
    assert dataset.outside_note("train") is None
    assert dataset.outside_note("test") == (
        "8 of 8 images reach beyond 0..16, which is taken as 0..1; --rescale decides otherwise"
    )
    assert dict(first_facts(dataset))["outside"].startswith("8 of 80 images reach beyond 0..16")


def test_later_images_keep_the_range_of_the_first_ones(tmp_path: Path) -> None:
    later = _open(tmp_path, LEVELS.astype(np.uint8), rescale=None)
    assert later.images.dtype == np.uint8
    later = _open(tmp_path, LEVELS * 2.0, rescale=(0, 16))
    assert later.images[:].max() == 2
    assert later.outside_note("all") is not None
    later = _open(tmp_path, LEVELS / 10, rescale=None)
    assert later.images[:].max() == np.float32(1.6)
    with pytest.raises(InputError, match="holds int64 pixels: expected uint8"):
        _open(tmp_path, LEVELS, rescale=None)


def test_numbers_that_cannot_be_images_are_refused(tmp_path: Path) -> None:
    for wrong, words in (
        (np.nan, "holds NaN"),
        (-np.inf, "holds NaN, infinity"),
        (1e9, "image 3 has pixels more than 1,000,000 times as far out as the range"),
    ):
        values = STRETCHED.copy()
        values[3, 5] = wrong
        with pytest.raises(InputError, match=words):
            _open(tmp_path, values, rescale=(0, 1))
    values = STRETCHED.copy()
    values[3, 5] = np.nan
    with pytest.raises(InputError, match=r"holds NaN.*first at \(3, 5, 0\)"):
        _open(tmp_path, values)


def test_without_training_images_all_decide(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", LEVELS[:1].astype(np.uint8).reshape(1, 17, 1))
    dataset = open_dataset(str(tmp_path / "x.npy"))
    empty = {name: slice(0, 0) for name in dataset.splits}
    raw = replace(dataset, source=Source("x"), splits=empty, images=LEVELS.reshape(-1, 17, 1, 1))
    assert take_range(raw).source.rescale == (0, 16)


def test_equal_pixels_of_any_type_are_black(tmp_path: Path) -> None:
    dataset = _open(tmp_path, np.full((80, 4), -3.0))
    assert dataset.source.rescale == (-3, 0)
    assert not unit_range(dataset.images[:]).any()
