import errno
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


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write_together(first: Path, second: Path, *, replace: bool) -> None:
    with files.writing_together(replace=replace) as together:
        together.write(first, b"1")
        together.write(second, b"2")
        assert not replace or first.read_bytes() == b"old"


def _replace(older: Path, path: Path, error: type[Exception] | None = None) -> None:
    with files.writing_together() as together:
        together.remove(older)
        together.write(path, b"new")
        if error:
            raise error


def _remove_temporaries_within(path: Path) -> None:
    with files.writing(path):
        assert len(_names(path.parent)) == 1
        files.remove_temporaries()
        # For the tests that follow.
        files._PUBLISHING.release()
        assert _names(path.parent) == []


def test_a_name_that_was_taken_meanwhile_is_refused_by_the_last_step(tmp_path: Path) -> None:
    for make in (Path.touch, lambda path: path.symlink_to("nowhere")):
        path = tmp_path / "file"
        with (
            pytest.raises(InputError, match="has come to exist meanwhile: --force replaces it"),
            files.writing(path, replace=False),
        ):
            make(path)
        assert _names(tmp_path) == ["file"]
        path.unlink()


def test_a_set_takes_its_names_together_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    _write_together(first, second, replace=False)
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    first.unlink()
    with pytest.raises(InputError, match="second has come to exist"):
        _write_together(first, second, replace=False)
    assert _names(tmp_path) == ["second"]
    first.write_bytes(b"old")
    _write_together(first, second, replace=True)
    assert first.read_bytes() == b"1"


def test_an_older_file_of_a_set_goes_with_those_that_are_replaced(tmp_path: Path) -> None:
    for name in ("old", "data"):
        (tmp_path / name).write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        _replace(tmp_path / "old", tmp_path / "data", ZeroDivisionError)
    assert _names(tmp_path) == ["data", "old"]
    _replace(tmp_path / "old", tmp_path / "data")
    assert _names(tmp_path) == ["data"]


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(0o600)
    files.write_bytes(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_that_leads_nowhere_exists(tmp_path: Path) -> None:
    path = tmp_path / "link"
    path.symlink_to("nowhere")
    with pytest.raises(InputError, match="exists already"):
        files.refuse_existing(path, force=False)
    files.refuse_existing(path, force=True)
    with pytest.raises(InputError, match="is a pipe, a socket or a device"):
        files.refuse_existing(Path("/dev/null"), force=True)


def test_a_name_as_long_as_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)
    files.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(InputError, match="File name too long"):
        files.refuse_existing(path.with_name("x" * 256), force=True)


def test_what_is_read_is_not_written_by_any_name(tmp_path: Path) -> None:
    source, link, hard = (tmp_path / name for name in ("source", "link", "hard"))
    source.touch()
    link.symlink_to(source)
    hard.hardlink_to(source)
    for path in (source, link, hard):
        with pytest.raises(InputError, match="is read too"):
            files.refuse_inputs([tmp_path / "new", path], [tmp_path / "other", source])
    files.refuse_inputs([tmp_path / "new"], [source, tmp_path / "new"])


def test_temporaries_of_dead_owners_go_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "file"
    left = tmp_path / ".file.aecli-abcdefgh.tmp"
    foreign = [tmp_path / name for name in (".file.abcdefgh.tmp", ".other.aecli-abcdefgh.tmp")]
    for one in (left, *foreign):
        one.touch()
    os.mkfifo(tmp_path / ".file.aecli-pipe.tmp")
    with files.writing(path):
        files.write_bytes(path, b"another writer sweeps too")
    assert not left.exists()
    assert all(one.exists() for one in foreign)
    files.sweep_folder(tmp_path)
    assert _names(tmp_path) == [".file.abcdefgh.tmp", ".file.aecli-pipe.tmp", "file"]


def test_a_process_that_ends_at_once_removes_its_temporaries(tmp_path: Path) -> None:
    with pytest.raises(AecliError, match="cannot write"):
        _remove_temporaries_within(tmp_path / "file")
    assert _names(tmp_path) == []


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.EPERM])
def test_calls_that_a_file_system_lacks_are_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool, code: int
) -> None:
    fsync = os.fsync

    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(code, os.strerror(code))

    def fsync_files(descriptor: int) -> None:
        fsync(descriptor) if stat.S_ISREG(os.fstat(descriptor).st_mode) else refuse()

    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr("os.fchmod", refuse)
    monkeypatch.setattr("os.link", refuse)
    monkeypatch.setattr("os.fsync", fsync_files)
    if replace:
        (tmp_path / "file").touch(0o666)
        (tmp_path / "file").chmod(0o622)
    with pytest.warns(UserWarning, match="this file system has no") as warned:
        files.write_bytes(tmp_path / "file", b"new", replace=replace)
    assert len({str(one.message) for one in warned}) == (3 if replace else 2)
    assert _names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"
    if not replace:
        with (
            pytest.warns(UserWarning, match="has no"),
            pytest.raises(InputError, match="has come to exist"),
        ):
            files.write_bytes(tmp_path / "file", b"newer", replace=False)
        assert _names(tmp_path) == ["file"]


def test_a_refusal_that_is_no_lack_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(AecliError, match="Input/output error"):
        files.write_bytes(tmp_path / "file", b"new")
    assert _names(tmp_path) == []
