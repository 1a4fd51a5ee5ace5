"""`size`, `grayscale` and `color` mean the same for arrays as for image files."""

from pathlib import Path

import numpy as np
import pytest

from aecli.data import Source, StoredImages, open_dataset
from aecli.data.stretch import fit
from aecli.errors import InputError
from tests.data.examples import save_image

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 12, 9, 3), np.uint8)


def test_arrays_on_disk_in_memory_and_files_agree(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGES)
    np.savez(tmp_path / "x.npz", IMAGES)
    for row, image in enumerate(IMAGES):
        save_image(tmp_path / "x" / f"{row:02}.png", image)
    for grayscale in (False, True):
        found = [
            open_dataset(Source(str(tmp_path / name), size=(7, 5), grayscale=grayscale))
            for name in ("x.npy", "x.npz", "x")
        ]
        assert len({dataset.fingerprint for dataset in found}) == 1
        expected = {"stretched to 7x5": 30} | ({"made gray": 30} if grayscale else {})
        assert all(dataset.converted == expected for dataset in found)
    stored = found[0].images
    # It stays in its file.
    assert isinstance(stored, StoredImages)
    expected_rows = fit(IMAGES, (7, 5, 1))[[2, 3, 20]]
    np.testing.assert_array_equal(stored[np.array([2, 3, 20])], expected_rows)
    np.testing.assert_array_equal(stored[28:], fit(IMAGES, (7, 5, 1))[28:])
    assert stored.nbytes == 30 * 35


def test_gray_becomes_rgb_where_that_is_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGES[..., 0])
    for row, image in enumerate(IMAGES[..., 0]):
        save_image(tmp_path / "x" / f"{row:02}.png", image)
    for name in ("x.npy", "x"):
        dataset = open_dataset(Source(str(tmp_path / name), color=True))
        np.testing.assert_array_equal(dataset.images[:], np.repeat(IMAGES[..., :1], 3, axis=3))
        assert dataset.converted == {"gray made RGB": 30}
        assert open_dataset(dataset.source).fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (np.ones((9, 5)), {"size": (4, 4)}, "has vectors of 5 numbers: expected images, or vec"),
        (np.arange(45.0).reshape(9, 5) - 9, {"size": (4, 4)}, "has vectors of 5 numbers"),
        (IMAGES.repeat(2, 3)[..., :4], {"grayscale": True}, "has images of 4 channels: expected 1"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    values: np.ndarray, options: dict[str, object], words: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(InputError, match=words):
        open_dataset(Source(str(tmp_path / "x.npy"), **options))  # type: ignore[arg-type]
