"""What processes agree on and hand around; here they are threads with one store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pytest

from aecli.errors import InputError
from aecli.processes import group
from aecli.processes.group import Processes
from tests.distributed.store import Store

Result = TypeVar("Result")


class _Watch:
    saved: str | None = None


def _together(work: Callable[[Processes], Result], count: int = 3) -> list[Result]:
    """Return what each of some processes returns."""
    store, hosts = Store(), ["a", "b", "a", "c"][:count]
    watches: list[Any] = [_Watch() for _ in range(count)]
    processes = [Processes(store, watches[index], hosts, index) for index in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, processes))


def test_the_first_decides_on_what_all_give() -> None:
    def work(processes: Processes) -> list[Any]:
        processes.wait()
        return [processes.decide(processes.index, sum), processes.from_first(lambda: [1.5, None])]

    assert _together(work) == [[3, [1.5, None]]] * 3


def test_what_was_agreed_on_does_not_pile_up() -> None:
    store = Store()
    processes = Processes(store, _watch(), ["a"], 0)
    for _ in range(50):
        processes.wait()
    assert len(store.values) <= 2


def _watch() -> Any:
    return _Watch()


def test_all_know_what_is_saved() -> None:
    def work(processes: Processes) -> str | None:
        if processes.first:
            processes.announce_saved("epoch 3 is saved")
        processes.wait()
        return processes._watch.saved

    assert _together(work) == ["epoch 3 is saved"] * 3


def test_arrays_of_the_first_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "_PART_BYTES", 100)
    monkeypatch.setattr(group, "_PARTS_AT_A_TIME", 3)
    arrays: dict[str, Any] = {
        "many": np.arange(1000, dtype=np.int32).reshape(10, 100).T,
        "zeros": np.array([-0.0, np.nan]),
        "one": np.float32(2.5).reshape(()),
        "none": np.zeros((0, 4), np.uint8),
    }
    for got in _together(lambda processes: processes.share(arrays if processes.first else None)):
        assert got.keys() == arrays.keys()
        for name, array in arrays.items():
            assert got[name].dtype == array.dtype
            np.testing.assert_array_equal(got[name], array)
        assert np.signbit(got["zeros"][0])


def test_what_differs_is_refused_by_name() -> None:
    def work(processes: Processes) -> str:
        mine = {"aecli": "1.0", "jax": "0.1" if processes.index == 1 else "0.2"}
        with pytest.raises(InputError) as caught:
            processes.refuse_differences(mine, "install the same")
        return str(caught.value)

    expected = "process 1 on b has jax 0.1, process 0 on a has 0.2: install the same"
    assert _together(work) == [expected] * 3


def test_equal_values_are_not_refused() -> None:
    assert _together(lambda processes: processes.refuse_differences({"a": "1"}, "")) == [None] * 3


def test_processes_of_a_host_share_its_memory() -> None:
    def counts(processes: Processes) -> tuple[int, int]:
        return processes.count_here, processes.count_hosts

    assert _together(counts, 4) == [(2, 3), (1, 3), (2, 3), (1, 3)]
