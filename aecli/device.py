"""The devices: their mesh and shardings, how many calls run at once, out-of-memory errors."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import jax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from aecli.cores import usable_cores
from aecli.errors import AecliError, InputError

Tree = TypeVar("Tree")

# With less it aborts as it starts its threads.
_FEWEST_BYTES_OF_ADDRESSES = 10**9


class Devices:
    """Devices as a mesh of one axis, over which batches are split.

    All of all processes, or with `own` those of this process alone.
    """

    def __init__(self, *, own: bool = False) -> None:
        self._devices = jax.local_devices() if own else jax.devices()

    @property
    def count(self) -> int:
        """How many devices there are."""
        return len(self._devices)

    @cached_property
    def replicated(self) -> NamedSharding:
        """The sharding of parameters and data sets: a copy on every device."""
        return NamedSharding(self.mesh, P())

    @cached_property
    def split_batch(self) -> NamedSharding:
        """The sharding of batches of groups, (group, n, ...): each device has some of the n."""
        return self.split(1)

    def split(self, axis: int) -> NamedSharding:
        """Return the sharding of arrays of which each device has some along an axis."""
        return NamedSharding(self.mesh, P(*[None] * axis, "data"))

    @cached_property
    def mesh(self) -> jax.sharding.Mesh:
        """The devices, along the axis `data`."""
        axes = (AxisType.Auto,)
        return jax.make_mesh((self.count,), ("data",), axis_types=axes, devices=self._devices)

    def replicate(self, tree: Tree) -> Tree:
        """Return arrays of the host, the same in all processes, as arrays on all devices."""
        if jax.process_count() == 1:
            copied: Tree = jax.device_put(tree, self.replicated)
            return copied
        place = self.replicated
        result: Tree = jax.tree.map(lambda leaf: place_parts(leaf, place), tree)
        return result


def place_parts(array: Any, place: NamedSharding) -> jax.Array:
    """Return an array of the host, or what is indexed like one, on the devices of a sharding.

    This process places, and asks for, what its own devices have of it.
    """
    return jax.make_array_from_callback(array.shape, place, lambda part: array[part])


def max_concurrent_calls() -> int:
    """Return how many calls of one thread each, side by side, keep the device busy.

    All cores of a processor; each accelerator takes one at a time, while the last one's result and
    the next one's input are on their way.
    """
    return usable_cores() if jax.default_backend() == "cpu" else 2 * batches_at_once()


def batches_at_once() -> int:
    """Return how many batches are in work together: one on a processor, one on each accelerator."""
    return 1 if jax.default_backend() == "cpu" else len(compute_devices())


def compute_devices() -> list[jax.Device]:
    """Return the devices that calls of their own go to in turn: all of this process."""
    devices: list[jax.Device] = jax.local_devices()
    return devices


@contextmanager
def out_of_memory_advice(advice: str) -> Iterator[None]:
    """Turn a lack of memory, the machine's or a device's, into a line with advice.

    Raises:
        AecliError: there is not enough memory.

    """
    try:
        yield
    except MemoryError as error:
        raise AecliError(f"this machine has not enough memory: {advice}") from error
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        device = jax.devices()[0].device_kind
        raise AecliError(f"{device} has not enough memory: {advice}") from error


def refuse_what_ends_xla() -> None:
    """Refuse what XLA would end the process for, with pages of text or with a core dump.

    Raises:
        InputError: it cannot read the variable XLA_FLAGS.
        AecliError: the limit of address space is too low.

    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _FEWEST_BYTES_OF_ADDRESSES:
        raise AecliError(
            f"the limit of address space (ulimit -v) is {limit // 10**6:,} MB: jax needs at least "
            f"{_FEWEST_BYTES_OF_ADDRESSES // 10**6:,} MB"
        )
    flags = os.environ.get("XLA_FLAGS")
    if flags:
        # Only a process can find out.
        command = [sys.executable, "-c", "from jaxlib import _jax; _jax.CompileOptions()"]
        tried = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        said = tried.stderr.decode(errors="replace").strip()
        if tried.returncode and "flag" in said.lower():
            reason = said.splitlines()[0].rpartition("] ")[2]
            raise InputError(f"XLA cannot read XLA_FLAGS={flags}: {reason}")


refuse_what_ends_xla()
