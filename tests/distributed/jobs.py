"""Trainings of several real processes on this machine."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

# Of a test, in seconds, for machines that are busy.
_PATIENCE = 300


class Job:
    """Processes that train together; `lines[i]` are what process i has said so far.

    As a context it leaves none of them behind.
    """

    def __init__(
        self, arguments: Sequence[str | Path], *, count: int = 2, timeout: float = 30
    ) -> None:
        shared = [*map(str, arguments), "--timeout", str(timeout)]
        self.commands = [
            [*shared, "--coordinator", f"127.0.0.1:{free_port()}", "--processes", str(count)]
        ] * count
        self.processes: list[subprocess.Popen[str]] = []
        self.lines: list[list[str]] = [[] for _ in range(count)]
        self._readers: list[threading.Thread] = []

    def start(self, own: Sequence[Sequence[str | Path]] | None = None) -> Self:
        """Start the processes; `own` are arguments of each of them alone."""
        for index, command in enumerate(self.commands):
            extra = [] if own is None else [*map(str, own[index])]
            process = subprocess.Popen(
                [sys.executable, "-m", "aecli", "train", *command, "--process", str(index), *extra],
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            self.processes.append(process)
            reader = threading.Thread(target=self._read, args=(index,), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def _read(self, index: int) -> None:
        stream = self.processes[index].stderr
        assert stream is not None
        for line in stream:
            self.lines[index].append(line.rstrip("\n"))

    def wait_for(self, words: str) -> None:
        """Wait until the first process has said something."""
        until = time.monotonic() + _PATIENCE
        while not any(words in line for line in self.lines[0]):
            if time.monotonic() > until or self.processes[0].poll() is not None:
                raise AssertionError(f"never said {words!r}: {self.lines}")
            time.sleep(0.01)

    def codes(self, *indices: int) -> list[int]:
        """Wait for processes to end, all or some of them; return their exit codes."""
        chosen = indices or tuple(range(len(self.processes)))
        codes = [self.processes[index].wait(_PATIENCE) for index in chosen]
        for index in chosen:
            self._readers[index].join()
        return codes

    @property
    def announced(self) -> int:
        """The last epoch that was said to be saved, 0 for none."""
        saved = [line for line in self.lines[0] if line.startswith("saved epoch ")]
        return int(saved[-1].split()[-1]) if saved else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port
