"""What the last bits of a training depend on besides its settings and its data."""

import hashlib
import os
from collections.abc import Mapping
from importlib.metadata import version

from aecli.cores import usable_cores
from aecli.printable import printable

_LIBRARIES = ("jax", "jaxlib", "optax")
_DIGITS = 8


def environment() -> dict[str, str]:
    """Return what the bits of a training depend on here, by names for people."""
    import jax

    from aecli.compile_cache import processor

    devices = jax.devices()
    lines = processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        **{name: version(name) for name in _LIBRARIES},
        "devices": f"{len(devices)} {devices[0].device_kind} ({jax.default_backend()})",
        "cores": str(usable_cores()),
        "processor": ", ".join(models) or "unknown",
        "processor features": hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGITS],
        "jax_enable_x64": str(jax.config.jax_enable_x64),  # type: ignore[attr-defined]
        "jax_default_prng_impl": str(jax.config.jax_default_prng_impl),  # type: ignore[attr-defined]
        "jax_default_matmul_precision": str(
            jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
        ),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def multiplies_bf16() -> bool:
    """Return whether what computes here multiplies bfloat16 by itself, as far as it tells."""
    import jax

    from aecli.compile_cache import processor

    flags = " ".join(line for line in processor() if line.startswith("flags")).split()
    known = jax.default_backend() == "cpu" and flags
    return not known or not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Return in a line what differs between two environments, or None where nothing does."""
    changed = [
        printable(f"{name} {now.get(name) or 'none'}, was {before.get(name) or 'none'}")
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if not changed:
        return None
    return (
        f"resumed with {'; '.join(changed)}: the last bits may differ from those of a run that was "
        "never stopped"
    )
