"""What numbers are taken as 0 and 1: those of the type, or those that the training images use."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.config import choose_recipe, fit_to_data
from aecli.data import Dataset, Source, choose_source, open_dataset, stored
from aecli.data.describe import all_equal, describe, facts, first_facts
from aecli.data.ranges import take_range
from aecli.encode import in_units
from aecli.errors import InputError
from aecli.pixels import unit_range
from tests.helpers import tiny_dataset

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
    np.savez(tmp_path / "x.npz", x_train=values[:60, :, None], x_test=values[60:, :, None])
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


VECTORS = np.random.default_rng(1).normal([-3, 0, 1e6, 7], [0.01, 1, 100, 0], (80, 4))


def _rows(folder: Path, name: str, values: npt.NDArray[Any]) -> str:
    np.save(folder / name, values)
    return str(folder / name)


@pytest.mark.parametrize("read_bytes", [100, 10**6])
def test_vectors_are_standardised_by_the_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_bytes: int
) -> None:
    monkeypatch.setattr(stored, "_READ_BYTES", read_bytes)
    dataset = open_dataset(_rows(tmp_path, "x.npy", VECTORS))
    assert dataset.images.shape == (80, 1, 4, 1)
    train = VECTORS[dataset.splits["train"]]
    columns = dataset.source.columns
    assert columns is not None
    np.testing.assert_allclose(columns[0], train.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(columns[1], [*train.std(axis=0)[:3], 1], rtol=1e-9)
    rows = dataset.split("train").images.reshape(-1, 4)
    np.testing.assert_allclose(rows.std(axis=0), [1, 1, 1, 0], atol=1e-4)
    (back,) = in_units([dataset.images[:]], columns)
    np.testing.assert_allclose(back, VECTORS, rtol=1e-6, atol=1e-6)
    assert first_facts(dataset)[0] == (
        "vectors",
        "80 of 4 numbers, each column standardised by the training rows",
    )
    assert dict(facts(describe(dataset)))["pixels"].endswith("standardised by the training rows")
    # A run reads the same again, in memory as in a file.
    again = open_dataset(Source.from_json(dataset.source.to_json()))
    assert again.fingerprint == dataset.fingerprint
    np.savez(tmp_path / "x.npz", VECTORS)
    packed = open_dataset(str(tmp_path / "x.npz"))
    assert packed.fingerprint == dataset.fingerprint
    assert open_dataset(packed.source).fingerprint == dataset.fingerprint


def test_later_vectors_are_read_as_the_first_ones_however_far_they_reach(tmp_path: Path) -> None:
    dataset = open_dataset(_rows(tmp_path, "x.npy", VECTORS))
    later = _rows(tmp_path, "later.npy", VECTORS[:9] * 1.5)
    source = choose_source(later, {}, like=dataset.source)
    assert source is not None
    read = open_dataset(source)
    columns = dataset.source.columns
    assert columns is not None
    expected = (VECTORS[:9] * 1.5 - columns[0]) / columns[1]
    np.testing.assert_allclose(read.images[:].reshape(9, 4), expected, rtol=1e-5)
    assert dataset.outside is None
    assert read.outside_note("all") == (
        "9 of 9 vectors are further from the mean than any that the columns were measured on, "
        f"{dataset.source.reach:.3g} deviations"
    )
    within = choose_source(_rows(tmp_path, "in.npy", VECTORS[:9]), {}, like=dataset.source)
    assert within is not None
    assert open_dataset(within).outside is None
    chosen = choose_source(later, {"rescale": (0.0, 9.0)}, like=dataset.source)
    assert chosen is not None
    assert chosen.columns is None
    for values, words in (
        (VECTORS[:, :3], "has 3 numbers per row: expected vectors of 4"),
        (VECTORS.reshape(80, 2, 2), "has 4 numbers per row, as images: expected vectors"),
        (VECTORS * 1e12, "row 0 is more than 1,000,000 deviations from the mean"),
        (VECTORS * np.nan, "holds NaN"),
    ):
        path = _rows(tmp_path, "wrong.npy", values)
        with pytest.raises(InputError, match=words):
            open_dataset(replace(dataset.source, location=path))


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        (VECTORS - 1e3, True),
        (np.tile(LEVELS / 16, 2), False),
        (np.round(LEVELS[:, :16] * 15.5), False),
        (np.round(LEVELS[:, :15] * 15.5), True),
        (LEVELS[:, :16] * 15.3, True),
        (LEVELS[:, :16].astype(np.uint8), False),
        (LEVELS[:, :16] > 7, False),
    ],
)
def test_rows_that_can_be_images_stay_images(
    tmp_path: Path, values: npt.NDArray[Any], columns: bool
) -> None:
    dataset = open_dataset(_rows(tmp_path, "x.npy", values))
    assert dataset.vectors
    assert dataset.standardised is columns


def test_vectors_too_large_to_measure_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too large to measure"):
        open_dataset(_rows(tmp_path, "x.npy", VECTORS * 1e200))


def test_columns_that_do_not_fit_are_refused() -> None:
    for columns in (((0.0,), ()), ((0.0,), (0.0,))):
        with pytest.raises(InputError, match="no deviation above 0 for each mean"):
            Source("x", columns=columns)


def test_standardised_vectors_get_a_linear_output() -> None:
    config = choose_recipe("map")
    fitted = fit_to_data(config, 1000, (), vectors=True, standardised=True)
    assert (fitted.output, fitted.loss) == ("linear", "mse")
    fitted = fit_to_data(config, 1000, ("output",), vectors=True, standardised=True)
    assert fitted.output == "sigmoid"
    assert fit_to_data(config, 1000, (), vectors=True).output == "sigmoid"


def test_equal_training_images_are_seen() -> None:
    dataset = tiny_dataset()
    assert not all_equal(dataset)
    same = np.repeat(dataset.images[:][:1], len(dataset.images), axis=0)
    assert all_equal(replace(dataset, images=same))
