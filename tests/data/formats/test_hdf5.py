"""HDF5 files: which array is read, what stays on disk, and what is not followed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aecli.data import StoredImages, open_dataset
from aecli.errors import InputError
from tests.data.examples import LABELS, PIXELS

h5py = pytest.importorskip("h5py")


@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "chunks": (7, 6, 5)}])
def test_the_only_array_that_can_be_images(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.any"
    with h5py.File(path, "w") as file:
        file.create_dataset("a/images", data=PIXELS, **options)
        file["a/labels"] = LABELS
        file["latents"] = np.zeros((90, 4))
        file["about"] = "text"
        file["a/again"] = file["a"]
        file["soft"] = h5py.SoftLink("/a/images")
        file["outside"] = h5py.ExternalLink("/etc/passwd", "/x")
    for name in (str(path), f"{path}:/a/images", f"{path}:a/images"):
        dataset = open_dataset(name)
        assert isinstance(dataset.images, StoredImages) is (not options)
        np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS)
        assert dataset.labels is not None
        assert dataset.labels.tolist() == LABELS.tolist()
        assert dataset.left_out == {"array latents": 1}
    assert open_dataset(f"{path}:latents").images.shape == (90, 2, 2, 1)


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((2, 3, 3), np.uint8)
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (2, 3, 3))
    file.create_virtual_dataset("x", layout)


def _external(file: Any) -> None:
    file.create_dataset("x", (2, 3, 3), np.uint8, external=[("/etc/passwd", 0, 18)])


def _filter(file: Any) -> None:
    # One of LZ4, which is not there; it may be left out where it is optional.
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2, 3, 3))
    properties.set_filter(32004, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((2, 3, 3))
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT8, space, properties)


def _terabytes(file: Any) -> None:
    file.create_dataset("x", (10**9, 100, 100), np.uint8, chunks=(1, 100, 100))


BAD_FILES: dict[str, tuple[Callable[[Any], object], str]] = {
    "virtual": (_virtual, "is stored in other files"),
    "external": (_external, "is stored in other files"),
    "an unknown filter": (_filter, "is compressed by filter 32004"),
    "terabytes": (_terabytes, "takes 10,"),
    "nothing": (lambda file: None, "holds nothing: expected an array of images"),
    "no numbers": (lambda file: file.create_dataset("x", data="text"), "holds nothing"),
    "several": (
        lambda file: [file.create_dataset(name, data=PIXELS) for name in "ab"],
        "several arrays that can be images",
    ),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_bad_files(fault: str, tmp_path: Path) -> None:
    write, words = BAD_FILES[fault]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write(file)
    with pytest.raises(InputError) as caught:
        open_dataset(str(tmp_path / "x.h5"))
    assert words in str(caught.value)


def test_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=PIXELS, compression="gzip")
    whole = path.read_bytes()
    for size in (8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="damaged HDF5 file"):
            open_dataset(str(path))
