"""MATLAB's files: which axis counts the images, and both versions."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from aecli.data import open_dataset
from aecli.errors import InputError
from tests.data.examples import LABELS, PIXELS

COLORS = np.random.default_rng(0).integers(0, 256, (90, 6, 5, 3), np.uint8)


@pytest.mark.parametrize("packed", [False, True])
def test_the_layout_of_svhn(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    values = {"X": np.moveaxis(COLORS, 0, -1), "y": LABELS[:, np.newaxis].astype(np.float64)}
    savemat(path, {**values, "about": "text", "rest": {"a": 1}}, do_compression=packed)
    for name in (str(path), f"{path}:X"):
        dataset = open_dataset(name)
        np.testing.assert_array_equal(dataset.images[:], COLORS)
        assert dataset.labels is not None
        assert dataset.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("last", [False, True])
def test_the_labels_say_which_axis_counts(last: bool, tmp_path: Path) -> None:
    values = np.moveaxis(PIXELS, 0, -1) if last else PIXELS
    savemat(tmp_path / "x.mat", {"digits": values, "label": LABELS})
    np.testing.assert_array_equal(open_dataset(str(tmp_path / "x.mat")).images[:][..., 0], PIXELS)


def test_version_7_3(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "x.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["X"] = np.moveaxis(COLORS, 0, -1).T
        file["y"] = LABELS[np.newaxis]
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(512))
    dataset = open_dataset(str(path))
    np.testing.assert_array_equal(dataset.images[:], COLORS)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == LABELS.tolist()


def test_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"X": COLORS}, do_compression=True)
    whole = path.read_bytes()
    for size in (10, 130, 150, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"damaged .mat file|holds nothing"):
            open_dataset(str(path))
    savemat(path, {"X": COLORS, "Y": COLORS})
    with pytest.raises(InputError, match="several arrays that can be images"):
        open_dataset(str(path))
