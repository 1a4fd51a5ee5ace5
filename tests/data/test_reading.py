"""Files that are opened to read: regular ones, that stay as they are."""

import os
import socket
from pathlib import Path

import pytest

from aecli.data.reading import reading
from aecli.errors import InputError


def test_a_file_that_is_changed_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"before")
    with reading(path) as file:
        assert file.read() == b"before"
    with pytest.raises(InputError, match="was changed while it was read"), reading(path) as file:
        path.write_bytes(b"behind")
    with pytest.raises(InputError, match="x has no end"), reading(path):
        raise InputError("x has no end")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        # A path below pytest's folder may be too long for a socket.
        before = Path.cwd()
        os.chdir(tmp_path)
        listening.bind("socket")
        os.chdir(before)
    for name in ("pipe", "zero", "socket"):
        with (
            pytest.raises(InputError, match="is a pipe, a socket or a device"),
            reading(tmp_path / name),
        ):
            pass
    with pytest.raises(InputError, match="gone: No such file"), reading(tmp_path / "gone"):
        pass
