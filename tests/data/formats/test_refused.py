"""What cannot be read safely says what to do instead."""

import pickle
from pathlib import Path

import pytest

from aecli.data import open_dataset
from aecli.errors import InputError


class Program:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("run"),)


PICKLE = pickle.dumps(Program())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x", "save its array with numpy.save"),
        ("x.pt", "save its array with numpy.save"),
        ("x.joblib", "save its array with numpy.save"),
        ("data_batch_1", "save its array with numpy.save"),
        ("x.tfrecord", "is TFRecord, which is not read"),
        ("folder/data.mdb", "is LMDB, which is not read"),
        ("x.7z", "unpack it"),
    ],
)
def test_a_line_says_what_to_do(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(PICKLE if name == "x" else b"x")
    place = path.parent if "folder" in name else path
    with pytest.raises(InputError) as caught:
        open_dataset(str(place))
    assert words in str(caught.value)
    assert not Path("run").exists()


def test_batches_of_cifar_for_python(tmp_path: Path) -> None:
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="has CIFAR's batches for Python"):
        open_dataset(str(tmp_path))
