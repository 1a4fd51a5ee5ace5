"""What becomes of the pixels of image files, and of the processes that decode them."""

import os
import signal
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
import pytest
from PIL import Image

from aecli.data import Source, open_dataset
from aecli.data.decoding import Batch, EncodedImage, batched, in_parallel
from aecli.errors import AecliError, InputError
from tests.data.examples import COLOR, PIXELS, png, save_image

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


def test_a_worker_that_is_killed() -> None:
    images = [EncodedImage(str(row), b"") for row in range(600)]
    with pytest.raises(AecliError, match="was killed: is memory short"):
        list(in_parallel(_kill_worker, batched(images), lambda images: None))


def _kill_worker(batch: Batch) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


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


MODES: dict[str, tuple[Image.Image, str, int, list[int]]] = {
    "one bit": (_mode("1"), "png", 1, [255]),
    "palette, grey": (_mode("P"), "png", 1, [200]),
    "CMYK": (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "tiff", 3, [255, 0, 0]),
    "half transparent": (Image.new("RGBA", (4, 4), (200, 100, 50, 128)), "png", 3, [100, 50, 25]),
    "grey with alpha": (Image.new("LA", (4, 4), (200, 0)), "png", 1, [0]),
    "16 bits": (Image.fromarray(np.full((4, 4), 65535, np.uint16)), "png", 1, [255]),
    "16 bits, TIFF": (Image.fromarray(np.full((4, 4), 257 * 40, np.uint16)), "tiff", 1, [40]),
}


@pytest.mark.parametrize("name", MODES)
def test_every_kind_of_pixel_has_one_meaning(tmp_path: Path, name: str) -> None:
    image, suffix, channels, expected = MODES[name]
    image.save(tmp_path / f"a.{suffix}")
    images = _pixels(tmp_path)
    assert images.shape == (1, 4, 4, channels)
    np.testing.assert_allclose(images[0, 0, 0], expected, atol=1)


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels) for pixels in PIXELS[:3]]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    images = _pixels(tmp_path, grayscale=True)
    np.testing.assert_array_equal(images[..., 0], PIXELS[:1])


def test_exif_turns_images(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.png", exif=exif)
    images = _pixels(tmp_path)
    np.testing.assert_array_equal(images[0, ..., 0], np.rot90(PIXELS[0], -1))


def test_sizes_are_stretched_on_demand(tmp_path: Path) -> None:
    save_image(tmp_path / "x" / "a.png", np.full((10, 20), 70, np.uint8))
    save_image(tmp_path / "x" / "b.png", np.full((30, 5), 70, np.uint8))
    with pytest.raises(InputError, match=r"b\.png has 30x5 pixels, .*a\.png has 10x20.*--size"):
        open_dataset(str(tmp_path / "x"))
    images = _pixels(tmp_path / "x", size=(4, 6))
    assert images.shape == (2, 4, 6, 1)
    assert (images == 70).all()
