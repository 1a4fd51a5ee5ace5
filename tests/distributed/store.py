"""The store of a coordination service, for processes that are threads of the test."""

import threading
import time
from typing import Any

import jax

from aecli.processes.group import Processes


class Store:
    """Keeps values by name, as jax's store does."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self._changed = threading.Condition()
        # While it is set nobody answers, as where the process that hosts the store is stopped.
        self.stuck = threading.Event()

    def key_value_set_bytes(self, key: str, value: bytes, allow_overwrite: bool = False) -> None:
        self._wait_while_stuck()
        with self._changed:
            assert allow_overwrite or key not in self.values
            self.values[key] = value
            self._changed.notify_all()

    def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None:
        self.key_value_set_bytes(key, value.encode(), allow_overwrite)

    def blocking_key_value_get_bytes(self, key: str, timeout_in_ms: int) -> bytes:
        self._wait_while_stuck()
        with self._changed:
            if not self._changed.wait_for(lambda: key in self.values, min(10, timeout_in_ms / 1e3)):
                raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED")
            return self.values[key]

    def blocking_key_value_get(self, key: str, timeout_in_ms: int) -> str:
        return self.blocking_key_value_get_bytes(key, timeout_in_ms).decode()

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]:
        self._wait_while_stuck()
        with self._changed:
            return [(k, v.decode()) for k, v in self.values.items() if k.startswith(key)]

    def key_value_delete(self, key: str) -> None:
        with self._changed:
            for name in [name for name in self.values if name.startswith(f"{key}/")]:
                del self.values[name]

    def _wait_while_stuck(self) -> None:
        while self.stuck.is_set():
            time.sleep(0.01)


class _Watch:
    saved: str | None = None


def alone() -> Processes:
    """Return the processes of a training of one."""
    watch: Any = _Watch()
    return Processes(Store(), watch, ["here"], 0)
