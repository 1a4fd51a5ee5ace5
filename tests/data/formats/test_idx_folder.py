"""Folders of IDX files in MNIST's naming."""

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.data import Dataset, Source, open_dataset
from tests.data.examples import Act
from tests.helpers import write_idx


def test_mnist_is_split_as_in_the_tutorial(mnist: Dataset) -> None:
    test, validation = mnist.split("test"), mnist.split("validation")
    assert mnist.images.shape == (70_000, 28, 28, 1)
    assert (len(mnist.split("train").images), len(validation.images)) == (55_000, 5_000)
    assert test.labels is not None
    assert validation.labels is not None
    # The first labels of both files, as every introduction to MNIST prints them.
    assert validation.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert mnist.split("all").images.mean() == pytest.approx(33.4, abs=0.1)


def test_an_idx_folder_reads_plain_and_gzipped_files(idx_folder: Path) -> None:
    dataset = open_dataset(str(idx_folder))
    plain = idx_folder / "train-images-idx3-ubyte"
    plain.write_bytes(gzip.decompress(plain.with_name(f"{plain.name}.gz").read_bytes()))
    again = open_dataset(str(idx_folder))
    assert dataset.images.shape == (280, 6, 5, 1)
    assert dataset.name == "images"
    # What the type of the pixels says, and no ground for what is transparent.
    assert dataset.source == Source(str(idx_folder.resolve()), rescale=None, ground=None)
    assert len(dataset.split("validation").images) == 20
    assert len(dataset.split("train").images) == 220
    assert dataset.fingerprint == again.fingerprint


def test_labels_are_optional(idx_folder: Path) -> None:
    for path in idx_folder.glob("*labels*"):
        path.unlink()
    assert open_dataset(str(idx_folder)).labels is None


def _remove(name: str) -> Act:
    return lambda folder: (folder / name).unlink()


def _overwrite(name: str, data: bytes) -> Act:
    def act(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return act


def _flip_in_gzip(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _truncate(name: str, size: int) -> Act:
    def act(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:size])

    return act


def _write(name: str, values: npt.NDArray[Any], tail: bytes = b"") -> Act:
    def act(folder: Path) -> None:
        write_idx(folder / name, values.astype(np.uint8))
        (folder / name).write_bytes((folder / name).read_bytes() + tail)

    return act


def _pipe(name: str) -> Act:
    def act(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return act


BAD_FOLDERS: dict[str, tuple[Act, str]] = {
    "no training images": (
        _remove("train-images-idx3-ubyte.gz"),
        "has no train-images-idx3-ubyte",
    ),
    "no test images": (
        _remove("t10k-images-idx3-ubyte"),
        "has no t10k-images-idx3-ubyte",
    ),
    "truncated pixels": (
        _truncate("t10k-images-idx3-ubyte", 900),
        r"t10k-images-idx3-ubyte is truncated: its header promises 1,200 bytes .* holds 884",
    ),
    "truncated header": (
        _truncate("t10k-images-idx3-ubyte", 9),
        "truncated inside its header: 9 of 16",
    ),
    "empty file": (_truncate("t10k-images-idx3-ubyte", 0), "got nothing"),
    "truncated gzip": (_truncate("train-images-idx3-ubyte.gz", 4000), "gzip stream ends early"),
    "corrupt gzip": (_flip_in_gzip, "is corrupt gzip"),
    "too long": (
        _write("t10k-images-idx3-ubyte", np.zeros((40, 6, 5)), b"more"),
        "is too long",
    ),
    "not IDX": (
        _overwrite("t10k-images-idx3-ubyte", b"PNG....................."),
        "expected it to start with 00000803, got 504e472e",
    ),
    "labels for images": (
        _write("t10k-images-idx3-ubyte", np.zeros(40)),
        "with 3 axes: expected it to start with 00000803, got 00000801",
    ),
    "fewer labels": (
        _write("t10k-labels-idx1-ubyte", np.zeros(39)),
        "has 39 labels, but t10k-images-idx3-ubyte has 40 images",
    ),
    "a pipe for images": (_pipe("t10k-images-idx3-ubyte"), "images-idx3-ubyte is a pipe, a socket"),
    "a pipe for labels": (_pipe("t10k-labels-idx1-ubyte"), "labels-idx1-ubyte is a pipe, a socket"),
    "two sizes": (_write("t10k-images-idx3-ubyte", np.zeros((40, 5, 6))), "expected one size"),
    "no pixels": (_write("t10k-images-idx3-ubyte", np.zeros((0, 6, 5))), "holds no pixels"),
    "one image": (_write("train-images-idx3-ubyte", np.zeros((1, 6, 5))), "expected at least 2"),
}


def test_a_part_may_have_no_labels(idx_folder: Path) -> None:
    (idx_folder / "t10k-labels-idx1-ubyte").unlink()
    dataset = open_dataset(str(idx_folder))
    assert set(dataset.labels_of("test")) == {-1}  # type: ignore[arg-type]
    assert -1 not in dataset.labels_of("train")  # type: ignore[operator]
