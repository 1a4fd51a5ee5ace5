import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from aecli import compile_cache
from aecli.compile_cache import compiled, source_digest
from aecli.kept import kept_folder
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder

VALUES = np.array([1, 2, 3], np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the programs of a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "aecli" / "programs"


def _double(traced: list[int], number: float = 2.0) -> Callable[..., Any]:
    def double(values: jnp.ndarray) -> jnp.ndarray:
        traced.append(1)
        return values * number

    return compiled(double, {"program": "double", "number": number}, np.zeros(3, np.float32))


def test_a_program_is_traced_once(folder: Path) -> None:
    traced: list[int] = []
    first, second = _double(traced), _double(traced)
    assert len(traced) == 1
    values = VALUES
    assert first(values).tolist() == second(values).tolist() == [2, 4, 6]


def test_what_a_program_depends_on_makes_another_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[int] = []
    _double(traced)
    assert _double(traced, 3.0)(VALUES).tolist() == [3, 6, 9]
    compiled(lambda values: values, {"program": "double", "number": 2.0}, np.zeros(4, np.float32))
    monkeypatch.setattr(compile_cache, "_environment", lambda: ["another machine"])
    _double(traced)
    assert len(traced) == 3
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_program_is_compiled_again(folder: Path, damage: str) -> None:
    traced: list[int] = []
    _double(traced)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    at = len(whole) // 2
    spoilt = {"cut": whole[:at], "emptied": b""}.get(damage)
    path.write_bytes(
        whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] if spoilt is None else spoilt
    )
    assert _double(traced)(VALUES).tolist() == [2, 4, 6]
    assert len(traced) == 2
    _double(traced)
    assert len(traced) == 2


class _Foreign:
    """Runs code of others where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_foreign_program_is_not_run(folder: Path, tmp_path: Path) -> None:
    traced: list[int] = []
    _double(traced)
    (path,) = folder.iterdir()
    packed = pickle.dumps(_Foreign(tmp_path / "run"))
    for content in (packed, hashlib.sha256(packed).digest() + packed):
        path.write_bytes(content)
        assert _double(traced)(VALUES).tolist() == [2, 4, 6]
    assert len(traced) == 3
    assert not (tmp_path / "run").exists()


def test_a_program_under_the_name_of_another_is_not_run(folder: Path) -> None:
    traced: list[int] = []
    _double(traced)
    (two,) = folder.iterdir()
    _double(traced, 3.0)
    (three,) = set(folder.iterdir()) - {two}
    two.write_bytes(three.read_bytes())
    assert _double(traced)(VALUES).tolist() == [2, 4, 6]
    assert len(traced) == 3


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"x",
        b"cno_such_module\nx\n.",
        b"cpickle\nno_such_name\n.",
        pickle.dumps(None),
        pickle.dumps(("a", "b")),
        pickle.dumps(([0], b"", None, None)),
        pickle.dumps(([9], b"", None, None)),
        pickle.dumps(([0], pickle.dumps((1, [], False)), None, None)),
    ],
)
def test_a_program_of_another_kind_is_compiled_again(folder: Path, packed: bytes) -> None:
    traced: list[int] = []
    _double(traced)
    (path,) = folder.iterdir()
    kept_folder("programs").write(path.name, packed)
    assert _double(traced)(VALUES).tolist() == [2, 4, 6]
    assert len(traced) == 2


def test_a_folder_that_others_can_write_is_not_used_and_said(folder: Path) -> None:
    traced: list[int] = []
    _double(traced)
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match=r"cannot be kept in .*others can write to it"):
        _double(traced)
    assert len(traced) == 2
    assert len(list(folder.iterdir())) == 1


def test_what_a_killed_process_left_is_swept_up(folder: Path) -> None:
    kept_folder("programs")
    script = (
        "import os, sys; from pathlib import Path; from aecli import files\n"
        "with files.writing(Path(sys.argv[1])) as file: os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, str(folder / "other")], check=False)
    assert len(list(folder.glob(".*.tmp"))) == 1
    _double([])
    assert not list(folder.glob(".*.tmp"))


def test_the_least_lately_used_programs_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[int] = []
    _double(traced)
    (oldest,) = folder.iterdir()
    os.utime(oldest, (1, 1))
    _double(traced, 3.0)
    used = next(path for path in folder.iterdir() if path != oldest)
    os.utime(used, (2, 2))
    _double(traced, 3.0)
    monkeypatch.setattr(compile_cache, "_MOST_BYTES", 2.5 * used.stat().st_size)
    _double(traced, 4.0)
    assert not oldest.exists()
    assert used.exists()
    assert len(list(folder.iterdir())) == 2


def _train(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "aecli",
            "train",
            "--recipe",
            "classic",
            "--epochs",
            "2",
            "--hidden",
            "4",
            "-o",
            name,
        ],
        cwd=folder,
        env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
    )


def test_a_second_training_compiles_nothing_and_gives_the_same(tmp_path: Path) -> None:
    assert _train(tmp_path, "first").returncode == 0
    kept = {path: path.stat().st_ino for path in (tmp_path / "cache/aecli/programs").iterdir()}
    assert kept
    assert _train(tmp_path, "second").returncode == 0
    assert kept == {p: p.stat().st_ino for p in (tmp_path / "cache/aecli/programs").iterdir()}
    first, second = (load(RunFolder(tmp_path / name).last) for name in ("first", "second"))
    assert first.model_hash == second.model_hash


def test_a_cache_that_cannot_be_used_is_one_line_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    done = _train(tmp_path, "run")
    assert done.returncode == 0
    assert done.stderr.count("compiled programs cannot be kept in ") == 1
    assert "UserWarning" not in done.stderr


def test_a_change_anywhere_in_the_package_compiles_anew(tmp_path: Path) -> None:
    """Modules of every folder take part in what is compiled."""
    package = Path(compile_cache.__file__).parent
    copy = tmp_path / "aecli"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    digests = {source_digest(copy)}
    changed = [copy / "losses.py", copy / "model" / "conv.py", copy / "train" / "step.py"]
    for path in changed:
        path.write_text(path.read_text() + "# changed")
        digests.add(source_digest(copy))
    changed[-1].rename(copy / "train" / "moved.py")
    digests.add(source_digest(copy))
    assert len(digests) == 1 + len(changed) + 1
    assert source_digest(package) in digests
