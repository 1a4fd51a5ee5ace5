"""Folders of image files: the layouts, what becomes of the pixels, and bad files."""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from PIL import Image

from aecli.cli import main
from aecli.config import Config
from aecli.data import Source, cache, open_dataset, parse_size
from aecli.data.decoding import Batch, EncodedImage, batched, in_parallel
from aecli.errors import AecliError, InputError
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.train.loop import train

GENERATOR = np.random.default_rng(0)
GRAY = GENERATOR.integers(0, 256, (12, 6, 5), np.uint8)
COLOR = GENERATOR.integers(0, 256, (6, 5, 3), np.uint8)


def _save(path: Path, pixels: npt.NDArray[Any], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def _pixels(folder: Path, **settings: Any) -> npt.NDArray[Any]:
    return open_dataset(Source(str(folder), **settings)).split("all").images


def write_folder(folder: Path) -> None:
    """Write a folder of two labels, six images each."""
    for row, pixels in enumerate(GRAY):
        _save(folder / ("cat" if row < 6 else "dog") / f"{row:02}.png", pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Return a list that grows with each decoding into a new cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seen: list[int] = []
    decode_into = cache._decode_into

    def count(*arguments: Any) -> None:
        seen.append(1)
        decode_into(*arguments)

    monkeypatch.setattr(cache, "_decode_into", count)
    return seen


def _age(folder: Path, seconds: float) -> None:
    """Set back the times of all files, as far as their user can."""
    for path in folder.rglob("*.png"):
        os.utime(path, (0, path.stat().st_mtime - seconds))


def test_images_are_decoded_once(folder: Path, decodings: list[int]) -> None:
    first = open_dataset(str(folder)).fingerprint
    assert open_dataset(str(folder)).fingerprint == first
    # The content counts, not where it lies nor when it was written.
    folder.rename(folder.with_name("elsewhere"))
    _age(folder.with_name("elsewhere"), 99)
    assert open_dataset(str(folder.with_name("elsewhere"))).fingerprint == first
    assert len(decodings) == 1


def test_another_treatment_is_another_decoding(folder: Path, decodings: list[int]) -> None:
    assert _pixels(folder).shape == (12, 6, 5, 1)
    assert _pixels(folder, size=(4, 4)).shape == (12, 4, 4, 1)
    _save(folder / "cat" / "00.png", COLOR)
    assert _pixels(folder).shape == (12, 6, 5, 3)
    assert _pixels(folder, grayscale=True).shape == (12, 6, 5, 1)
    assert len(decodings) == 4


def test_a_changed_image_is_seen_though_its_size_and_date_are_kept(
    folder: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # All files count as settled, so that the notes are used.
    monkeypatch.setattr(cache, "_SETTLED_SECONDS", -1)
    path = folder / "cat" / "00.png"
    before, state = path.read_bytes(), path.stat()
    first = open_dataset(str(folder)).fingerprint
    assert list((folder.parent / "cache").rglob("*.note"))
    time.sleep(0.02)
    other = next(
        data
        for change in range(256)
        if len(data := _png(GRAY[0] ^ np.uint8(change))) == len(before) and data != before
    )
    path.write_bytes(other)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size
    assert open_dataset(str(folder)).fingerprint != first
    assert len(decodings) == 2


def test_what_is_known_is_not_read_again(
    folder: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_SETTLED_SECONDS", -1)
    first = open_dataset(str(folder)).fingerprint
    monkeypatch.setattr(cache, "_content", lambda *arguments: pytest.fail("files were read"))
    assert open_dataset(str(folder)).fingerprint == first


def test_a_damaged_cache_is_made_anew(folder: Path, decodings: list[int]) -> None:
    first = open_dataset(str(folder)).fingerprint
    (decoded,) = (folder.parent / "cache").rglob("*.npy")
    decoded.write_bytes(decoded.read_bytes()[:-1])
    assert open_dataset(str(folder)).fingerprint == first
    assert len(decodings) == 2


def test_a_cache_that_cannot_be_written_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(AecliError, match=r"cannot write .*file/aecli/decoded") as caught:
        open_dataset(str(folder))
    assert caught.value.exit_code == 1


def test_many_images_are_decoded_in_processes_and_in_order(tmp_path: Path) -> None:
    pixels = GENERATOR.integers(0, 256, (700, 3, 2), np.uint8)
    for row, image in enumerate(pixels):
        _save(tmp_path / "many" / f"{row:03}.png", image)
    shown: list[tuple[str, int]] = []

    @contextmanager
    def bar(what: str, total: int, *, in_bytes: bool = False) -> Iterator[Callable[[int], None]]:
        yield lambda amount: shown.append((what, amount))

    dataset = open_dataset(str(tmp_path / "many"), bar)
    np.testing.assert_array_equal(dataset.images[:][..., 0], pixels)
    for what in ("looking at images", "decoding images"):
        assert [amount for name, amount in shown if name == what] == [256, 256, 188]
    (tmp_path / "many" / "650.png").write_text("no image")
    with pytest.raises(InputError, match=r"650\.png is no image that can be read"):
        open_dataset(str(tmp_path / "many"))


def test_a_worker_that_is_killed_is_said() -> None:
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
        (tmp_path / "many" / f"{row}.png").write_bytes(PNG)
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
        _, said = process.communicate(timeout=60)
        assert process.returncode == 128 + number, said
    assert "memory short" not in said
    # data show has no other word for Ctrl-C than Python's own.
    assert command == ["data", "show"] or "Traceback" not in said
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    assert not list((tmp_path / "cache").rglob(".*.tmp"))


def test_the_same_images_train_the_same_model_as_an_array(
    tmp_path: Path, small_config: Config
) -> None:
    pixels = GENERATOR.integers(0, 256, (60, 6, 5), np.uint8)
    for row, image in enumerate(pixels):
        _save(tmp_path / "files" / str(row // 20) / f"{row:02}.png", image)
    np.save(tmp_path / "images.npy", pixels)
    np.save(tmp_path / "labels.npy", np.arange(60) // 20)
    models: list[tuple[str, str]] = []
    for source in (
        Source(str(tmp_path / "files")),
        Source(str(tmp_path / "images.npy"), labels=str(tmp_path / "labels.npy")),
    ):
        run = RunFolder(tmp_path / f"run{len(models)}")
        train(open_dataset(source), small_config, run)
        models.append((load(run.last).model_hash, load(run.last).data.fingerprint))
    assert models[0] == models[1]


def test_folders_of_splits(tmp_path: Path) -> None:
    for row, pixels in enumerate(GRAY):
        split = "train" if row < 8 else "val" if row < 10 else "test"
        _save(tmp_path / "set" / split / f"label {row % 2}" / f"{row:02}.png", pixels)
    dataset = open_dataset(str(tmp_path / "set"))
    assert dataset.has_own_splits
    assert dataset.class_names == ("label 0", "label 1")
    assert len(dataset.split("train").images) == 8
    validation = dataset.split("validation")
    assert validation.row_ids == ("val/label 0/08.png", "val/label 1/09.png")
    np.testing.assert_array_equal(validation.images[..., 0], GRAY[8:10])
    test = dataset.split("test")
    assert test.labels is not None
    assert test.labels.tolist() == [0, 1]


def test_images_alone_have_no_labels(tmp_path: Path) -> None:
    for row, pixels in enumerate(GRAY):
        _save(tmp_path / "flat" / f"{row:02}.png", pixels)
    (tmp_path / "flat" / "README.txt").write_text("not an image")
    (tmp_path / "flat" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "flat" / ".hidden.png").write_bytes(b"\0")
    dataset = open_dataset(str(tmp_path / "flat"))
    assert dataset.labels is None
    np.testing.assert_array_equal(dataset.images[:][..., 0], GRAY)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "gif", "webp", "PNG", "Tif"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    _save(tmp_path / "x" / f"a.{suffix}", GRAY[0], **options)
    images = _pixels(tmp_path / "x", grayscale=True)
    np.testing.assert_array_equal(images[0, ..., 0], GRAY[0])


def test_jpeg_is_read(tmp_path: Path) -> None:
    _save(tmp_path / "x" / "a.jpg", np.full((16, 16, 3), 90, np.uint8), quality=95)
    images = _pixels(tmp_path / "x")
    assert images.shape == (1, 16, 16, 3)
    np.testing.assert_allclose(images, 90, atol=3)


def test_colour_anywhere_makes_all_images_rgb_and_grayscale_takes_it(tmp_path: Path) -> None:
    _save(tmp_path / "x" / "a.png", GRAY[0])
    _save(tmp_path / "x" / "b.png", COLOR)
    images = _pixels(tmp_path / "x")
    np.testing.assert_array_equal(images[0], np.repeat(GRAY[0][..., np.newaxis], 3, axis=2))
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
    frames = [Image.fromarray(pixels) for pixels in GRAY[:3]]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    images = _pixels(tmp_path, grayscale=True)
    np.testing.assert_array_equal(images[..., 0], GRAY[:1])


def test_exif_turns_images(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GRAY[0]).save(tmp_path / "a.png", exif=exif)
    images = _pixels(tmp_path)
    np.testing.assert_array_equal(images[0, ..., 0], np.rot90(GRAY[0], -1))


def test_sizes_are_stretched_on_demand(tmp_path: Path) -> None:
    _save(tmp_path / "x" / "a.png", np.full((10, 20), 70, np.uint8))
    _save(tmp_path / "x" / "b.png", np.full((30, 5), 70, np.uint8))
    with pytest.raises(InputError, match=r"b\.png has 30x5 pixels, .*a\.png has 10x20.*--size"):
        open_dataset(str(tmp_path / "x"))
    images = _pixels(tmp_path / "x", size=(4, 6))
    assert images.shape == (2, 4, 6, 1)
    assert (images == 70).all()


@pytest.mark.parametrize(("text", "size"), [("28", (28, 28)), ("32x48", (32, 48))])
def test_sizes_are_read(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "28x", "-3", "1x2x3", "2.5", "²"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected pixels, as 28"):
        parse_size(text)


@pytest.mark.parametrize("size", [(0, 4), (4, 100_000)])
def test_absurd_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"expected lengths in 1\.\.4096"):
        Source("x", size=size)


@pytest.mark.parametrize(
    "name", ["ü ñ.png", "line\nbreak.png", "-dash.png", "a'b\"c.png", b"not utf-8 \xff.png"]
)
def test_odd_names_are_read(tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    _save(path, GRAY[0])
    dataset = open_dataset(str(tmp_path))
    assert len(dataset.images) == 1
    json.dumps(dataset.row_ids).encode()


def _png(pixels: npt.NDArray[Any] = GRAY[0]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = _png()
BOMB = (
    PNG[:8]
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(bytes(1000)))
    + _chunk(b"IEND", b"")
)


def _write(name: str, data: bytes) -> Callable[[Path], object]:
    def act(folder: Path) -> None:
        (folder / "cat" / name).write_bytes(data)

    return act


BAD_FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a text named .png": (_write("x.png", b"hello"), "x.png is no image that can be read"),
    "an empty file": (_write("x.png", b""), "x.png is no image"),
    "PNG, only its signature": (_write("x.png", PNG[:8]), "x.png is"),
    "PNG, cut in the header": (_write("x.png", PNG[:20]), "x.png is"),
    "PNG, cut in the pixels": (_write("x.png", PNG[:45]), "x.png is a damaged image"),
    "PNG, a wrong checksum": (
        _write("x.png", PNG[:30] + b"\xff" + PNG[31:]),
        "x.png is",
    ),
    "PNG, a decompression bomb": (_write("x.png", BOMB), "x.png is refused"),
    "JPEG, cut": (_write("x.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"), "x.jpg is"),
    "two sizes": (_write("x.png", _png(GRAY[0][:5])), "expected one size; --size 6x5"),
    "images beside the labels": (
        lambda folder: (folder / "x.png").write_bytes(PNG),
        "both in folders of labels and beside them, such as x.png",
    ),
    "a loop of links": (
        lambda folder: (folder / "cat" / "x.png").symlink_to("x.png"),
        "cannot look at",
    ),
    "a floating-point TIFF": (
        lambda folder: Image.fromarray(np.zeros((6, 5), np.float32)).save(folder / "cat/x.tiff"),
        "x.tiff has 32 bits a pixel",
    ),
    "no images": (
        lambda folder: [path.rename(path.with_suffix(".txt")) for path in folder.rglob("*.png")],
        "has no images: expected files that end in .png",
    ),
}


def test_a_folder_goes_through(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    assert main(["train", "photos", "--size", "4x4", "--epochs", "2", "--hidden", "8"]) == 0
    assert main(["encode", "runs/photos", "--split", "all"]) == 0
    codes = json.loads(Path("runs/photos/codes-all.json").read_text())
    assert codes["row_ids"][:2] == ["cat/00.png", "cat/01.png"]
    assert codes["class_names"] == ["cat", "dog"]
    assert main(["plot", "runs/photos/codes-all.npy"]) == 0
    # New images are stretched as those of the training were.
    _save(Path("new/a.png"), GRAY[0])
    assert main(["encode", "runs/photos", "new", "-o", "new.npy"]) == 0
    assert np.load("new.npy").shape == (1, 2)
    _save(Path("new/b.png"), COLOR)
    assert main(["encode", "runs/photos", "new", "-o", "color.npy"]) == 2
    assert "has images of 4x4x3, the run was trained on 4x4x1" in capsys.readouterr().err
    assert main(["data", "show", "photos", "--grayscale", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == {"cat": 6, "dog": 6}
