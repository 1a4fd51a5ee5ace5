"""The device that computes: the programs that it keeps, and what it lacks, in words that help."""

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax

from aecli.errors import AecliError
from aecli.files import cache_folder

_MOST_COMPILED_BYTES = 1_000_000_000


def remember_programs() -> None:
    """Keep compiled programs in the cache folder, so that only the first start compiles.

    Where the user has told jax of a folder of their own, or to keep none, that holds.
    """
    chosen = getattr(jax.config, "jax_compilation_cache_dir")  # noqa: B009
    if chosen is not None or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = cache_folder() / "compiled" / _machine()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # By default jax keeps only what took it a second or more.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_compilation_cache_max_size", _MOST_COMPILED_BYTES)


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


def _machine() -> str:
    """Return a name for this type of processor: a program of one may not run on another."""
    about = platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about += "".join(sorted({line for line in lines if line.startswith(("flags", "model"))}))
    return hashlib.sha256(about.encode()).hexdigest()[:16]
