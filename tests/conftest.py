"""What the tests share: strict numerics, small runs, and MNIST where it is at hand."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import pytest

from aecli import compile_cache
from aecli.config import Config, choose_recipe, with_settings
from aecli.data import DATA_VARIABLE, Dataset, open_dataset
from aecli.run.folder import RunFolder
from aecli.train.loop import train
from tests.helpers import Run, write_idx_folder

# Nothing is fetched from the network, nor kept in the developer's own cache folder. Programs are
# compiled once a session: the processes that run the tests take the folder of the one above them.
# They are compiled in a quarter of the time, unless a test is about last bits: see `optimized`.
# XLA ends a process over a flag that it does not know, as later ones do over the second.
_QUICKLY: dict[str, Any] = {"xla_backend_optimization_level": 0}
_SLOWLY: dict[str, Any] = {"xla_backend_optimization_level": 3}
if jax.__version_info__ < (0, 11):
    _QUICKLY["xla_cpu_use_fusion_emitters"] = False
    _SLOWLY["xla_cpu_use_fusion_emitters"] = True
if "PYTEST_XDIST_WORKER" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory(prefix="aecli-tests-")
    os.environ |= {"AECLI_MIRROR": "http://127.0.0.1:9", "XDG_CACHE_HOME": _CACHE.name}
    _FLAGS = " ".join(f"--{name}={value}" for name, value in _QUICKLY.items())
    os.environ.setdefault("XLA_FLAGS", _FLAGS)

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return open_dataset("digits")


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    """Return MNIST, or skip the test."""
    if not (Path(os.environ.get(DATA_VARIABLE, "/nowhere")) / "mnist").is_dir():
        pytest.skip(f"MNIST is not in ${DATA_VARIABLE}")
    return open_dataset("mnist")


@pytest.fixture(scope="session")
def small_config() -> Config:
    return with_settings(choose_recipe("plain"), {"hidden": (16, 8), "epochs": 4, "batch_size": 64})


@pytest.fixture(scope="session")
def digits_run(
    digits: Dataset, small_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a small run on the digits; tests must not write into it."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    train(digits, small_config, RunFolder(folder))
    return folder


@contextmanager
def _as_users_have_them() -> Iterator[None]:
    others = compile_cache._options

    def options(single_threaded: bool) -> dict[str, Any]:
        return others(single_threaded) | _SLOWLY

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compile_cache, "_options", options)
        # Of processes that the tests start. What is compiled quickly is of no use to either.
        patch.setenv("XLA_FLAGS", "")
        patch.setenv("XDG_CACHE_HOME", str(Path(os.environ["XDG_CACHE_HOME"], "optimized")))
        yield


@pytest.fixture(scope="module")
def optimized() -> Iterator[None]:
    """Compile programs as users have them, where tests are about the last bits of numbers."""
    with _as_users_have_them():
        yield


@pytest.fixture
def optimized_once() -> Iterator[None]:
    """Do the same for one test of its module."""
    with _as_users_have_them():
        yield


@pytest.fixture
def aecli(tmp_path: Path) -> Run:
    """Return a function that runs the real command in an empty folder, without a terminal."""

    def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "aecli", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    write_idx_folder(tmp_path / "images")
    return tmp_path / "images"
