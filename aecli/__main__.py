"""`aecli` and `python -m aecli`: the command line as a process of its own."""

from __future__ import annotations

import gc
import os
import sys

from aecli import signals

# See `aecli.signals`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Importing jax makes a hundred thousand objects that live until the end: looking for garbage among
# them 240 times takes a fifth of a short command's time.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def run() -> NoReturn:
    """Run the command line on `sys.argv`, and end the process with its exit code."""
    try:
        _open_standard_streams()
        signals.install()
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        _prepare_python()
        from aecli.cli import main
        from aecli.files import remove_temporaries
    except (ImportError, MemoryError, OSError, RuntimeError) as error:
        # Mostly a limit of the shell.
        if sys.stderr is not None:
            print(f"aecli: cannot start: {error or 'not enough memory'}"[:300], file=sys.stderr)
        _leave(1)
    with signals.undoing(remove_temporaries):
        _leave(main())


def _open_standard_streams() -> None:
    """Open those of stdin, stdout and stderr that are closed, on nothing.

    The next file would take their place, and what a library prints would go into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _prepare_python() -> None:
    """Undo what variables of Python, meant for developers, would break."""
    import warnings

    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # PYTHONIOENCODING=ascii, and a name that it has no letters for.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if any(option.startswith("e") for option in sys.warnoptions):
        # Libraries warn: with PYTHONWARNINGS=error that would end the program.
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
            warnings.simplefilter("ignore", category)


def _leave(code: int) -> NoReturn:
    """End the process at once, but for what is to be written or removed at the end.

    Libraries that compute may crash while Python takes itself apart around them; and the operating
    system takes all memory back sooner.
    """
    import atexit
    from contextlib import suppress

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
