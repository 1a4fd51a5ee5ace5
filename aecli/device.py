"""The devices: their mesh and shardings, how many calls run at once, out-of-memory errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import jax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from aecli.cores import usable_cores
from aecli.errors import AecliError


class Devices:
    """All devices as a mesh of one axis, over which batches are split."""

    @property
    def count(self) -> int:
        """How many devices there are."""
        return jax.device_count()

    @cached_property
    def replicated(self) -> NamedSharding:
        """The sharding of parameters and data sets: a copy on every device."""
        return NamedSharding(self._mesh, P())

    @cached_property
    def split_batch(self) -> NamedSharding:
        """The sharding of batches of groups, (group, n, ...): each device has some of the n."""
        return NamedSharding(self._mesh, P(None, "data"))

    @cached_property
    def _mesh(self) -> jax.sharding.Mesh:
        return jax.make_mesh((self.count,), ("data",), axis_types=(AxisType.Auto,))


def max_concurrent_calls() -> int:
    """Return how many calls of one thread each, side by side, keep the device busy.

    All cores of a processor; an accelerator takes one at a time, while the last one's result and
    the next one's input are on their way.
    """
    return usable_cores() if jax.default_backend() == "cpu" else 2


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
