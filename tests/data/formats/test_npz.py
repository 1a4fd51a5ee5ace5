"""Files of several arrays, `.npz`, in every layout."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.data import files_of, open_dataset, reopen_dataset
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.labels import UNKNOWN
from tests.data.examples import LABELS, NPY_OF_TERABYTES, PIXELS, flipped, npy, npy_header, npz
from tests.data.formats.test_npy import OBJECTS


def test_keras_layout_is_split_like_a_folder_of_idx_files(idx_folder: Path) -> None:
    expected = open_dataset(str(idx_folder))
    assert expected.labels is not None
    train_rows, test_rows = slice(0, 240), slice(240, 280)
    path = idx_folder.parent / "keras.npz"
    np.savez(
        path,
        x_train=expected.images[train_rows][..., 0],
        y_train=expected.labels[train_rows],
        x_test=expected.images[test_rows][..., 0],
        y_test=expected.labels[test_rows],
    )
    dataset = open_dataset(str(path))
    assert dataset.fingerprint == expected.fingerprint
    assert dataset.splits == expected.splits
    assert dataset.labels is not None
    assert dataset.labels.tolist() == expected.labels.tolist()


def test_medmnist_layout_has_three_splits(tmp_path: Path) -> None:
    parts = {"train": PIXELS[:60], "val": PIXELS[60:75], "test": PIXELS[75:]}
    members: dict[str, npt.NDArray[Any]] = {}
    for name, images in parts.items():
        members[f"{name}_images"] = images
        members[f"{name}_labels"] = LABELS[: len(images), np.newaxis]
    np.savez(tmp_path / "med.npz", **members)  # type: ignore[arg-type]
    dataset = open_dataset(str(tmp_path / "med.npz"))
    np.testing.assert_array_equal(dataset.split("validation").images[..., 0], PIXELS[60:75])
    np.testing.assert_array_equal(dataset.split("train").images[..., 0], PIXELS[:60])
    labels = dataset.split("test").labels
    assert labels is not None
    assert labels.tolist() == LABELS[:15].tolist()


@pytest.mark.parametrize(("shape", "vectors"), [((9, 49), True), ((9, 1, 49), False)])
def test_only_arrays_of_two_axes_are_vectors(
    tmp_path: Path, shape: tuple[int, ...], vectors: bool
) -> None:
    values = np.zeros(shape, np.uint8)
    np.savez(tmp_path / "one.npz", values)
    np.savez(tmp_path / "parts.npz", x_train=values, x_test=values)
    for name in ("one.npz", "parts.npz"):
        assert open_dataset(str(tmp_path / name)).vectors is vectors


def _encrypted(archive: bytes) -> bytes:
    """Set the flag that says a member is encrypted, in its own header and in the directory."""
    data = bytearray(archive)
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


GOOD = npy(PIXELS)
KERAS = {"x_train": GOOD, "x_test": GOOD, "y_train": npy(LABELS), "y_test": npy(LABELS)}
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "cut in the middle": (npz(a=GOOD)[:900], "is a damaged .npz file"),
    "cut in the directory": (npz(a=GOOD)[:-5], "is a damaged .npz file"),
    "a flipped byte": (flipped(npz(a=GOOD), 900), "is a damaged .npz file"),
    "LZMA": (npz(zipfile.ZIP_LZMA, a=GOOD), "a is compressed with method 14: expected none or"),
    "a member without a name": (npz(**{"": GOOD[:-1]}), " is truncated"),
    "no member, but its name": (npz(a=b""), ", a is not a whole .npy array"),
    "encrypted": (_encrypted(npz(a=GOOD)), "is encrypted"),
    "empty": (npz(), "holds nothing: expected Keras'"),
    "an unknown layout": (npz(a=GOOD, b=GOOD), "several arrays that can be images, a, b: name one"),
    "half of Keras": (npz(x_train=GOOD, y_train=GOOD), "images, x_train, y_train: name one"),
    "a member that is cut": (npz(a=GOOD[:-1]), ", a is truncated"),
    "terabytes promised": (npz(a=NPY_OF_TERABYTES), ", a is truncated: its header promises 1,000"),
    "objects": (npz(a=OBJECTS), ", a holds object: expected numbers"),
    "parts of two sizes": (
        npz(**(KERAS | {"x_test": npy(np.zeros((90, 5, 6), np.uint8))})),
        "has parts that differ",
    ),
    "parts of two types": (
        npz(**(KERAS | {"x_test": npy(PIXELS / 255)})),
        "has parts that differ",
    ),
    "labels of another length": (
        npz(**(KERAS | {"y_test": npy(LABELS[:5])})),
        "test does not fit as labels: expected 90, one for each row",
    ),
    "labels that are texts and numbers": (
        npz(**(KERAS | {"y_test": npy(LABELS.astype(str))})),
        "have labels that differ: int64 (90,), <U21 (90,)",
    ),
    "labels that are objects": (npz(**(KERAS | {"y_test": OBJECTS})), "nothing of it was run"),
    "a bomb": (npz(a=npy_header("(9, 1, 1)") + bytes(10**8)), ", a is too long"),
}


def test_labels_that_are_rows_are_numbers_or_set_aside(tmp_path: Path) -> None:
    one_hot = npy(np.eye(3)[LABELS])
    members = KERAS | {"y_train": one_hot, "y_test": one_hot}
    (tmp_path / "one.npz").write_bytes(npz(**members))
    dataset = open_dataset(str(tmp_path / "one.npz"))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [*LABELS, *LABELS]
    several = npy(np.ones((90, 14), int))
    (tmp_path / "many.npz").write_bytes(npz(**(members | {"y_train": several})))
    with pytest.raises(InputError, match="have labels that differ"):
        open_dataset(str(tmp_path / "many.npz"))
    (tmp_path / "many.npz").write_bytes(npz(**(KERAS | {"y_train": several, "y_test": several})))
    dataset = open_dataset(str(tmp_path / "many.npz"))
    assert (dataset.labels, dataset.left_out) == (None, {"rows of several labels": 180})


def test_a_part_may_have_no_labels(tmp_path: Path) -> None:
    members = {name: data for name, data in KERAS.items() if name != "y_test"}
    (tmp_path / "x.npz").write_bytes(npz(**members))
    dataset = open_dataset(str(tmp_path / "x.npz"))
    assert set(dataset.labels_of("test")) == {UNKNOWN}  # type: ignore[arg-type]
    assert UNKNOWN not in dataset.labels_of("train")  # type: ignore[operator]


def test_one_of_several_arrays(tmp_path: Path) -> None:
    path = tmp_path / "any.npz"
    np.savez(path, images=PIXELS, latents=np.zeros((90, 3)), Labels=LABELS, ids=LABELS)
    dataset = open_dataset(str(path))
    np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == LABELS.tolist()
    assert dataset.left_out == {"array latents": 1, "array ids": 1}
    named = open_dataset(f"{path}:latents")
    assert named.images.shape == (90, 1, 3, 1)
    assert named.source.location == f"{path}:latents"
    assert named.name == "any"
    assert reopen_dataset(named.source).fingerprint == named.fingerprint
    assert path in files_of(named)
    for name, words in (("nothing", "has no array 'nothing'"), ("ids", "has the shape")):
        with pytest.raises(InputError, match=words):
            open_dataset(f"{path}:{name}")
    np.savez(path, a=PIXELS, b=PIXELS)
    with pytest.raises(InputError, match=r"several arrays that can be images, a, b: name one, as"):
        open_dataset(str(path))


def test_a_path_with_a_colon_wins(tmp_path: Path) -> None:
    (tmp_path / "x.npz:a").write_bytes(npy(PIXELS))
    (tmp_path / "x.npz").write_bytes(npz(a=npy(PIXELS[:50])))
    assert len(open_dataset(str(tmp_path / "x.npz:a")).images) == 90
    (tmp_path / "x.npz:a").unlink()
    assert len(open_dataset(str(tmp_path / "x.npz:a")).images) == 50
    (tmp_path / "x.npy").write_bytes(npy(PIXELS))
    with pytest.raises(InputError, match=r"x.npy has no arrays with names"):
        open_dataset(str(tmp_path / "x.npy:a"))


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_keras_validation(word: str, tmp_path: Path) -> None:
    parts = {"train": slice(0, 60), word: slice(60, 75), "test": slice(75, 90)}
    members = {f"x_{part}": PIXELS[rows] for part, rows in parts.items()}
    members |= {f"y_{part}": LABELS[rows] for part, rows in parts.items()}
    np.savez(tmp_path / "x.npz", **members)  # type: ignore[arg-type]
    dataset = open_dataset(str(tmp_path / "x.npz"))
    assert [dataset.count(name) for name in ("train", "validation", "test")] == [60, 15, 15]
    del members["x_test"], members["y_test"]
    np.savez(tmp_path / "x.npz", **members)  # type: ignore[arg-type]
    dataset = open_dataset(str(tmp_path / "x.npz"))
    assert [dataset.count(name) for name in ("train", "validation", "test")] == [55, 5, 15]
    assert dataset.split_names == {"train": "x_train", "test": f"x_{word}"}


def test_labels_beside_one_of_several_arrays_may_be_texts_or_overridden(tmp_path: Path) -> None:
    path = tmp_path / "any.npz"
    np.savez(path, images=PIXELS, label=np.array(["b", "a", ""] * 30), ids=LABELS)
    dataset = open_dataset(str(path))
    assert dataset.class_names == ("a", "b")
    assert dataset.labels_of("train") is not None
    assert dataset.left_out == {"array ids": 1}
    np.save(tmp_path / "y.npy", LABELS)
    other = open_dataset(Source(str(path), labels=str(tmp_path / "y.npy")))
    assert other.labels is not None
    assert other.labels.tolist() == LABELS.tolist()
    assert other.left_out == {"array ids": 1, "labels of the data themselves": 90}
