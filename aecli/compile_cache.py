"""Compiled programs: kept in the cache folder, so that only the first start traces and compiles."""

import hashlib
import importlib.util
import json
import os
import pickle
import platform
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from aecli import files
from aecli.errors import AecliError

_MOST_BYTES = 1_000_000_000
# Variables of jax and XLA that may change what is compiled.
_VARIABLES = ("JAX_", "XLA_")
_DIGEST_BYTES = hashlib.sha256().digest_size


def compiled(
    function: Callable[..., Any],
    key: Mapping[str, Any],
    *arguments: Any,
    donate: tuple[int, ...] = (),
    single_threaded: bool = False,
) -> Callable[..., Any]:
    """Return `function`, compiled for arguments of these shapes, types and places.

    It is traced only where the cache folder does not have the program of an earlier start, so that
    what tracing alone imports should be imported in the function.

    Args:
        function: a pure function of arrays, as for `jax.jit`.
        key: all that it depends on besides its arguments, in JSON's types; its name in any case.
        arguments: arrays or `jax.ShapeDtypeStruct`, or trees of them.
        donate: the places of the arguments whose memory the results may take.
        single_threaded: on a processor each product takes one thread, so that as many calls as it
            has cores can run at the same time.

    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        # The user has told jax to keep programs elsewhere, or with "" nowhere.
        return _compile(function, arguments, donate, single_threaded)
    leaves, structure = jax.tree.flatten(arguments)
    whole_key = {
        "key": key,
        "arguments": [(leaf.shape, str(leaf.dtype), _place(leaf)) for leaf in leaves],
        "structure": str(structure),
        "donate": donate,
        "single_threaded": single_threaded,
        "environment": _environment(),
    }
    digest = hashlib.sha256(json.dumps(whole_key).encode()).hexdigest()
    path = files.cache_folder() / "programs" / digest
    kept = _load(path)
    if kept is not None:
        return kept
    program = _compile(function, arguments, donate, single_threaded)
    _keep(path, program)
    return program


def _compile(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    donate: tuple[int, ...],
    single_threaded: bool,
) -> jax.stages.Compiled:
    lowered = jax.jit(function, donate_argnums=donate).lower(*arguments)
    try:
        return lowered.compile(_options(single_threaded))
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        # Of another version of jax.
        return lowered.compile()


def _options(single_threaded: bool) -> dict[str, str | bool]:
    """Return how XLA is to compile here, where its own choice is not the quickest."""
    if jax.default_backend() != "cpu":
        return {}
    options: dict[str, str | bool] = {"xla_cpu_multi_thread_eigen": not single_threaded}
    if " avx512f " not in " ".join(processor()):
        # Without AVX-512 its kernels from YNNPACK are slower than the others that it has.
        options["xla_cpu_experimental_ynn_fusion_type"] = ""
    chosen = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if name not in chosen}


def _load(path: Path) -> Callable[..., Any] | None:
    """Return the program of a file, or None where there is none that is whole and runs here."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, packed = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(packed).digest() != digest:
        return None
    try:
        program: Callable[..., Any] = deserialize_and_load(*pickle.loads(packed))
    except jax.errors.JaxRuntimeError:
        return None
    with suppress(OSError):
        # The least recently used ones go first.
        os.utime(path)
    return program


def _keep(path: Path, program: jax.stages.Compiled) -> None:
    """Write a program to the cache folder; where that fails, say so and continue without."""
    packed = pickle.dumps(serialize(program))
    try:
        files.write_bytes(path, hashlib.sha256(packed).digest() + packed)
        _evict_least_recent(path.parent)
    except AecliError as error:
        cause = error.__cause__
        reason = cause.strerror if isinstance(cause, OSError) else error
        warnings.warn(f"compiled programs cannot be kept in {path.parent}: {reason}", stacklevel=2)


def _evict_least_recent(folder: Path) -> None:
    """Remove the programs that were not used for longest, beyond what all may take."""
    room = _MOST_BYTES
    # Another process may remove them at the same time.
    with suppress(FileNotFoundError):
        found = [(path.stat(), path) for path in folder.iterdir()]
        for state, path in sorted(found, key=lambda item: -item[0].st_mtime_ns):
            room -= state.st_size
            if room < 0:
                path.unlink()


def _place(leaf: Any) -> str:
    return str(getattr(leaf, "sharding", None))


@cache
def _environment() -> list[str]:
    """Return what a program depends on here: processor, devices, libraries, and our own code."""
    environment = [platform.machine(), jax.__version__, str(jax.devices())]
    environment += [f"{device.device_kind}" for device in jax.devices()]
    environment += sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith(_VARIABLES))
    environment += processor()
    for library in ("flax", "jaxlib", "optax"):
        # Importing one to ask its version would take longer than all else.
        spec = importlib.util.find_spec(library)
        if spec is not None and spec.origin is not None:
            site = Path(spec.origin).parents[1]
            environment += sorted(path.name for path in site.glob(f"{library}-*.dist-info"))
    return [*environment, source_digest(Path(__file__).parent)]


def source_digest(package: Path) -> str:
    """Return the SHA-256 over names and contents of all sources of a package, in hex."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@cache
def processor() -> list[str]:
    """Return model and features of the processor, where the operating system tells."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return sorted({line for line in lines if line.startswith(("flags", "model"))})
    return []
