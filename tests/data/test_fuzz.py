"""Any array comes back, and any damage is seen; also where Python checks no assertions."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from aecli.data.formats.npz import read_npz
from aecli.data.idx import read_idx
from aecli.errors import AecliError
from aecli.npy import read_npy
from tests.data.examples import PIXELS, npy, npz
from tests.helpers import write_idx

FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(values=arrays(st.sampled_from(["u1", ">u2", "<f4", "?"]), array_shapes(max_dims=4)))
def test_any_array_comes_back_exactly(tmp_path: Path, values: npt.NDArray[Any]) -> None:
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), values)
    np.savez_compressed(tmp_path / "a.npz", values)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["all"][0], values)


@FUZZ
@given(data=st.data())
def test_damage_is_seen_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    write_idx(tmp_path / "idx.gz", PIXELS[:4])
    original = data.draw(
        st.sampled_from([npy(PIXELS), npz(a=npy(PIXELS)), (tmp_path / "idx.gz").read_bytes()])
    )
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, min(len(damaged), 200) - 1))] = data.draw(
            st.integers(0, 255)
        )
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    path = tmp_path / "data"
    path.write_bytes(damaged)
    for reader in (read_npy, read_npz, lambda path: read_idx(path, ndim=3)):
        # Any other exception fails the test.
        with contextlib.suppress(AecliError):
            reader(path)


@FUZZ
@given(values=arrays("u1", array_shapes(min_dims=3, max_dims=3)))
def test_any_idx_array_comes_back_exactly(tmp_path: Path, values: npt.NDArray[np.uint8]) -> None:
    for name, array, ndim in (("a", values, 3), ("a.gz", values, 3), ("b", values[0, 0], 1)):
        write_idx(tmp_path / name, array)
        np.testing.assert_array_equal(read_idx(tmp_path / name, ndim), array)


def test_the_readers_hold_without_assertions_too() -> None:
    # pytest warns that it checks no assertions either: numpy.testing raises without them.
    chosen = ["-k", "exactly or harmless", "-W", "ignore::pytest.PytestConfigWarning"]
    done = subprocess.run(
        [sys.executable, "-O", "-m", "pytest", __file__, *chosen],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
