"""`aecli` and `python -m aecli`: the command line as a process of its own."""

import gc
import sys

# Importing jax makes a hundred thousand objects that live until the end: looking for garbage among
# them 240 times, and once more at the end, takes a fifth of a short command's time.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def run() -> int:
    """Run the command line on `sys.argv`; return the exit code of the process."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    from aecli.cli import main

    try:
        return main()
    finally:
        # The process ends: the operating system takes all memory back at once.
        gc.freeze()


if __name__ == "__main__":
    sys.exit(run())
