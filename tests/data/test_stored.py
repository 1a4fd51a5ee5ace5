"""Images in a file: rows are those of the array, however they are read."""

from pathlib import Path

import numpy as np
import pytest

from aecli.data import StoredImages, extremes, stored
from aecli.npy import StoredArray, open_npy
from aecli.pixels import Images

IMAGES = np.random.default_rng(0).integers(0, 65536, (50, 3, 4), np.uint16)


@pytest.fixture
def images(tmp_path: Path) -> StoredImages:
    np.save(tmp_path / "x.npy", IMAGES.astype(">u2"))
    array = open_npy(tmp_path / "x.npy")
    assert isinstance(array, StoredArray)
    return StoredImages(array, (50, 3, 4, 1), None)


@pytest.mark.parametrize("read_bytes", [1, 100, 10**6])
@pytest.mark.parametrize("gap_bytes", [1, 100, 10**6])
def test_rows_are_those_of_the_array(
    images: StoredImages, monkeypatch: pytest.MonkeyPatch, read_bytes: int, gap_bytes: int
) -> None:
    monkeypatch.setattr(stored, "_READ_BYTES", read_bytes)
    monkeypatch.setattr(stored, "_GAP_BYTES", gap_bytes)
    for rows in (slice(3, 9), slice(0, 50), np.array([0]), np.array([1, 2, 3, 9, 20, 21, 49])):
        np.testing.assert_array_equal(images[rows][..., 0], IMAGES[rows])
    assert images[np.array([], np.int64)].shape == (0, 3, 4, 1)
    assert images.dtype == np.uint16
    assert (len(images), images.nbytes) == (50, 1200)


def test_rows_far_apart_are_read_separately(
    images: StoredImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A row has 24 bytes: gaps of up to 4 rows are read.
    monkeypatch.setattr(stored, "_GAP_BYTES", 100)
    reads: list[tuple[int, int]] = []
    read = StoredImages._read

    def count(images: StoredImages, rows: slice) -> Images:
        reads.append((rows.start, rows.stop))
        return read(images, rows)

    monkeypatch.setattr(StoredImages, "_read", count)
    images[np.array([0, 4, 9, 40])]
    assert reads == [(0, 5), (9, 10), (40, 41)]


def test_blocks_are_all_rows_in_order(
    images: StoredImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_READ_BYTES", 24 * 7)
    blocks = list(stored.blocks(images))
    assert [len(block) for block in blocks] == [7] * 7 + [1]
    np.testing.assert_array_equal(np.concatenate(blocks)[..., 0], IMAGES)
    assert extremes(images) == (IMAGES.min(), IMAGES.max())
