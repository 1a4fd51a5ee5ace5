"""The cache of decoded images."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.data import Source, cache, open_dataset
from aecli.errors import AecliError
from tests.data.examples import COLOR, PIXELS, png, save_image, write_images


def _pixels(folder: Path, **settings: Any) -> npt.NDArray[Any]:
    return open_dataset(Source(str(folder), **settings)).split("all").images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Return a list that grows with each decoding into a new cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seen: list[int] = []
    decode_to_file = cache._decode_to_file

    def count(*arguments: Any) -> None:
        seen.append(1)
        decode_to_file(*arguments)

    monkeypatch.setattr(cache, "_decode_to_file", count)
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


def test_another_conversion_is_another_decoding(folder: Path, decodings: list[int]) -> None:
    assert _pixels(folder).shape == (12, 6, 5, 1)
    assert _pixels(folder, size=(4, 4)).shape == (12, 4, 4, 1)
    save_image(folder / "cat" / "00.png", COLOR)
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
        if len(data := png(PIXELS[0] ^ np.uint8(change))) == len(before) and data != before
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


def test_a_cache_that_cannot_be_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(AecliError, match=r"cannot write .*file/aecli/decoded") as caught:
        open_dataset(str(folder))
    assert caught.value.exit_code == 1
