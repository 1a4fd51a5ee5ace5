"""The processes that decode images."""

import errno
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from aecli.data import workers
from aecli.data.encoded import Batch, EncodedImage, batched
from aecli.data.workers import in_parallel
from aecli.errors import AecliError

BATCHES = list(batched(EncodedImage(str(row), b"") for row in range(1200)))


def _children() -> list[psutil.Process]:
    """Return the processes of a pool that are left; Python's own tracker of resources may stay."""
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE
        and "resource_tracker" not in " ".join(child.cmdline())
    ]


def _kill_worker(batch: Batch) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_first_worker(batch: Batch) -> None:
    if batch.first == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _stop_first_worker(batch: Batch) -> None:
    if batch.first == 0:
        os.kill(os.getpid(), signal.SIGSTOP)


def _sleep(batch: Batch) -> None:
    time.sleep(60)


@pytest.mark.parametrize("function", [_kill_worker, _kill_first_worker])
def test_a_worker_that_is_killed(function: Callable[[Batch], None]) -> None:
    with pytest.raises(AecliError, match="was killed: is memory short"):
        list(in_parallel(function, BATCHES, lambda images: None))
    assert _children() == []


def test_a_worker_that_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_SILENCE_SECONDS", 2)
    with pytest.raises(AecliError, match="have not answered for 2 s: was one stopped"):
        list(in_parallel(_stop_first_worker, BATCHES, lambda images: None))
    assert _children() == []


def test_a_worker_that_is_stopped_when_all_is_done_is_not_waited_for() -> None:
    with workers._workers(1) as (pool, _):
        os.kill(pool.submit(os.getpid).result(), signal.SIGSTOP)
    assert _children() == []


def test_the_wait_for_a_worker_can_be_ended() -> None:
    def done(images: int) -> None:
        raise SystemExit(143)

    start = time.monotonic()
    with pytest.raises(SystemExit):
        list(in_parallel(_sleep, BATCHES, done))
    assert time.monotonic() - start < 30
    assert _children() == []


def test_processes_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", refuse)
    with pytest.raises(AecliError, match="cannot start processes that decode images: Resource"):
        list(in_parallel(_sleep, BATCHES, lambda images: None))


def test_few_large_images_are_read_ahead() -> None:
    taken: list[int] = []

    def batches() -> Iterator[Batch]:
        for row in range(9):
            taken.append(row)
            yield Batch(row, [EncodedImage(str(row), b"")], 10**9)

    results = in_parallel(read_nothing, batches(), lambda images: None)
    next(results)
    assert taken == [0, 1]
    results.close()


def read_nothing(batch: Batch) -> None:
    pass


def test_large_images_wait_for_room() -> None:
    room = workers._Room(multiprocessing.get_context("spawn"), 10)
    order: list[str] = []

    def take() -> None:
        with room.taking(6):
            order.append("second")

    other = threading.Thread(target=take)
    with room.taking(6):
        other.start()
        with room.taking(4):
            time.sleep(0.1)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]
