"""What becomes of the pixels of image files, and of the processes that decode them."""

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, TiffImagePlugin

from aecli.data import Source, choose_source, encoded, image_file, open_dataset, workers
from aecli.data.describe import first_facts
from aecli.errors import InputError
from tests.data.examples import (
    COLOR,
    PIXELS,
    eps,
    png,
    save_image,
    wide_png,
    wide_tiff,
    write_stack,
)

GENERATOR = np.random.default_rng(0)


def _pixels(folder: Path, **settings: Any) -> npt.NDArray[Any]:
    return open_dataset(Source(str(folder), **settings)).split("all").images


def test_many_images_are_decoded_in_processes_and_in_order(tmp_path: Path) -> None:
    pixels = GENERATOR.integers(0, 256, (700, 3, 2), np.uint8)
    for row, image in enumerate(pixels):
        save_image(tmp_path / "many" / f"{row:03}.png", image)
    shown: list[tuple[str, int]] = []

    @contextmanager
    def bar(what: str, total: int, *, in_bytes: bool = False) -> Iterator[Callable[[int], None]]:
        yield lambda amount: shown.append((what, amount))

    dataset = open_dataset(str(tmp_path / "many"), bar)
    np.testing.assert_array_equal(dataset.images[:][..., 0], pixels)
    for what in ("reading image sizes", "decoding images"):
        assert [amount for name, amount in shown if name == what and amount] == [256, 256, 188]
    (tmp_path / "many" / "650.png").write_text("no image")
    with pytest.raises(InputError, match=r"650\.png is not an image that can be read"):
        open_dataset(str(tmp_path / "many"))


def test_what_takes_more_memory_than_there_is_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_image(tmp_path / "x" / "a.png", np.zeros((1000, 1000), np.uint8))
    monkeypatch.setattr(workers, "default_memory", lambda: 19_999_999)
    words = r"a\.png has 1000x1000 pixels and takes 20,000,000 bytes to decode, but there are 19,9"
    with pytest.raises(InputError, match=words):
        open_dataset(str(tmp_path / "x"))
    monkeypatch.setattr(encoded, "_MOST_ENCODED_BYTES", 100)
    with pytest.raises(InputError, match=r"a\.png has .* bytes: expected an image, of at most 100"):
        open_dataset(str(tmp_path / "x"))


def test_no_format_that_starts_a_program_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*arguments: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", "gs")
    assert set(image_file._formats()) <= {
        *("PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000", "AVIF", "HEIF"),
    }
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(eps())
    pq.write_table(pa.table({"image": [eps()]}), tmp_path / "x.parquet")
    for name in ("folder", "x.parquet"):
        with pytest.raises(InputError, match=r"(a\.png|row 0) is not an image that can be read"):
            open_dataset(str(tmp_path / name))


def test_a_killed_command_leaves_no_workers(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for row in range(1500):
        (tmp_path / "many" / f"{row}.png").write_bytes(png())
    with subprocess.Popen(
        [sys.executable, "-m", "aecli", "data", "show", "many"],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        parent = psutil.Process(process.pid)
        deadline = time.monotonic() + 60
        # Python's tracker of resources, and a worker that has hardly begun.
        while len(workers := parent.children()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", [["train"], ["data", "show"]])
def test_a_signal_to_all_processes_ends_them_in_good_order(
    tmp_path: Path, number: signal.Signals, command: list[str]
) -> None:
    (tmp_path / "many").mkdir()
    for row in range(2500):
        (tmp_path / "many" / f"{row}.png").write_bytes(png())
    with subprocess.Popen(
        [sys.executable, "-m", "aecli", *command, "many"],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        parent = psutil.Process(process.pid)
        deadline = time.monotonic() + 60
        while len(workers := parent.children()) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        os.killpg(process.pid, number)
        _, printed = process.communicate(timeout=60)
        assert process.returncode == 128 + number, printed
    assert "memory short" not in printed
    assert "Traceback" not in printed
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    assert not list((tmp_path / "cache").rglob(".*.tmp"))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "gif", "webp", "PNG", "Tif"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    save_image(tmp_path / "x" / f"a.{suffix}", PIXELS[0], **options)
    images = _pixels(tmp_path / "x", grayscale=True)
    np.testing.assert_array_equal(images[0, ..., 0], PIXELS[0])


def test_jpeg_is_read(tmp_path: Path) -> None:
    save_image(tmp_path / "x" / "a.jpg", np.full((16, 16, 3), 90, np.uint8), quality=95)
    images = _pixels(tmp_path / "x")
    assert images.shape == (1, 16, 16, 3)
    np.testing.assert_allclose(images, 90, atol=3)


def test_colour_anywhere_makes_all_images_rgb_and_grayscale_takes_it(tmp_path: Path) -> None:
    save_image(tmp_path / "x" / "a.png", PIXELS[0])
    save_image(tmp_path / "x" / "b.png", COLOR)
    images = _pixels(tmp_path / "x")
    np.testing.assert_array_equal(images[0], np.repeat(PIXELS[0][..., np.newaxis], 3, axis=2))
    np.testing.assert_array_equal(images[1], COLOR)
    gray = _pixels(tmp_path / "x", grayscale=True)
    assert gray.shape == (2, 6, 5, 1)
    luma = COLOR @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(gray[1, ..., 0], luma, atol=1)


def _mode(mode: str) -> Image.Image:
    return Image.fromarray(np.full((4, 4), 200, np.uint8)).convert(mode)


_BMP = Image.fromarray(np.full((4, 4), 1, np.uint8), "P")
_BMP.putpalette([0, 0, 0, 200, 100, 50])

MODES: dict[str, tuple[Image.Image, str, int, list[int]]] = {
    "one bit": (_mode("1"), "png", 1, [255]),
    "palette, grey": (_mode("P"), "png", 1, [200]),
    "palette, grey, TIFF": (_mode("P"), "tiff", 1, [200]),
    "palette, TIFF": (_BMP, "tiff", 3, [200, 100, 50]),
    "palette, BMP": (_BMP, "bmp", 3, [200, 100, 50]),
    "CMYK": (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "tiff", 3, [255, 0, 0]),
    "half transparent": (Image.new("RGBA", (4, 4), (200, 100, 50, 128)), "png", 3, [227, 177, 152]),
    "grey with alpha": (Image.new("LA", (4, 4), (200, 0)), "png", 1, [0]),
    "16 bits": (Image.fromarray(np.full((4, 4), 65535, np.uint16)), "png", 1, [65535]),
    "16 bits, TIFF": (Image.fromarray(np.full((4, 4), 257 * 40, np.uint16)), "tiff", 1, [10280]),
}


@pytest.mark.parametrize("name", MODES)
def test_every_kind_of_pixel_has_one_meaning(tmp_path: Path, name: str) -> None:
    image, suffix, channels, expected = MODES[name]
    image.save(tmp_path / f"a.{suffix}")
    images = _pixels(tmp_path)
    assert images.shape == (1, 4, 4, channels)
    np.testing.assert_allclose(images[0, 0, 0], expected, atol=1)


# All levels of grey from black to white, in 16 bits.
DEEP = np.linspace(0, 65535, 30).astype(np.uint16).reshape(6, 5)


def test_all_bits_of_a_file_are_kept(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", DEEP)
    save_image(tmp_path / "b.tif", DEEP[::-1])
    images = _pixels(tmp_path)
    assert images.dtype == np.uint16
    np.testing.assert_array_equal(images[..., 0], [DEEP, DEEP[::-1]])
    # As if 8 bits had been written with 16.
    save_image(tmp_path / "c.png", PIXELS[0])
    dataset = open_dataset(str(tmp_path))
    np.testing.assert_array_equal(dataset.images[:][2, ..., 0], PIXELS[0].astype(np.uint16) * 257)
    assert dict(first_facts(dataset))["files"] == "1 of 8 bits brought to 16"
    assert open_dataset(str(tmp_path)).converted == {"of 8 bits brought to 16": 1}
    # Beside colour, grey has three channels.
    save_image(tmp_path / "d.png", COLOR)
    images = _pixels(tmp_path)
    np.testing.assert_array_equal(images[0], np.repeat(DEEP[..., np.newaxis], 3, axis=2))
    np.testing.assert_array_equal(images[3], COLOR.astype(np.uint16) * 257)


WIDE = GENERATOR.integers(0, 65536, (6, 5, 4)).astype(np.uint16)


def test_colours_of_sixteen_bits_are_kept(tmp_path: Path) -> None:
    colour = WIDE[..., :3]
    (tmp_path / "a.png").write_bytes(wide_png(colour))
    for name, order, packed in (("b", "<", False), ("c", "<", True), ("d", ">", True)):
        (tmp_path / f"{name}.tif").write_bytes(wide_tiff(colour, order, packed=packed))
    images = _pixels(tmp_path)
    assert images.dtype == np.uint16
    np.testing.assert_array_equal(images, [colour] * 4)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(_pixels(tmp_path, grayscale=True)[0, ..., 0], luma, atol=1)
    # Each channel by itself, and among grey of 8 bits.
    assert _pixels(tmp_path, size=(3, 2)).shape == (4, 3, 2, 3)
    save_image(tmp_path / "e.png", PIXELS[0])
    np.testing.assert_array_equal(_pixels(tmp_path)[:4], [colour] * 4)


def test_colours_of_sixteen_bits_on_a_ground(tmp_path: Path) -> None:
    alpha = WIDE[..., 3:] / 65535
    # Bright drawings lie on black.
    bright = np.maximum(WIDE, [60_000, 60_000, 60_000, 0]).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(wide_png(bright))
    dataset = open_dataset(str(tmp_path))
    assert dataset.source.ground == "black"
    np.testing.assert_allclose(dataset.images[:][0], bright[..., :3] * alpha, atol=1)
    # Grey with alpha stays grey, here on white.
    dark = (bright[..., [0, 3]] - [60_000, 0]).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(wide_png(dark))
    images = _pixels(tmp_path)
    expected = 65535 + (dark[..., :1] - 65535.0) * alpha
    np.testing.assert_allclose(images[0], expected, atol=1)
    # One colour that is transparent.
    bright[0, 0] = (60_001, 60_002, 60_003, 0)
    chunk = b"tRNS" + struct.pack(">HHH", 60_001, 60_002, 60_003)
    (tmp_path / "a.png").write_bytes(wide_png(bright[..., :3], chunk))
    images = _pixels(tmp_path)
    assert images[0, 0, 0].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(images[0, 1:], bright[1:, :, :3])


def test_bits_that_are_lost_are_said(tmp_path: Path) -> None:
    data = b"P6 5 6 65535\n" + WIDE[..., :3].astype(">u2").tobytes()
    (tmp_path / "a.ppm").write_bytes(data)
    save_image(tmp_path / "b.png", COLOR)
    dataset = open_dataset(str(tmp_path))
    assert dataset.images.dtype == np.uint8
    words = "1 of more than 8 bits per channel are read as 8"
    assert dict(first_facts(dataset))["files"] == words


def test_twelve_bits_in_sixteen_are_spread(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", DEEP // 16)
    dataset = open_dataset(str(tmp_path))
    assert dataset.source.rescale == (0, 4095)
    np.testing.assert_allclose(dataset.images[:][0, ..., 0], (DEEP // 16) / 4095, atol=1e-6)


def test_floats_of_files_are_kept_and_stretched(tmp_path: Path) -> None:
    values = (DEEP / 65535).astype(np.float32)
    save_image(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(_pixels(tmp_path)[0, ..., 0], values)
    save_image(tmp_path / "a.tif", values * 700 - 200)
    assert open_dataset(str(tmp_path)).source.rescale == (-200, 500)
    save_image(tmp_path / "b.tif", np.full((6, 5), np.nan, np.float32))
    with pytest.raises(InputError, match="holds NaN"):
        open_dataset(str(tmp_path))


def test_sixteen_bits_are_stretched_without_overflow(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", np.where(np.arange(8) < 4, 0, 65535).astype(np.uint16)[None])
    images = _pixels(tmp_path, size=(1, 31))
    assert images.dtype == np.uint16
    row = images[0, 0, :, 0]
    assert row[:10].max() < 3000
    assert row[-10:].min() > 62_000


def _icon(level: int) -> npt.NDArray[np.uint8]:
    """Return a square of a grey level on a transparent ground."""
    icon = np.zeros((6, 5, 4), np.uint8)
    icon[2:4, 2:4] = (level, level, level, 255)
    return icon


@pytest.mark.parametrize(("level", "ground", "shade"), [(0, "white", 255), (250, "black", 0)])
def test_transparent_images_lie_on_a_ground_that_shows_them(
    tmp_path: Path, level: int, ground: str, shade: int
) -> None:
    save_image(tmp_path / "data/a.png", _icon(level))
    save_image(tmp_path / "data/b.png", COLOR)
    dataset = open_dataset(str(tmp_path / "data"))
    assert dataset.source.ground == ground
    assert dict(first_facts(dataset))["files"] == f"transparent images lie on {ground}"
    image = dataset.images[:][0]
    assert (image[0, 0, 0], image[2, 2, 0]) == (shade, level)
    # Not decoded again, and later images lie on the same ground, whatever they show.
    assert open_dataset(dataset.source).fingerprint == dataset.fingerprint
    save_image(tmp_path / "later/a.png", _icon(250 - level))
    source = choose_source(str(tmp_path / "later"), {}, like=dataset.source)
    assert source is not None
    assert open_dataset(source).images[:][0, 0, 0, 0] == shade


def test_runs_from_before_have_a_black_ground(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", _icon(0))
    old = Source(str(tmp_path)).to_json()
    del old["ground"]
    dataset = open_dataset(Source.from_json(old))
    assert dataset.source.ground is None
    assert not dataset.images[:].any()
    save_image(tmp_path / "a.png", COLOR)
    assert open_dataset(str(tmp_path)).source.ground is None


@pytest.mark.parametrize("name", ["a.gif", "a.tif"])
def test_pages_are_images(tmp_path: Path, name: str) -> None:
    write_stack(tmp_path / name, PIXELS[:20])
    save_image(tmp_path / "b.png", PIXELS[20])
    dataset = open_dataset(str(tmp_path))
    np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS[:21])
    assert dataset.row_ids == (*(f"{name}#{page}" for page in range(1, 21)), "b.png")
    assert dataset.left_out == {}


def test_further_frames_of_other_formats_are_counted(tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels) for pixels in PIXELS[:3]]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "lossless": True}
    for name in ("a.png", "b.webp"):
        frames[0].save(tmp_path / name, **options)
    dataset = open_dataset(str(tmp_path))
    np.testing.assert_array_equal(dataset.images[:][:, ..., 0], PIXELS[[0, 0]])
    assert dataset.left_out == {"further frames": 4}


def test_frames_of_colours_and_transparency(tmp_path: Path) -> None:
    frames = [_icon(250)[..., :3], _icon(120)[..., :3], np.full((6, 5, 3), (9, 80, 200), np.uint8)]
    write_stack(tmp_path / "a.gif", np.array(frames), disposal=2)
    dataset = open_dataset(str(tmp_path))
    assert dataset.image_shape == (6, 5, 3)
    np.testing.assert_allclose(dataset.images[:], frames, atol=1)


def _tiff_page(pixels: npt.NDArray[Any], tags: dict[int, int]) -> Image.Image:
    """Return an image with tags, as a page for TIFF."""
    image = Image.fromarray(pixels)
    found = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        found[tag] = value
    image.encoderinfo = {"tiffinfo": found}
    return image


@pytest.mark.parametrize("tags", [{254: 1}, {254: 4}, {255: 2}])
def test_smaller_versions_of_pages_are_no_images(tmp_path: Path, tags: dict[int, int]) -> None:
    path = tmp_path / "x/a.tif"
    path.parent.mkdir()
    small = _tiff_page(PIXELS[0][:3, :2], tags)
    pages = [Image.fromarray(PIXELS[0]), small, Image.fromarray(PIXELS[1]), small]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    dataset = open_dataset(str(path.parent))
    np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS[:2])
    assert dataset.row_ids == ("a.tif#1", "a.tif#3")
    assert dataset.left_out == {"pages of reduced resolution or masks": 2}
    # One image is called like its file, and a file has one at least.
    pages[0].save(path, save_all=True, append_images=[small])
    assert open_dataset(str(path.parent)).row_ids == ("a.tif",)
    Image.fromarray(PIXELS[0][:3, :2]).save(path, tiffinfo=tags)
    assert open_dataset(str(path.parent)).image_shape == (3, 2, 1)


def test_a_long_stack_is_decoded_in_parts(tmp_path: Path) -> None:
    pages = GENERATOR.integers(0, 65536, (600, 3, 2), np.uint16)
    write_stack(tmp_path / "a.tif", pages)
    np.testing.assert_array_equal(_pixels(tmp_path)[..., 0], pages)


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda pixels: pixels),
        (2, np.fliplr),
        (3, lambda pixels: np.rot90(pixels, 2)),
        (4, np.flipud),
        (5, np.transpose),
        (6, lambda pixels: np.rot90(pixels, -1)),
        (7, lambda pixels: np.rot90(pixels, 2).T),
        (8, np.rot90),
    ],
)
def test_exif_turns_images(
    tmp_path: Path,
    suffix: str,
    orientation: int,
    turn: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    save_image(tmp_path / "x" / f"a.{suffix}", PIXELS[0], exif=exif, **options)
    images = _pixels(tmp_path / "x", grayscale=True)
    np.testing.assert_array_equal(images[0, ..., 0], turn(PIXELS[0]))


# The type of the value, how many there are, and the value or where it is.
_SHORT, _LONG, _TEXT, _RATIONAL, _FLOAT = 3, 4, 2, 5, 11


@pytest.mark.parametrize(
    ("kind", "count", "value"),
    [
        (_SHORT, 1, b"\0\0\0\0"),
        (_SHORT, 1, b"\x09\0\0\0"),
        (_LONG, 1, b"\xff\xff\xff\xff"),
        (_TEXT, 2, b"6\0\0\0"),
        (_RATIONAL, 1, b"\x1a\0\0\0"),
        (_FLOAT, 1, struct.pack("<f", 6.5)),
        (99, 1, b"\x06\0\0\0"),
    ],
)
def test_an_orientation_that_is_none_turns_nothing(
    tmp_path: Path, kind: int, count: int, value: bytes
) -> None:
    entry = struct.pack("<HHI4s", 0x0112, kind, count, value)
    # The list of entries begins at 8, after it comes itself once more, and 6/0 at its end.
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\x08\0\0\0" + struct.pack("<II", 6, 0)
    save_image(tmp_path / "x" / "a.png", PIXELS[0], exif=exif)
    images = _pixels(tmp_path / "x")
    np.testing.assert_array_equal(images[0, ..., 0], PIXELS[0])


def test_libtiff_and_pillow_print_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save_image(tmp_path / "x" / "a.tiff", PIXELS[0], compression="tiff_lzw")
    data = bytearray((tmp_path / "x" / "a.tiff").read_bytes())
    data[8:20] = b"\xff" * 12
    (tmp_path / "x" / "a.tiff").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.tiff is a damaged image"):
        open_dataset(str(tmp_path / "x"))
    assert capfd.readouterr().err == ""


def test_sizes_are_stretched_on_demand(tmp_path: Path) -> None:
    save_image(tmp_path / "x" / "a.png", np.full((10, 20), 70, np.uint8))
    save_image(tmp_path / "x" / "b.png", np.full((30, 5), 70, np.uint8))
    with pytest.raises(InputError, match=r"b\.png has 30x5 pixels, .*a\.png has 10x20.*--size"):
        open_dataset(str(tmp_path / "x"))
    images = _pixels(tmp_path / "x", size=(4, 6))
    assert images.shape == (2, 4, 6, 1)
    assert (images == 70).all()
