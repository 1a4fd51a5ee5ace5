"""Folders of CIFAR-10's binary files."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aecli.config import SplitName
from aecli.data import DATA_VARIABLE, open_dataset
from tests.data.examples import Act, write_cifar10

PARTS: tuple[SplitName, ...] = ("validation", "train", "test")


@pytest.fixture
def cifar_folder(tmp_path: Path) -> Path:
    write_cifar10(tmp_path / "cifar10")
    return tmp_path / "cifar10"


def test_cifar_is_read_from_its_planes(cifar_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(cifar_folder.parent))
    dataset = open_dataset("cifar10")
    assert dataset.fingerprint == open_dataset(str(cifar_folder)).fingerprint
    assert {split: dataset.count(split) for split in PARTS} == {
        "validation": 8,
        "train": 92,
        "test": 20,
    }
    row = np.fromfile(cifar_folder / "test_batch.bin", np.uint8)[:3073]
    test = dataset.split("test")
    assert test.labels is not None
    assert test.labels[0] == row[0]
    # Red, green and blue of the pixel in the second line and the third column.
    assert test.images[0, 1, 2].tolist() == [row[1 + c * 1024 + 34] for c in range(3)]


def _overwrite(change: Callable[[bytes], bytes]) -> Act:
    def act(folder: Path) -> None:
        path = folder / "data_batch_3.bin"
        path.write_bytes(change(path.read_bytes()))

    return act


def _pipe(folder: Path) -> None:
    (folder / "data_batch_3.bin").unlink()
    os.mkfifo(folder / "data_batch_3.bin")


BAD_FOLDERS: dict[str, tuple[Act, str]] = {
    "cut": (_overwrite(lambda data: data[:-1]), "expected rows of 3,073 bytes"),
    "empty": (_overwrite(lambda data: b""), "data_batch_3.bin is truncated"),
    "a pipe": (_pipe, "data_batch_3.bin is a pipe, a socket or a device"),
    "a label too high": (_overwrite(lambda data: b"\x0a" + data[1:]), "has a label 10"),
}
