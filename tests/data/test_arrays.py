"""Data sets in NumPy's files: every layout, every type of pixel, and what is wrong with them."""

import contextlib
import gzip
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from aecli.config import Config
from aecli.data import Source, open_dataset
from aecli.data.arrays import to_images
from aecli.data.formats.npz import read_npz
from aecli.data.idx import read_idx
from aecli.data.splits import split_at_random
from aecli.errors import AecliError, InputError
from aecli.npy import read_npy
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.train.loop import train
from tests.helpers import write_idx

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (90, 6, 5), np.uint8)
# In order, as files in folders of labels are.
LABELS = np.arange(90) // 30


def test_the_same_images_are_the_same_in_every_format(tmp_path: Path, small_config: Config) -> None:
    write_idx(tmp_path / "images.gz", PIXELS)
    write_idx(tmp_path / "images.idx", PIXELS)
    np.save(tmp_path / "images.npy", PIXELS)
    np.save(tmp_path / "channel.npy", PIXELS[..., np.newaxis])
    np.save(tmp_path / "fortran.npy", np.asfortranarray(PIXELS))
    np.savez(tmp_path / "images.npz", PIXELS)
    np.savez_compressed(tmp_path / "small.npz", anything=PIXELS)
    np.save(tmp_path / "y.npy", LABELS)
    write_idx(tmp_path / "y.idx", LABELS.astype(np.uint8))
    encoded = [io.BytesIO() for _ in PIXELS]
    for row, (image, file) in enumerate(zip(PIXELS, encoded, strict=True)):
        Image.fromarray(image).save(file, "PNG")
        path = tmp_path / "png" / str(LABELS[row]) / f"{row:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getvalue())
    images = [{"bytes": file.getvalue(), "path": None} for file in encoded]
    pq.write_table(pa.table({"image": images, "label": LABELS}), tmp_path / "images.parquet")
    names = "images.gz", "images.idx", "images.npy", "channel.npy", "fortran.npy", "images.npz"
    sources = [
        Source(str(tmp_path / name), labels=str(tmp_path / labels))
        for name in (*names, "small.npz")
        for labels in ("y.npy", "y.idx")
    ]
    sources += [Source(str(tmp_path / "png")), Source(str(tmp_path / "images.parquet"))]
    models: set[str] = set()
    fingerprints: set[str] = set()
    for source in sources:
        dataset = open_dataset(source)
        assert dataset.labels is not None
        assert dataset.labels.tolist() == LABELS.tolist()
        fingerprints.add(dataset.fingerprint)
        folder = RunFolder(tmp_path / "run" / str(len(models)))
        train(dataset, small_config, folder)
        models.add(load(folder.last).model_hash)
    assert len(fingerprints) == len(models) == 1


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


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 255]], np.uint8), [0, 255]),
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0, 65535]], np.uint16), [0, 65535]),
        (np.array([[0, 65535]], ">u2"), [0, 65535]),
        (np.array([[0.0, 1.0]]), [0.0, 1.0]),
        (np.array([[0.0, 0.5]], np.float16), [0.0, 0.5]),
        (np.array([[0.0, 0.25]], ">f8"), [0.0, 0.25]),
    ],
)
def test_every_type_of_pixel_has_one_scaling(
    values: npt.NDArray[Any], expected: list[float]
) -> None:
    images = to_images(values, "x.npy", None)
    assert images.shape == (1, 1, 2, 1)
    assert images.dtype in (np.uint8, np.uint16, np.float32)
    assert images.dtype.isnative
    assert images[:].reshape(-1).tolist() == expected


def test_rescaling_maps_the_range_it_is_given() -> None:
    images = to_images(np.array([[-1, 0, 1]]), "x.npy", (-1, 1))
    assert images.dtype == np.float32
    assert images[:].reshape(-1).tolist() == [0, 0.5, 1]


def test_vectors_become_squares_where_they_can() -> None:
    assert to_images(np.zeros((2, 49)), "", None).shape == (2, 7, 7, 1)
    assert to_images(np.zeros((2, 50)), "", None).shape == (2, 1, 50, 1)


@pytest.mark.parametrize(("rows", "labelled"), [(3, False), (10, False), (1000, True), (997, True)])
def test_random_splits_part_the_rows_and_keep_the_classes(rows: int, labelled: bool) -> None:
    labels = GENERATOR.choice([0, 1, 5], rows, p=[0.7, 0.2, 0.1]) if labelled else None
    share = 1 / 3 if rows == 3 else 0.1
    splits = split_at_random(rows, labels, share, share, 4)
    joined = np.concatenate([np.asarray(splits[name]) for name in splits])
    assert sorted(joined.tolist()) == list(range(rows))
    for chosen in splits.values():
        assert np.all(np.diff(np.asarray(chosen)) > 0)
        if labels is not None:
            for label in (0, 1, 5):
                whole, part = np.mean(labels == label), np.mean(labels[chosen] == label)
                assert part == pytest.approx(whole, abs=0.02)


def test_random_splits_are_a_function_of_the_seed() -> None:
    def tested(seed: int) -> list[int]:
        rows: list[int] = np.asarray(split_at_random(500, None, 0.1, 0.1, seed)["test"]).tolist()
        return rows

    assert tested(4) == tested(4)
    assert tested(4) != tested(5)


@pytest.mark.parametrize("rows", [1, 2])
def test_few_images_can_be_encoded_but_not_split(tmp_path: Path, rows: int) -> None:
    np.save(tmp_path / "few.npy", PIXELS[:rows])
    dataset = open_dataset(str(tmp_path / "few.npy"))
    assert len(dataset.split("all").images) == rows
    with pytest.raises(InputError, match=f"has {rows} images, too few for a validation split"):
        dataset.split("validation")


class Canary:
    """Would leave a file behind if it were unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch canary",)


def _npy(values: object, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values), **options)
    return file.getvalue()


def _header(shape: str, dtype: str = "|u1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _zip(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def _encrypted(archive: bytes) -> bytes:
    """Set the flag that says a member is encrypted, in its own header and in the directory."""
    data = bytearray(archive)
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _flip(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :]


GOOD = _npy(PIXELS)
KERAS = {"x_train": GOOD, "x_test": GOOD, "y_train": _npy(LABELS), "y_test": _npy(LABELS)}
TERABYTES = _header("(1000000, 1000, 1000)")
OBJECTS = _npy(np.array([Canary(), Canary()], object), allow_pickle=True)

BAD_FILES: dict[str, tuple[bytes, str]] = {
    "npy, only the magic": (GOOD[:6], "is no whole .npy array"),
    "npy, cut in the header": (GOOD[:40], "is no whole .npy array"),
    "npy, no pixels after the header": (GOOD[:128], "is truncated: its header promises 2,700"),
    "npy, the last pixel missing": (GOOD[:-1], "is truncated: its header promises 2,700"),
    "npy, more than the header says": (GOOD + b"x", "is too long"),
    "npy, terabytes promised": (TERABYTES, "promises 1,000,000,000,000 bytes, it holds 0"),
    "npy, a negative length": (_header("(-1, 4, 4)"), "has an impossible header"),
    "npy, a header that is no dict": (
        b"\x93NUMPY\x01\x00\x06\x00[1,2]\n",
        "is no whole .npy array",
    ),
    "npy, a header that is broken off": (
        GOOD.replace(b", ", b"{ ", 1),
        "is no whole .npy array",
    ),
    "npy, format of the future": (GOOD[:6] + b"\x09" + GOOD[7:], "of version (9, 0)"),
    "npy, objects": (OBJECTS, "holds object: expected numbers; nothing of it was run"),
    "npy, beyond float32": (_npy(np.full((9, 2, 2), 1e300)), "or more than float32 can, first at"),
    "npy, terabytes in Fortran's order": (
        _header("(1000000, 1000, 1000)").replace(b"False", b"True "),
        "is truncated: its header promises",
    ),
    "npy, complex": (_npy(PIXELS.astype(complex)), "holds complex128: expected numbers"),
    "npy, words": (_npy(np.array(["a", "b"])), "holds <U1: expected numbers"),
    "npy, dates": (_npy(np.zeros(3, "M8[s]")), "expected numbers"),
    "npy, int64": (_npy(PIXELS.astype(int)), "holds int64 pixels: expected uint8"),
    "npy, floats to 255": (_npy(PIXELS / 1.0), "--rescale 0,255 maps these to it"),
    "npy, floats below 0": (_npy(PIXELS / 255 - 0.5), "has pixels from -0.5 to 0.5"),
    "npy, NaN": (
        _npy(np.where(np.arange(90)[:, None, None] == 7, np.nan, PIXELS / 255)),
        "holds NaN, infinity or more than float32 can, first at (7, 0, 0, 0)",
    ),
    "npy, a scalar": (_npy(np.uint8(3)), "has the shape (): expected images"),
    "npy, five axes": (_npy(np.zeros((1, 2, 3, 4, 5))), "has the shape (1, 2, 3, 4, 5)"),
    "npy, channels first": (_npy(np.zeros((9, 3, 32, 32))), "1 to 4 channels on the last axis"),
    "npy, no images": (_npy(PIXELS[:0]), "holds no pixels: its shape is (0, 6, 5, 1)"),
    "npy, images of no pixels": (_npy(PIXELS[:, :0]), "holds no pixels"),
    "npz, cut in the middle": (_zip(a=GOOD)[:900], "is a damaged .npz file"),
    "npz, cut in the directory": (_zip(a=GOOD)[:-5], "is a damaged .npz file"),
    "npz, a flipped byte": (_flip(_zip(a=GOOD), 900), "is a damaged .npz file"),
    "npz, encrypted": (_encrypted(_zip(a=GOOD)), "is encrypted"),
    "npz, empty": (_zip(), "holds nothing: expected Keras'"),
    "npz, an unknown layout": (_zip(a=GOOD, b=GOOD), "holds a, b: expected Keras'"),
    "npz, half of Keras": (_zip(x_train=GOOD, y_train=GOOD), "holds x_train, y_train: expected"),
    "npz, a member that is cut": (_zip(a=GOOD[:-1]), "a is truncated"),
    "npz, terabytes promised": (_zip(a=TERABYTES), "a is truncated: its header promises 1,000"),
    "npz, objects": (_zip(a=OBJECTS), "a holds object: expected numbers"),
    "npz, parts of two sizes": (
        _zip(**(KERAS | {"x_test": _npy(np.zeros((90, 5, 6), np.uint8))})),
        "has parts that differ",
    ),
    "npz, parts of two types": (
        _zip(**(KERAS | {"x_test": _npy(PIXELS / 255)})),
        "has parts that differ",
    ),
    "npz, labels of another length": (
        _zip(**(KERAS | {"y_test": _npy(LABELS[:5])})),
        "test does not fit as labels: expected 90 whole numbers",
    ),
    "npz, labels that are floats": (
        _zip(**(KERAS | {"y_test": _npy(LABELS / 2)})),
        "got float64 (90,)",
    ),
    "npz, labels for one part": (
        _zip(**{name: data for name, data in KERAS.items() if name != "y_test"}),
        "has no labels for test",
    ),
    "text": (b"a,b\n1,2\n", "is not in a format that aecli reads"),
    "nothing": (b"", "is not in a format that aecli reads"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is not in a format that aecli reads"),
    "idx of labels": (b"\0\0\x08\x01\0\0\0\x03abc", "with 3 axes: expected it to start"),
    "idx, terabytes promised": (b"\0\0\x08\x03" + b"\x7f" * 12, "is truncated"),
    "idx, terabytes promised in gzip": (
        gzip.compress(b"\0\0\x08\x03" + b"\x7f" * 12),
        "bytes of memory: unpack it with gunzip",
    ),
    "idx, a bomb": (
        gzip.compress(b"\0\0\x08\x03\0\0\0\x09\0\0\0\x01\0\0\0\x01" + bytes(10**8)),
        "promises 9 bytes (9, 1, 1), it holds more",
    ),
    "npz, a bomb": (_zip(a=_header("(9, 1, 1)") + bytes(10**8)), "a is too long"),
}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Source("x.npy", labels="none.npy"), "no such file of labels"),
        (Source("x.npy", labels="short.npy"), "expected 90 whole numbers, one a row"),
        (Source("x.npy", labels="x.npy"), "does not fit as labels"),
        (Source("x.npy", labels="float.npy"), "got float64 (90,)"),
        (Source("k.npz", labels="short.npy"), "in parts that have labels of their own"),
        (Source("digits", labels="short.npy"), "has labels of its own"),
        (Source("x.npy", rescale=(0, 100)), "after --rescale 0,100 has pixels from 0 to 2."),
        (Source("fifo"), "is neither a file nor a folder"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Source, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", PIXELS)
    np.save("short.npy", LABELS[:5])
    np.save("float.npy", LABELS / 2)
    np.savez("k.npz", x_train=PIXELS, x_test=PIXELS)
    os.mkfifo("fifo")
    with pytest.raises(InputError) as caught:
        open_dataset(source)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"validation": 0.0}, "--validation must lie between 0 and 1"),
        ({"test": 1.0}, "--test must lie between 0 and 1"),
        ({"validation": 0.5, "test": 0.5}, "leave no images to train on"),
        ({"split_seed": -1}, "--split-seed must lie in"),
        ({"rescale": (1.0, 1.0)}, "expected LOW,HIGH with LOW below HIGH"),
        ({"rescale": (0.0, float("inf"))}, "expected LOW,HIGH"),
    ],
)
def test_bad_shares_and_ranges_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Source("x", **values)


FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(values=arrays(st.sampled_from(["u1", ">u2", "<f4", "?"]), array_shapes(max_dims=4)))
def test_any_array_comes_back_exactly(tmp_path: Path, values: npt.NDArray[Any]) -> None:
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), values)
    np.savez_compressed(tmp_path / "a.npz", values)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["all"][0], values)


@FUZZ
@given(data=st.data())
def test_damage_is_seen_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    write_idx(tmp_path / "idx.gz", PIXELS[:4])
    original = data.draw(st.sampled_from([GOOD, _zip(a=GOOD), (tmp_path / "idx.gz").read_bytes()]))
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, min(len(damaged), 200) - 1))] = data.draw(
            st.integers(0, 255)
        )
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    path = tmp_path / "data"
    path.write_bytes(damaged)
    for reader in (read_npy, read_npz, lambda path: read_idx(path, ndim=3)):
        # Any other exception fails the test.
        with contextlib.suppress(AecliError):
            reader(path)


@FUZZ
@given(values=arrays("u1", array_shapes(min_dims=3, max_dims=3)))
def test_any_idx_array_comes_back_exactly(tmp_path: Path, values: npt.NDArray[np.uint8]) -> None:
    for name, array, ndim in (("a", values, 3), ("a.gz", values, 3), ("b", values[0, 0], 1)):
        write_idx(tmp_path / name, array)
        np.testing.assert_array_equal(read_idx(tmp_path / name, ndim), array)


def test_the_readers_hold_without_assertions_too() -> None:
    # pytest warns that it checks no assertions either: numpy.testing raises without them.
    chosen = ["-k", "exactly or harmless", "-W", "ignore::pytest.PytestConfigWarning"]
    done = subprocess.run(
        [sys.executable, "-O", "-m", "pytest", __file__, *chosen],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
