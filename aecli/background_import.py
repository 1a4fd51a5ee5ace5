"""Slow imports in a thread, while the main one waits for the disk or unpacks."""

import importlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

# Bad input is mostly found sooner, and should be said at once.
_SECONDS_BEFORE = 0.03


@contextmanager
def importing(module: str) -> Iterator[None]:
    """Import a module in a thread while the block runs; at its end it is imported."""
    over = Event()

    def run() -> None:
        over.wait(_SECONDS_BEFORE)
        if not failed.is_set():
            importlib.import_module(module)

    failed = Event()
    with ThreadPoolExecutor(1, "aecli-import") as pool:
        done = pool.submit(run)
        try:
            yield
        except BaseException:
            failed.set()
            raise
        finally:
            over.set()
    done.result()
