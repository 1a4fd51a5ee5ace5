"""Files in the cache folder: only our own are believed."""

import os
import stat
from pathlib import Path

import pytest

from aecli import files
from aecli.errors import AecliError
from aecli.kept import KeptFolder, kept_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptFolder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return kept_folder("x")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_kept_comes_back(folder: KeptFolder) -> None:
    assert folder.read("a") is None
    folder.write("a", b"content")
    assert folder.read("a") == kept_folder("x").read("a") == b"content"
    folder.write("a", b"")
    assert folder.read("a") == b""


def test_it_is_private_whatever_the_users_files_are_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = os.umask(0o002)
    try:
        kept_folder("x").write("a", b"content")
        assert kept_folder("x").read("a") == b"content"
    finally:
        os.umask(before)
    assert _mode(tmp_path / "aecli" / "x") == 0o700
    assert _mode(tmp_path / "aecli" / "x" / "a") == _mode(tmp_path / "aecli" / "key") == 0o600


def test_what_is_changed_or_foreign_counts_as_missing(folder: KeptFolder) -> None:
    folder.write("a", b"content")
    path = folder.path / "a"
    whole = path.read_bytes()
    for changed in (b"", whole[:5], whole[:-1], whole + b"x", b"x" + whole[1:], whole[:-1] + b"x"):
        path.write_bytes(changed)
        assert folder.read("a") is None
    path.write_bytes(whole)
    assert folder.read("a") == b"content"
    path.rename(folder.path / "b")
    assert folder.read("b") is None, "the content of another"
    (folder.path / "b").rename(path)
    path.chmod(0o666)
    assert folder.read("a") is None, "others may have written it"


def test_what_another_secret_sealed_counts_as_missing(folder: KeptFolder, tmp_path: Path) -> None:
    folder.write("a", b"content")
    secret = tmp_path / "aecli" / "key"
    for spoilt in ("missing", "short", "long", "known to others", "a link"):
        before = secret.read_bytes()
        if spoilt == "missing":
            secret.unlink()
        elif spoilt == "known to others":
            secret.chmod(0o644)
        elif spoilt == "a link":
            secret.rename(tmp_path / "moved")
            secret.symlink_to(tmp_path / "moved")
        else:
            secret.write_bytes(before[:5] if spoilt == "short" else before + b"x")
        again = kept_folder("x")
        assert again.read("a") is None
        again.write("a", b"content")
        assert secret.read_bytes() != before
        assert kept_folder("x").read("a") == b"content"


def test_a_folder_that_others_can_write_is_refused(folder: KeptFolder) -> None:
    for mode in (0o777, 0o770, 0o702):
        folder.path.chmod(mode)
        with pytest.raises(OSError, match="others can write to it, chmod go-w ends that"):
            kept_folder("x")
    for mode in (0o755, 0o1777):
        folder.path.chmod(mode)
        kept_folder("x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_user_is_refused(folder: KeptFolder) -> None:
    folder.write("a", b"content")
    os.chown(folder.path / "a", 12345, -1)
    assert folder.read("a") is None
    os.chown(folder.path, 12345, -1)
    with pytest.raises(OSError, match="it belongs to another user"):
        kept_folder("x")


def test_a_place_that_cannot_be_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "aecli").mkdir()
    (tmp_path / "aecli" / "x").write_text("")
    with pytest.raises(NotADirectoryError):
        kept_folder("x")
    (tmp_path / "aecli" / "key").mkdir()
    with pytest.raises(AecliError, match=r"cannot write .*key: "):
        kept_folder("y").write("a", b"content")
    monkeypatch.setattr(files, "cache_folder", lambda: Path("~/.cache/aecli"))
    with pytest.raises(OSError, match="no home folder is known"):
        kept_folder("z")
