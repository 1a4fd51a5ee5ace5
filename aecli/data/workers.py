"""Processes that decode images, and the memory that they share."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from itertools import chain, islice, repeat
from multiprocessing.context import SpawnContext
from typing import TypeVar

from aecli.cores import usable_cores
from aecli.data.encoded import Batch
from aecli.errors import AecliError
from aecli.memory import default_memory
from aecli.signals import HANDLED

# The most encoded bytes that wait for a process to decode them.
_AHEAD_BYTES = 64_000_000
# How often it is seen whether to stop, and how long all processes may be silent.
_GLANCE_SECONDS = 0.2
_SILENCE_SECONDS = 120.0

Result = TypeVar("Result")


def in_parallel(
    function: Callable[[Batch], Result], batches: Iterable[Batch], done: Callable[[int], None]
) -> Generator[tuple[Batch, Result], None, None]:
    """Apply `function` to batches on all cores; yield them and their results, in order.

    In processes, not threads: for small images most of the time is spent in Python itself. Results
    must be small: if a process were killed while sending a long one, its reader would wait for
    ever. `done` is called with the number of images of each result, and often with 0: it may raise
    to stop.

    Raises:
        AecliError: a process was killed or stopped, or could not be started.

    """
    iterator = iter(batches)
    start = list(islice(iterator, 2))
    cores = usable_cores()
    if len(start) < 2 or cores < 2:
        for batch in chain(start, iterator):
            yield batch, function(batch)
            done(len(batch.images))
        return
    waiting: deque[tuple[Batch, Future[Result]]] = deque()
    ahead = 0
    with _workers(cores) as (pool, room):
        for next_batch in chain(start, iterator, repeat(None)):
            while waiting and (
                next_batch is None
                or len(waiting) > 2 * cores
                or ahead + next_batch.size > _AHEAD_BYTES
            ):
                batch, future = waiting.popleft()
                _await(future, room, done)
                yield batch, future.result()
                done(len(batch.images))
                ahead -= batch.size
            if next_batch is None:
                return
            waiting.append((next_batch, _submit(pool, function, next_batch)))
            ahead += next_batch.size


class _Room:
    """The memory in which processes decode large images, and a sign that they do."""

    def __init__(self, context: SpawnContext, size: int) -> None:
        """Share `size` bytes among the processes of `context`."""
        self.size = size
        self.opened = context.RawValue("q", 0)
        self._taken = context.RawValue("q", 0)
        self._changed = context.Condition()

    @contextmanager
    def taking(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are there, and hold them; they must be at most `self.size`."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken.value + size <= self.size)
            self._taken.value += size
        try:
            yield
        finally:
            with self._changed:
                self._taken.value -= size
                self._changed.notify_all()


# The room of a worker process; None in the process that the user started.
_room: _Room | None = None


def all_memory() -> int:
    """Return the bytes that all processes together may take to decode large images."""
    return default_memory() if _room is None else _room.size


@contextmanager
def holding(size: int) -> Iterator[None]:
    """Wait until the processes leave `size` bytes, and hold them."""
    with nullcontext() if _room is None else _room.taking(size):
        yield


def show_progress() -> None:
    """Let the process that waits for this one see that it is at work."""
    if _room is not None:
        _room.opened.value += 1


@contextmanager
def _workers(count: int) -> Iterator[tuple[ProcessPoolExecutor, _Room]]:
    """Start processes when they are needed; end them at once, whatever they do.

    Raises:
        AecliError: a process was killed, or could not be started.

    """
    # Not forked: the threads of a progress bar may hold locks.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    try:
        room = _Room(context, default_memory())
        pool = ProcessPoolExecutor(count, context, _start_worker, (room,))
    except OSError as error:
        raise _cannot_start(error) from error
    try:
        yield pool, room
    except BrokenProcessPool as error:
        raise AecliError("a process that decoded images was killed: is memory short?") from error
    finally:
        # All results are here, or not wanted. A process that is stopped would never end by itself.
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        pool.shutdown(cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor, function: Callable[[Batch], Result], batch: Batch
) -> Future[Result]:
    try:
        # This may start a process.
        with _signals_blocked():
            return pool.submit(function, batch)
    except OSError as error:
        raise _cannot_start(error) from error


def _cannot_start(error: OSError) -> AecliError:
    return AecliError(f"cannot start processes that decode images: {error.strerror or error}")


def _await(future: Future[Result], room: _Room, done: Callable[[int], None]) -> None:
    """Wait for a result, as long as the processes open images."""
    silent, opened = 0.0, room.opened.value
    while not wait([future], _GLANCE_SECONDS).done:
        done(0)
        # Not by the clock: this process may have been stopped too.
        silent = silent + _GLANCE_SECONDS if room.opened.value == opened else 0.0
        opened = room.opened.value
        if silent > _SILENCE_SECONDS:
            raise AecliError(
                f"the processes that decode images have not answered for {_SILENCE_SECONDS:g} s: "
                "was one stopped, or does a disk hang?"
            )


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block what ends the program; processes started meanwhile inherit that and never see it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(room: _Room) -> None:
    """Take the room that the processes share; exit when the parent does, however it ends."""
    global _room
    _room = room
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
