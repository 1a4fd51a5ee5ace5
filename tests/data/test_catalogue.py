import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.config import SplitName
from aecli.data import DataDescription, Dataset, Source, extremes, open_dataset
from aecli.data.idx import read_idx
from aecli.errors import InputError
from tests.helpers import write_idx

Spoil = Callable[[Path], None]
PARTS: tuple[SplitName, ...] = ("train", "validation", "test")


def test_digits_have_a_fixed_split(digits: Dataset) -> None:
    assert {name: len(digits.split(name).images) for name in PARTS} == {
        "train": 1257,
        "validation": 180,
        "test": 360,
    }
    assert digits.images.shape == (1797, 8, 8, 1)
    assert digits.images.dtype == np.uint8
    assert extremes(digits.images) == (0, 255)
    assert digits.class_names == tuple("0123456789")


def test_splits_are_rows_in_file_order(digits: Dataset) -> None:
    parts = [digits.split(name) for name in PARTS]
    whole = digits.split("all")
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), whole.images)
    labels = [label for part in parts if part.labels is not None for label in part.labels]
    assert whole.labels is not None
    assert labels == whole.labels.tolist()


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
    assert dataset.source == Source(str(idx_folder.resolve()))
    assert len(dataset.split("validation").images) == 20
    assert len(dataset.split("train").images) == 220
    assert dataset.fingerprint == again.fingerprint


def test_labels_are_optional(idx_folder: Path) -> None:
    for path in idx_folder.glob("*labels*"):
        path.unlink()
    assert open_dataset(str(idx_folder)).labels is None


def test_the_fingerprint_sees_one_pixel(idx_folder: Path) -> None:
    before = open_dataset(str(idx_folder))
    images = read_idx(idx_folder / "t10k-images-idx3-ubyte", ndim=3).copy()
    images[39, 5, 4] ^= 1
    write_idx(idx_folder / "t10k-images-idx3-ubyte", images)
    assert open_dataset(str(idx_folder)).fingerprint != before.fingerprint


def test_a_path_that_exists_wins_over_a_name(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idx_folder.rename(idx_folder.with_name("digits"))
    monkeypatch.chdir(idx_folder.parent)
    assert open_dataset("digits").image_shape == (6, 5, 1)


def test_descriptions_survive_json(digits: Dataset) -> None:
    description = digits.describe()
    assert DataDescription.from_json(description.to_json()) == description
    with pytest.raises(InputError, match="description of the data is damaged"):
        DataDescription.from_json({"name": "digits"})


def _remove(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def _overwrite(name: str, data: bytes) -> Spoil:
    def act(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return act


def _flip_in_gzip(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _truncate(name: str, size: int) -> Spoil:
    def act(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:size])

    return act


def _write(name: str, values: npt.NDArray[Any], tail: bytes = b"") -> Spoil:
    def act(folder: Path) -> None:
        write_idx(folder / name, values.astype(np.uint8))
        (folder / name).write_bytes((folder / name).read_bytes() + tail)

    return act


BAD_FOLDERS: dict[str, tuple[Spoil, str]] = {
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
    "truncated gzip": (_truncate("train-images-idx3-ubyte.gz", 4000), "gzip stream breaks off"),
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
    "labels for one part": (
        _remove("train-labels-idx1-ubyte.gz"),
        "labels for one part only",
    ),
    "two sizes": (_write("t10k-images-idx3-ubyte", np.zeros((40, 5, 6))), "expected one size"),
    "no pixels": (_write("t10k-images-idx3-ubyte", np.zeros((0, 6, 5))), "holds no pixels"),
    "one image": (_write("train-images-idx3-ubyte", np.zeros((1, 6, 5))), "expected at least 2"),
}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("mnits", r"did you mean 'mnist'\? \(known: digits, mnist, fashion-mnist, cifar10\)"),
        ("nothing/here", "no such file or folder: nothing/here"),
        ("~nobody-of-this-name/x", "no such file or folder: ~nobody-of-this-name/x"),
        (__file__, "is not in a format that aecli reads: expected a folder of IDX files"),
    ],
)
def test_a_data_set_that_is_not_there(
    source: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AECLI_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=words):
        open_dataset(source)


def test_the_digits_are_those_of_scikit_learn(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    original = load_digits()
    assert digits.labels is not None
    assert digits.labels.tolist() == original.target.tolist()
    np.testing.assert_allclose(
        digits.images[:].reshape(-1, 64), original.data / 16 * 255, atol=0.5001
    )
