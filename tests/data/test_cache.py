"""The cache of decoded images."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.data import Source, cache, open_dataset
from aecli.data.survey import Survey
from aecli.errors import AecliError, InputError
from aecli.kept import kept_folder
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

    def count(*arguments: Any) -> Survey:
        seen.append(1)
        return decode_to_file(*arguments)

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


def test_what_another_version_noted_of_images_is_not_taken(
    folder: Path, decodings: list[int]
) -> None:
    first = open_dataset(str(folder)).fingerprint
    (noted,) = _cached(folder, ".facts")
    kept = kept_folder("decoded")
    fields = json.loads(kept.read(noted.name) or b"")
    kept.write(noted.name, json.dumps({**fields, "widened": 0}).encode())
    assert open_dataset(str(folder)).fingerprint == first
    assert json.loads(kept.read(noted.name) or b"") == fields
    assert len(decodings) == 1


def _cached(folder: Path, suffix: str) -> list[Path]:
    return sorted((folder.parent / "cache/aecli/decoded").glob(f"*{suffix}"))


def _put(path: Path, content: bytes) -> None:
    """Change a file in place, and put its time back."""
    state = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_changed_byte_of_the_pixels_is_seen(
    folder: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_SETTLED_SECONDS", -1)
    first = open_dataset(str(folder)).fingerprint
    for decoded in (1, 2):
        assert open_dataset(str(folder)).fingerprint == first
        assert len(decodings) == decoded
        (path,) = _cached(folder, ".npy")
        content = path.read_bytes()
        _put(path, content[:-1] + bytes([content[-1] ^ 1]))


def test_pixels_that_did_not_change_are_not_read_to_see_that(
    folder: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_dataset(str(folder))
    (path,) = _cached(folder, ".npy")
    read: list[int] = []
    sha256 = cache._sha256

    def count(file: IO[bytes]) -> str:
        read.append(1)
        return sha256(file)

    monkeypatch.setattr(cache, "_SETTLED_SECONDS", 99)
    open_dataset(str(folder))
    monkeypatch.setattr(cache, "_SETTLED_SECONDS", -1)
    open_dataset(str(folder))
    monkeypatch.setattr(cache, "_sha256", count)
    open_dataset(str(folder))
    assert read == [], "neither the images nor their pixels"
    path.rename(path.with_name("moved"))
    path.with_name("moved").rename(path)
    for _ in range(2):
        open_dataset(str(folder))
    assert read == [1]
    assert len(decodings) == 1


def test_pixels_of_others_are_not_believed(
    folder: Path, decodings: list[int], tmp_path: Path
) -> None:
    first, other = _pixels(folder), _pixels(folder, size=(4, 4))
    (path,) = (path for path in _cached(folder, ".npy") if np.load(path).shape == first.shape)
    spoilt = np.zeros_like(first)
    for fault in ("swapped", "writable", "a link", "a pipe", "missing"):
        path.unlink()
        if fault == "a pipe":
            os.mkfifo(path)
        elif fault == "a link":
            np.save(tmp_path / "elsewhere.npy", spoilt)
            path.symlink_to(tmp_path / "elsewhere.npy")
        elif fault != "missing":
            np.save(path, spoilt)
            path.chmod(0o666 if fault == "writable" else 0o600)
        np.testing.assert_array_equal(_pixels(folder), first)
    np.testing.assert_array_equal(_pixels(folder, size=(4, 4)), other)
    assert np.load(tmp_path / "elsewhere.npy").sum() == 0


@pytest.mark.parametrize("content", ["another", "another's", "../../x", "", "a" * 64, "b" * 10**6])
def test_a_note_that_points_elsewhere_is_not_followed(
    folder: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(cache, "_SETTLED_SECONDS", -1)
    other = folder.with_name("other")
    write_images(other)
    save_image(other / "cat" / "00.png", 255 - PIXELS[0])
    open_dataset(str(other))
    (of_other,) = _cached(folder, ".note")
    first = open_dataset(str(folder)).fingerprint
    (note,) = set(_cached(folder, ".note")) - {of_other}
    sealed = of_other.read_bytes()
    kept = kept_folder("decoded")
    if content == "another's":
        note.write_bytes(sealed)
    elif content == "another":
        note.write_bytes(sealed[32:])
    elif content in ("", "../../x"):
        kept.write(note.name, content.encode())
    else:
        note.write_text(content)
    assert open_dataset(str(folder)).fingerprint == first
    assert len(decodings) == 2


def test_a_change_that_no_time_shows_is_seen_while_images_are_decoded(
    folder: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, decode = folder / "cat" / "00.png", cache._decode_to_file
    before = path.read_bytes()

    def change(*arguments: Any) -> None:
        save_image(path, 255 - PIXELS[0])
        decode(*arguments)

    monkeypatch.setattr(cache, "_note", lambda *arguments: (f"{0:064}.note", False))
    monkeypatch.setattr(cache, "_decode_to_file", change)
    with pytest.raises(InputError, match="was changed while it was decoded: try again"):
        open_dataset(str(folder))
    assert _cached(folder, ".npy") == []
    monkeypatch.setattr(cache, "_decode_to_file", decode)
    path.write_bytes(before)
    open_dataset(str(folder))


def test_those_that_were_not_used_for_longest_go(
    folder: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def age(path: Path, seconds: float) -> None:
        os.utime(path.with_suffix(".sum"), (0, time.time() - seconds))

    held = open_dataset(str(folder))
    first = held.fingerprint
    (opened,) = _cached(folder, ".npy")
    age(opened, 300)
    _pixels(folder, size=(4, 4))
    (unused,) = set(_cached(folder, ".npy")) - {opened}
    age(unused, 200)
    _pixels(folder, size=(5, 5))
    (used,) = set(_cached(folder, ".npy")) - {opened, unused}
    age(used, 100)
    old = opened.with_name("x.note")
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    monkeypatch.setattr(cache, "_MOST_BYTES", 2 * used.stat().st_size + 300)
    _pixels(folder, size=(6, 6))
    assert opened.exists(), "a process has it open"
    assert used.exists()
    assert not unused.exists()
    assert not unused.with_suffix(".sum").exists()
    assert not old.exists()
    assert held.fingerprint == first
    monkeypatch.setattr(cache, "_MOST_BYTES", 0)
    assert _pixels(folder, size=(7, 7)).shape == (12, 7, 7, 1)


def test_what_a_killed_process_left_is_swept_up(folder: Path, decodings: list[int]) -> None:
    place = folder.parent / "cache" / "aecli" / "decoded"
    script = (
        "import os, sys; from pathlib import Path; from aecli import files\n"
        "with files.writing(Path(sys.argv[1])) as file: os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, str(place / "other.npy")], check=False)
    assert len(list(place.glob(".*.tmp"))) == 1
    place.chmod(0o700)
    open_dataset(str(folder))
    assert list(place.glob(".*.tmp")) == []


def test_a_full_disk_says_where_and_how_much_is_needed(
    folder: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **settings: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "decode_into", full)
    with pytest.raises(AecliError) as caught:
        open_dataset(str(folder))
    assert "aecli/decoded/" in str(caught.value)
    assert "No space left on device, it needs 360 bytes; " in str(caught.value)
    assert "XDG_CACHE_HOME names another place" in str(caught.value)
    assert not list((folder.parent / "cache/aecli/decoded").iterdir())


def test_a_cache_that_cannot_be_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(AecliError, match=r"cannot write .*file/aecli/decoded") as caught:
        open_dataset(str(folder))
    assert caught.value.exit_code == 1
    assert "XDG_CACHE_HOME names another place" in str(caught.value)


def test_a_cache_that_others_can_write_is_not_used(folder: Path, decodings: list[int]) -> None:
    open_dataset(str(folder))
    (folder.parent / "cache/aecli/decoded").chmod(0o777)
    with pytest.raises(AecliError, match=r"others can write to it.*XDG_CACHE_HOME"):
        open_dataset(str(folder))
