import os
import subprocess
import sys
from pathlib import Path

import pytest

from aecli.checkpoint import load
from aecli.runs import RunFolder

# The tests have a compilation cache of their own, which users have not.
VARIABLES = {name: value for name, value in os.environ.items() if "JAX_" not in name}


def _train(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aecli", "train", "--epochs", "2", "--hidden", "4", "-o", name],
        cwd=folder,
        env=VARIABLES | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
    )


def test_programs_are_compiled_once(tmp_path: Path) -> None:
    assert _train(tmp_path, "first").returncode == 0
    programs = {path for path in (tmp_path / "cache").rglob("*-cache") if path.is_file()}
    assert programs
    assert _train(tmp_path, "second").returncode == 0
    assert {path for path in (tmp_path / "cache").rglob("*-cache") if path.is_file()} == programs
    first, second = (load(RunFolder(tmp_path / name).last) for name in ("first", "second"))
    assert first.model_hash == second.model_hash


@pytest.mark.parametrize("fault", ["damaged", "in the way"])
def test_a_cache_that_cannot_be_used_is_one_line_and_no_more(tmp_path: Path, fault: str) -> None:
    assert _train(tmp_path, "first").returncode == 0
    if fault == "damaged":
        for path in (tmp_path / "cache").rglob("*-cache"):
            path.write_bytes(path.read_bytes()[:50])
    else:
        (tmp_path / "cache").rename(tmp_path / "old")
        (tmp_path / "cache").write_text("a file where the folder should be")
    done = _train(tmp_path, "second")
    assert done.returncode == 0
    assert done.stderr.count("compiled programs cannot be kept in the cache folder") == 1
    assert "UserWarning" not in done.stderr
    first, second = (load(RunFolder(tmp_path / name).last) for name in ("first", "second"))
    assert first.model_hash == second.model_hash
