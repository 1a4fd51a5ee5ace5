"""Everything that can be wrong with data, in one table; each is one line and leaves nothing."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from aecli.cli import main
from aecli.data import open_dataset
from aecli.errors import InputError
from tests.data import examples, test_catalogue
from tests.data.examples import Act
from tests.data.formats import (
    test_cifar10,
    test_idx_file,
    test_idx_folder,
    test_image_file,
    test_image_folder,
    test_npy,
    test_npz,
    test_parquet,
)
from tests.helpers import SMALL, write_idx_folder


def _damaged(write: Act, damage: Act) -> Act:
    def prepare(path: Path) -> None:
        write(path)
        damage(path)

    return prepare


def _gather() -> Iterator[tuple[str, Act, str]]:
    """Yield what each reader's own table holds: how to make the data, and words of the message."""
    for kind, files in (
        ("npy", test_npy.BAD_FILES),
        ("npz", test_npz.BAD_FILES),
        ("IDX", test_idx_file.BAD_FILES),
        ("image", test_image_file.BAD_FILES),
        ("unknown", test_catalogue.UNKNOWN),
    ):
        for fault, (data, words) in files.items():
            yield f"{kind}, {fault}", examples.write_bytes(data), re.escape(words)
    for kind, write, faults in (
        ("IDX folder", write_idx_folder, test_idx_folder.BAD_FOLDERS),
        ("images", examples.write_images, test_image_folder.BAD_FOLDERS),
        ("Parquet", examples.write_parquet, test_parquet.BAD_FILES),
        ("CIFAR-10", examples.write_cifar10, test_cifar10.BAD_FOLDERS),
    ):
        for fault, (damage, words) in faults.items():
            pattern = words if kind == "IDX folder" else re.escape(words)
            yield f"{kind}, {fault}", _damaged(write, damage), pattern
    yield "a FIFO", os.mkfifo, "is neither a file nor a folder"
    yield "a loop of links", lambda path: path.symlink_to(path), "cannot look at"
    yield "a link to nothing", lambda path: path.symlink_to("gone"), "no data set, file or folder"
    yield "an empty folder", lambda path: path.mkdir(), "has no images"
    yield (
        "a device",
        lambda path: path.symlink_to("/dev/zero"),
        "/dev/zero is neither a file nor a folder",
    )


CASES = {fault: (prepare, words) for fault, prepare, words in _gather()}


def test_the_table_is_long() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("fault", CASES)
def test_bad_data_is_one_line_exit_code_2_and_leaves_nothing(
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    prepare, words = CASES[fault]
    prepare(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", "data", "-o", "run"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("aecli: ")
    assert captured.err.count("\n") == 1
    assert re.search(words, captured.err), captured.err
    names = (str(tmp_path / "data"), "'data'", " data: ", "/data is ", "/dev/zero")
    assert any(name in captured.err for name in names), captured.err
    left = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    # Nothing was run, written or decoded; the cache folder itself and its secret may have come.
    assert {path.name for path in left if not path.is_dir()} <= {"key"}
    assert not (tmp_path / "run").exists()


TERABYTES = {
    "npy": examples.NPY_OF_TERABYTES,
    "npz": examples.npz(a=examples.NPY_OF_TERABYTES),
    "idx": examples.IDX_OF_TERABYTES,
    "idx.gz": test_idx_file.BAD_FILES["terabytes promised in gzip"][0],
    "idx bomb": test_idx_file.BAD_FILES["a bomb"][0],
    "npz bomb": test_npz.BAD_FILES["a bomb"][0],
}


def test_terabytes_that_are_promised_are_never_asked_for(tmp_path: Path) -> None:
    for name, data in TERABYTES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "png").mkdir()
    (tmp_path / "png" / "bomb.png").write_bytes(examples.PNG_BOMB)
    program = (
        "import resource, sys\n"
        # What Python and its libraries take themselves is far below.
        "resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))\n"
        "from aecli.data import open_dataset\n"
        "from aecli.errors import InputError\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        open_dataset(path)\n"
        "    except InputError:\n"
        "        print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, sorted(tmp_path.iterdir()))],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "refused\n" * 7, done.stderr


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Act as a user who may not read everything, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.idx", "x.parquet", "folder"])
def test_a_file_that_may_not_be_read(name: str) -> None:
    # Not below pytest's own folder, which nobody else may enter.
    place = Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        path = place / name
        if name == "folder":
            path.mkdir()
        else:
            path.write_bytes(b"")
        path.chmod(0)
        with _as_nobody(), pytest.raises(InputError, match=r"cannot (read|look at) .*ermission"):
            open_dataset(str(path))
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("name", ["ü ñ.npy", "line\nbreak.npy", "-dash.npy", ".hidden.npy"])
def test_odd_names_of_data_are_taken(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(name, examples.PIXELS)
    assert main(["train", *SMALL, "-o", "run", "--", name]) == 0
    assert main(["encode", "run"]) == 0
    assert main(["plot", "run"]) == 0
