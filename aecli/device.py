"""What can go wrong on a device, in words that help."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from aecli.errors import AecliError


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Turn a device's lack of memory into a line with advice.

    Raises:
        AecliError: the device has not enough memory.

    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise AecliError(
            f"the memory of {jax.devices()[0].device_kind} does not suffice: {advice}"
        ) from error
