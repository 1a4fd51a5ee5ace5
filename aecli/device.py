"""The device that computes: how much at once, and what it lacks, in words that help."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from aecli.cores import usable_cores
from aecli.errors import AecliError


def max_concurrent_calls() -> int:
    """Return how many programs of one thread, side by side, keep the device busy.

    Of a processor all cores; an accelerator takes one at a time, while the last one's result and
    the next one's input are on their way.
    """
    return usable_cores() if jax.default_backend() == "cpu" else 2


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Turn a lack of memory, the machine's or a device's, into a line with advice.

    Raises:
        AecliError: there is not enough memory.

    """
    try:
        yield
    except MemoryError as error:
        raise AecliError(f"the memory of this machine does not suffice: {advice}") from error
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        device = jax.devices()[0].device_kind
        raise AecliError(f"the memory of {device} does not suffice: {advice}") from error
