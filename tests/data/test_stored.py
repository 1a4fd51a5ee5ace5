"""Images in a file: rows are those of the array, however they are read."""

import os
from pathlib import Path

import numpy as np
import pytest

from aecli import npy
from aecli.data import StoredImages, extremes, stored
from aecli.errors import InputError
from aecli.npy import Array, StoredArray, open_npy

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
    monkeypatch.setattr(StoredArray, "gap_bytes", gap_bytes)
    for rows in (slice(3, 9), slice(0, 50), np.array([0]), np.array([1, 2, 3, 9, 20, 21, 49])):
        np.testing.assert_array_equal(images[rows][..., 0], IMAGES[rows])
    assert images[np.array([], np.int64)].shape == (0, 3, 4, 1)
    assert images.dtype == np.uint16
    assert (len(images), images.nbytes) == (50, 1200)


def test_rows_far_apart_are_read_separately(
    images: StoredImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A row has 24 bytes: gaps of up to 4 rows are read.
    monkeypatch.setattr(StoredArray, "gap_bytes", 100)
    reads: list[tuple[int, int]] = []
    read = StoredArray.__getitem__

    def count(array: StoredArray, rows: slice) -> Array:
        reads.append((rows.start, rows.stop))
        return read(array, rows)

    monkeypatch.setattr(StoredArray, "__getitem__", count)
    images[np.array([0, 4, 9, 40])]
    assert reads == [(0, 5), (9, 10), (40, 41)]


@pytest.fixture
def array(tmp_path: Path) -> StoredArray:
    np.save(tmp_path / "x.npy", IMAGES)
    array = open_npy(tmp_path / "x.npy")
    assert isinstance(array, StoredArray)
    return array


def _overwrite(path: Path, row: int, *, put_back: bool) -> None:
    """Change a row in place, with the same size and time of the file."""
    state = path.stat()
    if put_back:
        with path.open("r+b") as file:
            file.seek(128 + row * 24)
            file.write(b"x" * 24)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    else:
        mapped = np.load(path, mmap_mode="r+")
        mapped[row] = 7
        mapped.flush()


@pytest.mark.parametrize("put_back", [True, False])
def test_a_change_is_seen_that_size_and_time_do_not_show(
    array: StoredArray, put_back: bool
) -> None:
    for start in (0, 10, 20):
        array[start : start + 10]
    _overwrite(array.path, 15, put_back=put_back)
    with pytest.raises(InputError, match=r"x\.npy was changed while it was read"):
        array[40:50]
    with pytest.raises(InputError, match=r"x\.npy was changed while it was read"):
        array[10:20]


def test_a_change_is_seen_that_nothing_but_the_content_shows(
    array: StoredArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = array._look()
    monkeypatch.setattr(array, "_look", lambda: state)
    array[10:20]
    _overwrite(array.path, 15, put_back=True)
    array[20:30]
    with pytest.raises(InputError, match=r"x\.npy was changed while it was read"):
        array[10:20]


def test_a_file_may_get_other_names_and_modes_while_it_is_read(array: StoredArray) -> None:
    path = array.path
    for change in (
        lambda: path.chmod(0o400),
        lambda: path.with_name("link.npy").hardlink_to(path),
        lambda: path.rename(path.with_name("moved.npy")),
        lambda: path.with_name("moved.npy").unlink(),
    ):
        before = array._look()
        change()
        np.testing.assert_array_equal(array[5:10], IMAGES[5:10])
        assert array._look() != before


def test_checksums_take_little_memory(array: StoredArray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npy, "_MOST_SUMS", 3)
    for start in range(10):
        np.testing.assert_array_equal(array[start : start + 2], IMAGES[start : start + 2])
    assert len(array._sums) == 3


def test_blocks_are_all_rows_in_order(
    images: StoredImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_READ_BYTES", 24 * 7)
    blocks = list(stored.blocks(images))
    assert [len(block) for block in blocks] == [7] * 7 + [1]
    np.testing.assert_array_equal(np.concatenate(blocks)[..., 0], IMAGES)
    assert extremes(images) == (IMAGES.min(), IMAGES.max())
