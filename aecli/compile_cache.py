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
from aecli.kept import KeptFolder, kept_folder

_MOST_BYTES = 1_000_000_000
# Variables of jax and XLA that may change what is compiled.
_VARIABLES = ("JAX_", "XLA_")
_FOLDER = "programs"
# What unpickling and loading raise for a program that another version of jax wrote.
_NOT_LOADED = (
    jax.errors.JaxRuntimeError,
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)
# What jax raises for a program that it cannot write: of a kind of device, or with constants in it.
_NOT_SERIALIZED = (jax.errors.JaxRuntimeError, NotImplementedError, ValueError)


def compiled(
    function: Callable[..., Any],
    key: Mapping[str, Any],
    *arguments: Any,
    donate: tuple[int, ...] = (),
    single_threaded: bool = False,
) -> Callable[..., Any]:
    """Return `function`, compiled for arguments of these shapes, types and places.

    It is traced only where the cache folder does not have the program of an earlier start, so that
    what tracing alone imports should be imported in the function. Of several processes none keeps
    any.

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
    if jax.process_count() > 1:
        # A program is for one place among them all.
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
    folder = _folder()
    if folder is None:
        return _compile(function, arguments, donate, single_threaded)
    program = _load(folder, digest)
    if program is None:
        program = _compile(function, arguments, donate, single_threaded)
        _keep(folder, digest, program)
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


def _folder() -> KeptFolder | None:
    """Return the folder of the programs; where there can be none, say so and continue without."""
    try:
        return kept_folder(_FOLDER)
    except OSError as error:
        _say_not_kept(error.strerror or str(error))
        return None


def _load(folder: KeptFolder, name: str) -> jax.stages.Compiled | None:
    """Return a program that is kept, or None where there is none that is whole and runs here."""
    # To unpickle is to run code, and so is to load a program: a sealed file is our own.
    packed = folder.read(name)
    if packed is None:
        return None
    try:
        numbers, serialized, in_tree, out_tree = pickle.loads(packed)
        by_id = {device.id: device for device in jax.devices()}
        devices = [by_id[number] for number in numbers]
        program: jax.stages.Compiled = deserialize_and_load(
            serialized, in_tree, out_tree, execution_devices=devices
        )
    except _NOT_LOADED:
        return None
    folder.mark_used(name)
    return program


def _keep(folder: KeptFolder, name: str, program: jax.stages.Compiled) -> None:
    """Write a program to the cache folder; where that fails, say so and continue without."""
    executable: Any = program.runtime_executable()
    # jax would load it for all devices, whichever it is for.
    numbers = [device.id for device in executable.local_devices()]
    try:
        files.sweep_folder(folder.path)
        folder.write(name, pickle.dumps((numbers, *serialize(program))))
        _evict_least_recent(folder.path)
    except AecliError as error:
        cause = error.__cause__
        _say_not_kept((isinstance(cause, OSError) and cause.strerror) or str(error))
    except _NOT_SERIALIZED as error:
        _say_not_kept(str(error))


def _say_not_kept(reason: str) -> None:
    folder = files.cache_folder() / _FOLDER
    warnings.warn(
        f"compiled programs cannot be kept in {folder}: {reason}; XDG_CACHE_HOME names another "
        "place",
        stacklevel=2,
    )


def _evict_least_recent(folder: Path) -> None:
    """Remove the programs that were not used for longest, beyond what all may take."""
    room = _MOST_BYTES
    # Another process may remove them at the same time.
    with suppress(OSError):
        found = [(path.stat(), path) for path in folder.glob("[!.]*")]
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
