"""Which files are images, their pages, and HEIF, which is an extra."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.data import Source, image_file, open_dataset
from aecli.data.image_file import is_image
from aecli.errors import InputError
from tests.data.examples import COLOR, PIXELS, png, save_image, write_stack

HEIF = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(99)


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    image_file._formats.cache_clear()
    monkeypatch.setattr(
        image_file, "find_spec", lambda name: None if name == "pillow_heif" else name
    )
    yield
    image_file._formats.cache_clear()


@pytest.mark.usefixtures("without_heif")
def test_heif_without_its_extra_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(HEIF)
    (tmp_path / "b.jpg").write_bytes(HEIF)
    words = r"a\.heic is HEIF, which needs pip install 'aecli\[heic\]'"
    for location in (tmp_path, tmp_path / "a.heic"):
        with pytest.raises(InputError, match=words):
            open_dataset(str(location))
    save_image(tmp_path / "c.png", PIXELS[0])
    with pytest.raises(InputError, match=r"a\.heic, b\.jpg; HEIF needs pip install"):
        open_dataset(str(tmp_path))
    assert len(open_dataset(Source(str(tmp_path), skip_broken=True)).images) == 1


def test_heif_is_read_with_its_extra(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    pixels = np.full((64, 64, 3), (200, 90, 30), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.heic", quality=95)
    images = open_dataset(str(tmp_path)).images[:]
    np.testing.assert_allclose(images, pixels[np.newaxis], atol=6)


def test_what_begins_like_an_image_is_one_only_if_it_opens(tmp_path: Path) -> None:
    for name, data, expected in (
        ("a", png(), True),
        ("b", png()[:20], False),
        ("c", b"BM is how bitmaps begin", False),
        ("d", b"P5 is a model of synthesizers", False),
        ("e", b"", False),
    ):
        (tmp_path / name).write_bytes(data)
        assert is_image(tmp_path / name) is expected


def _image_j(path: Path, images: int) -> None:
    Image.fromarray(PIXELS[0]).save(path, description=f"ImageJ=1.54f\nimages={images}\nslices=3\n")


def test_stacks_of_image_j_whose_pages_have_no_place_are_no_single_image(tmp_path: Path) -> None:
    _image_j(tmp_path / "a.tif", 1)
    assert len(open_dataset(str(tmp_path)).images) == 1
    _image_j(tmp_path / "a.tif", 5_000)
    with pytest.raises(InputError, match="ImageJ's stack of 5,000 images, only the first of which"):
        open_dataset(str(tmp_path))


def test_big_tiff_is_read(tmp_path: Path) -> None:
    write_stack(tmp_path / "a.tif", PIXELS[:3], big_tiff=True)
    (tmp_path / "a.tif").rename(tmp_path / "by_content")
    assert (tmp_path / "by_content").read_bytes()[:4] == b"II+\0"
    np.testing.assert_array_equal(open_dataset(str(tmp_path)).images[:][..., 0], PIXELS[:3])


def test_a_list_of_pages_in_a_circle_ends(tmp_path: Path) -> None:
    write_stack(tmp_path / "a.tif", PIXELS[:2])
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with Image.open(tmp_path / "a.tif") as image:
        first = image.tag_v2._offset  # type: ignore[attr-defined]
        image.seek(1)
        second = image.tag_v2._offset  # type: ignore[attr-defined]
    (count,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * count, first)
    (tmp_path / "a.tif").write_bytes(data)
    np.testing.assert_array_equal(open_dataset(str(tmp_path)).images[:][..., 0], PIXELS[:2])


def test_too_many_pages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stack(tmp_path / "a.tif", PIXELS[:5])
    monkeypatch.setattr(image_file, "_MOST_PAGES", 4)
    with pytest.raises(InputError, match=r"a\.tif has more than 4 pages: split it"):
        open_dataset(str(tmp_path))


def test_pages_of_two_sizes_are_named(tmp_path: Path) -> None:
    pages = [Image.fromarray(COLOR), Image.fromarray(COLOR[:3])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"a\.tif#2 has 3x5 pixels, .*a\.tif#1 has 6x5"):
        open_dataset(str(tmp_path))
    assert open_dataset(Source(str(tmp_path), size=(4, 4))).images.shape == (2, 4, 4, 3)
