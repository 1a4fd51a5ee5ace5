import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aecli.cores import usable_cores
from aecli.device import Devices, max_concurrent_calls, out_of_memory_advice
from aecli.errors import AecliError


def test_batches_are_split_over_all_devices_and_parameters_are_everywhere() -> None:
    devices = Devices()
    assert devices.count == jax.device_count() == devices.split_batch.mesh.size
    batch = jax.device_put(np.zeros((2, 4 * devices.count, 3)), devices.split_batch)
    assert {shard.data.shape for shard in batch.addressable_shards} == {(2, 4, 3)}
    copied = jax.device_put(np.zeros((5, 3)), devices.replicated)
    assert [shard.data.shape for shard in copied.addressable_shards] == [(5, 3)] * devices.count


def test_kept_programs_run_on_several_devices(tmp_path: Path) -> None:
    """The first encode and the first training compile what later commands take from the cache."""
    script = """
import sys
from aecli.cli import main

encode = ["encode", "run", "-o", "codes.npy", "--force"]
training = ["train", "digits", "--recipe", "classic", "--hidden", "4", "--epochs", "1", "-o", "run"]
resuming = ["train", "digits", "-o", "run", "--epochs", "2", "--resume"]
for command in (training, [*training, "--force"], resuming, encode, encode, ["score", "run"]):
    if main([*command, "-q"]):
        sys.exit(" ".join(command))
"""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_processor_takes_a_call_per_core() -> None:
    assert max_concurrent_calls() == (usable_cores() if jax.default_backend() == "cpu" else 2)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")],
    ids=["machine", "device"],
)
def test_a_lack_of_memory_is_a_line_with_advice(error: Exception) -> None:
    with (
        pytest.raises(AecliError, match="has not enough memory: take less"),
        out_of_memory_advice("take less"),
    ):
        raise error


def test_other_errors_of_jax_are_not_taken_for_a_lack_of_memory() -> None:
    with (
        pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"),
        out_of_memory_advice("take less"),
    ):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")
    with out_of_memory_advice("take less"):
        assert float(jnp.float32(1) + 1) == 2
