"""How a process notices that another one has gone; here they are threads with one store."""

import threading
import time
from typing import Any

import pytest

from aecli import signals
from aecli.processes import watch
from aecli.processes.watch import End, Watch
from tests.distributed.store import Store

_NAMES = ["process 0 on a", "process 1 on b", "process 2 on c"]
_TIMEOUT = 0.8


class _Ended(BaseException):
    """Ends the thread that would have ended the process."""


class Said:
    """What each process said when it ended, and with which code."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.codes: list[int] = []


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Said:
    said = Said()

    def end(code: int) -> None:
        said.codes.append(code)
        raise _Ended

    monkeypatch.setattr(signals, "end_at_once", end)
    monkeypatch.setattr(watch, "call_on_abort", lambda function: None)
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    return said


def _watch(store: Any, index: int, said: Said) -> Watch:
    native: Any = None
    one = Watch(store, _NAMES, index, _TIMEOUT, said.lines.append, "resume so", native)
    one.saved = "epoch 2 is saved"
    return one


def _wait_for_ends(said: Said, count: int) -> float:
    started = time.monotonic()
    while len(said.codes) < count:
        assert time.monotonic() - started < 20, said.lines
        time.sleep(0.01)
    return time.monotonic() - started


def test_nobody_ends_where_all_say_that_they_live(ended: Said) -> None:
    store = Store()
    watches = [_watch(store, index, ended) for index in range(3)]
    time.sleep(2 * _TIMEOUT)
    for one in watches:
        one.stop()
    assert ended.codes == []


def test_the_others_end_where_one_says_nothing(ended: Said) -> None:
    store = Store()
    watches = [_watch(store, index, ended) for index in range(3)]
    time.sleep(_TIMEOUT / 4)
    watches[1].stop()
    _wait_for_ends(ended, 2)
    assert ended.codes == [1, 1]
    for line in ended.lines:
        assert line.startswith("process 1 on b has said nothing for ")
        assert line.endswith(" s: it is stuck or gone; epoch 2 is saved; resume so")


def test_the_others_end_where_the_first_one_is_stuck(ended: Said) -> None:
    store = Store()
    watches = [_watch(store, index, ended) for index in (1, 2)]
    store.stuck.set()
    assert _wait_for_ends(ended, 2) < 2 * _TIMEOUT
    assert {line.partition(" has ")[0] for line in ended.lines} == {"process 0 on a"}
    store.stuck.clear()
    for one in watches:
        one.stop()


def test_the_others_end_as_one_that_has_failed(ended: Said) -> None:
    store = Store()
    watches = [_watch(store, index, ended) for index in range(3)]
    time.sleep(_TIMEOUT / 4)
    watches[2].leave(End(2, "process 2 on c: no such data set"))
    _wait_for_ends(ended, 2)
    assert ended.codes == [2, 2]
    # The first one says it, and wrong input has nothing to do with what is saved.
    assert ended.lines == ["process 2 on c: no such data set"]
    assert watches[1].end_of_first(5) == End(2, "process 2 on c: no such data set")
    for one in watches:
        one.stop()


def test_silence_of_this_process_itself_is_nobody_s_fault(
    ended: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    watches = [_watch(store, index, ended) for index in range(3)]
    time.sleep(_TIMEOUT / 4)
    clock, stopped = time.monotonic, 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock() + stopped)
    time.sleep(_TIMEOUT / 2)
    assert ended.codes == []
    for one in watches:
        one.stop()
