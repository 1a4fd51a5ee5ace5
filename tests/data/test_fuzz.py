"""Any array comes back, and any damage is seen; also where Python checks no assertions."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from aecli.data.decoding import FileInfo, Target, decode_into, read_info
from aecli.data.encoded import Batch, EncodedImage
from aecli.data.formats import parquet
from aecli.data.formats.npz import read_npz
from aecli.data.idx import read_idx
from aecli.data.image_file import _formats
from aecli.errors import AecliError
from aecli.npy import read_npy
from tests.data.examples import COLOR, PIXELS, npy, npz, write_parquet
from tests.helpers import write_idx

FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MORE_FUZZ = settings(FUZZ, max_examples=200)


@FUZZ
@given(values=arrays(st.sampled_from(["u1", ">u2", "<f4", "?"]), array_shapes(max_dims=4)))
def test_any_array_comes_back_exactly(tmp_path: Path, values: npt.NDArray[Any]) -> None:
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), values)
    np.savez_compressed(tmp_path / "a.npz", values)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")[0]["all"][0], values)


@FUZZ
@given(data=st.data())
def test_damage_is_seen_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    write_idx(tmp_path / "idx.gz", PIXELS[:4])
    original = data.draw(
        st.sampled_from([npy(PIXELS), npz(a=npy(PIXELS)), (tmp_path / "idx.gz").read_bytes()])
    )
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


def _images() -> list[bytes]:
    """Return an image in every format that is decoded, with all that surrounds its pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    color, grey = Image.fromarray(COLOR), Image.fromarray(PIXELS[0])
    paletted = color.convert("P")
    saved: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (color, "PNG", {"exif": exif, "icc_profile": bytes(99)}),
        (paletted, "PNG", {"transparency": 3}),
        (color, "PNG", {"save_all": True, "append_images": [color]}),
        (color, "JPEG", {"exif": exif}),
        (color, "MPO", {"save_all": True, "append_images": [color]}),
        (paletted, "GIF", {"save_all": True, "append_images": [grey.convert("P")]}),
        (paletted, "BMP", {}),
        (color, "PPM", {}),
        (Image.fromarray(PIXELS[0].astype(np.uint16) * 257), "PNG", {}),
        (Image.fromarray(PIXELS[0].astype(np.float32)), "TIFF", {}),
        (color, "WEBP", {"exif": exif}),
        (color, "JPEG2000", {}),
        *((color, "TIFF", {"compression": name, "exif": exif}) for name in ("raw", "tiff_lzw")),
        (paletted, "TIFF", {"compression": "tiff_adobe_deflate"}),
        (color, "TIFF", {"save_all": True, "append_images": [color, color]}),
    ]
    if "AVIF" in _formats():
        saved.append((color, "AVIF", {"exif": exif}))
    encoded = []
    for image, form, options in saved:
        file = io.BytesIO()
        image.save(file, form, **options)
        encoded.append(file.getvalue())
    return encoded


IMAGES = _images()


def _damaged(data: st.DataObject, original: bytes) -> bytes:
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(-len(damaged), len(damaged) - 1))
        damaged[place] = data.draw(st.sampled_from([0, 1, 6, 127, 128, 255]) | st.integers(0, 255))
    return bytes(damaged[: data.draw(st.just(len(damaged)) | st.integers(0, len(damaged)))])


@MORE_FUZZ
@given(data=st.data())
def test_damage_of_an_image_is_seen_or_harmless(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    image = EncodedImage("x", _damaged(data, data.draw(st.sampled_from(IMAGES))))
    batch = Batch(0, [image], 0)
    (tmp_path / "rows").touch()
    with contextlib.suppress(AecliError):
        (info,) = read_info(batch)
        if isinstance(info, FileInfo):
            (kind,) = {one.kind for one in info.images}
            gray = all(one.gray for one in info.images)
            pages = Batch(0, [image._replace(pages=info.pages)], 0)
            decode_into(pages, Target(str(tmp_path / "rows"), 0, (7, 3), gray, kind))
    assert capfd.readouterr().err == ""


@MORE_FUZZ
@given(data=st.data())
def test_damage_of_parquet_is_seen_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.parquet"
    compression = data.draw(st.sampled_from(["NONE", "SNAPPY", "ZSTD"]))
    write_parquet(path, slice(0, 9), compression=compression, row_group_size=5)
    path.write_bytes(_damaged(data, path.read_bytes()))
    with contextlib.suppress(AecliError):
        part = parquet._look(path)
        parquet._labels([part], part.columns, part.rows, "x")
        parquet._row_ids([part], part.columns, part.rows, "x")
        for _ in parquet._images(part):
            pass


@FUZZ
@given(values=arrays("u1", array_shapes(min_dims=3, max_dims=3)))
def test_any_idx_array_comes_back_exactly(tmp_path: Path, values: npt.NDArray[np.uint8]) -> None:
    for name, array, ndim in (("a", values, 3), ("a.gz", values, 3), ("b", values[0, 0], 1)):
        write_idx(tmp_path / name, array)
        np.testing.assert_array_equal(read_idx(tmp_path / name, ndim), array)


def test_the_readers_hold_without_assertions_too() -> None:
    # pytest warns that it checks no assertions either: numpy.testing raises without them.
    chosen = ["-k", "exactly or damage_is_seen", "-W", "ignore::pytest.PytestConfigWarning"]
    # What the tests share imports all of aecli; these need none of it.
    chosen += ["--noconftest", "-p", "no:xdist"]
    done = subprocess.run(
        [sys.executable, "-O", "-m", "pytest", __file__, *chosen],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
