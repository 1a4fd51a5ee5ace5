"""The environment that the libraries below stumble over, as lines that name it."""

import os
from collections.abc import Iterator
from types import TracebackType

from aecli.errors import AecliError, InputError

# Variables that jax and XLA read; some of their values end every computation.
_VARIABLES = ("JAX_", "XLA_")


def explain(error: BaseException) -> AecliError | None:
    """Return what went wrong around the program, or None where it must be a fault of its own."""
    if isinstance(error, MemoryError):
        return AecliError("this machine, or a limit of this shell, has not enough memory")
    if isinstance(error, ImportError):
        return AecliError(f"a library that aecli needs cannot be loaded: {error}")
    if isinstance(error, OSError):
        return AecliError(f"the operating system refused: {_refusal(error)}")
    variables = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
    if not variables or not any(map(_is_of_jax, _chain(error))):
        return None
    text = str(error) or type(error).__name__
    named = [name for name in variables if name.lower() in text.lower()]
    settings = ", ".join(f"{name}={variables[name]}" for name in named or sorted(variables))
    return InputError(f"jax fails with {settings}: {text.partition(chr(10))[0]}; try without")


def _refusal(error: OSError) -> str:
    try:
        # As by files of libraries that are looked for in it.
        os.getcwd()  # noqa: PTH109
    except OSError:
        return "the current folder is gone: change to another one"
    place = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    return f"{error.strerror or error}{place}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_of_jax(error: BaseException) -> bool:
    frames: TracebackType | None = error.__traceback__
    while frames is not None:
        if frames.tb_frame.f_globals.get("__name__", "").startswith("jax."):
            return True
        frames = frames.tb_next
    return False
