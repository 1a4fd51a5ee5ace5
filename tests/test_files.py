import os
import stat
from pathlib import Path

import pytest

from aecli import files
from aecli.errors import AecliError, InputError


def _write_and_raise(path: Path, error: Exception) -> None:
    with files.writing(path) as file:
        file.write(b"half of the new")
        raise error


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        _write_and_raise(path, ZeroDivisionError())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with files.writing(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"


def test_a_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "ours", b"")
    (tmp_path / "plain").write_bytes(b"")
    ours, plain = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain"))
    assert ours == plain


def test_a_full_disk_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    with pytest.raises(AecliError, match=r"cannot write .*file\.txt: No space left") as caught:
        _write_and_raise(tmp_path / "file.txt", OSError(28, "No space left on device"))
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_refused_without_force(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    files.refuse_existing(path, force=False)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="--force"):
        files.refuse_existing(path, force=False)
    files.refuse_existing(path, force=True)
    with pytest.raises(InputError, match="is a folder"):
        files.refuse_existing(tmp_path, force=True)


def test_json_that_cannot_be_read_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with pytest.raises(InputError, match=r"cannot read .*file\.json"):
        files.read_json(path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"file\.json is not valid JSON"):
        files.read_json(path)


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe.npy", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(InputError, match="is a pipe, a socket or a device"):
            files.read_bytes(path)
        assert files.kind_of(path) == "special"
    with pytest.raises(InputError, match="is a folder"):
        files.read_bytes(folder)
