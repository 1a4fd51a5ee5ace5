"""MATLAB's files: which axis counts the images, and both versions."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from aecli.data import open_dataset
from aecli.data.describe import describe, facts, first_facts
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
    dataset = open_dataset(str(tmp_path / "x.mat"))
    np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS)
    shape, axis = ("6x5x90", "last") if last else ("90x6x5", "first")
    said = f"{shape}, of which the {axis} counts the images"
    assert dict(first_facts(dataset))["axes"] == said
    assert dict(facts(describe(dataset)))["axes"] == said


def test_images_as_many_as_they_are_high(tmp_path: Path) -> None:
    images = PIXELS[:6, :6]
    savemat(tmp_path / "x.mat", {"digits": np.moveaxis(images[:, :, :5], 0, -1)})
    dataset = open_dataset(str(tmp_path / "x.mat"))
    # Nothing says which of two axes of one length counts: the first, as is said.
    assert dataset.axes == "6x5x6, of which the first counts the images"
    savemat(tmp_path / "x.mat", {"digits": np.moveaxis(images[:, :, :4, np.newaxis], 0, -1)})
    dataset = open_dataset(str(tmp_path / "x.mat"))
    assert dataset.axes == "6x4x1x6, of which the last counts the images"
    np.testing.assert_array_equal(dataset.images[:][..., 0], images[:, :, :4])


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
