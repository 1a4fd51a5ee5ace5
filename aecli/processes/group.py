"""The processes of a training: how they join, agree, hand things around, and end together."""

import atexit
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import numpy as np
import numpy.typing as npt

from aecli import __version__, signals
from aecli.compile_cache import source_digest
from aecli.errors import AecliError, InputError
from aecli.printable import one_line
from aecli.processes.cluster import Cluster
from aecli.processes.native import NativeOutput, call_on_abort
from aecli.processes.watch import End, Watch

Value = TypeVar("Value")
Decision = TypeVar("Decision")
Array = npt.NDArray[Any]

_FOLDER = "aecli/round"
_HOSTS = "aecli/host"
# The watch ends what waits in vain.
_MILLISECONDS_AT_A_TIME = 3_600_000
# Of arrays that are handed around at a time.
_PART_BYTES = 1_000_000
_PARTS_AT_A_TIME = 64
# As others mostly fail for the same reason at the same time.
_SECONDS_FOR_THE_FIRST = 3.0
# What jax raises where a connection breaks in the middle of a computation.
_BROKEN = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED", "onnection")


class Processes:
    """All processes of a training, from one of them: number `index` of `count`.

    `names` are those of the processes, for people. The first one, with number 0, decides, writes
    and talks. What is said to involve all has to be called by all, in the same order.
    """

    def __init__(self, client: Any, watch: Watch, hosts: list[str], index: int) -> None:
        self._client, self._watch = client, watch
        self.names, self.index, self.count = _names(hosts), index, len(hosts)
        # How many processes share this host and its memory.
        self.count_here = hosts.count(hosts[index])
        self.count_hosts = len(set(hosts))
        self._round = 0

    @property
    def first(self) -> bool:
        """Whether this is the first process."""
        return self.index == 0

    @property
    def name(self) -> str:
        """The name of this process, for people."""
        return self.names[self.index]

    def decide(self, mine: Value, decision: Callable[[list[Value]], Decision]) -> Decision:
        """Return what the first process decides on what all give, in JSON's types. Involves all.

        It takes as long as the slowest of them.
        """
        folder = self._next_round()
        if not self.first:
            self._client.key_value_set(f"{folder}/{self.index}", json.dumps(mine))
            decided: Decision
            decided, self._watch.saved = json.loads(self._get(f"{folder}/decision"))
            return decided
        others = (json.loads(self._get(f"{folder}/{index}")) for index in range(1, self.count))
        # What is saved goes along: where this process dies, the others say it.
        text = json.dumps([decision([mine, *others]), self._watch.saved])
        self._client.key_value_set(f"{folder}/decision", text)
        # Who has given to this round has read the one before.
        self._client.key_value_delete(f"{_FOLDER}/{self._round - 2}")
        answer: Decision = json.loads(text)[0]
        return answer

    def wait(self) -> None:
        """Wait until all are here. Involves all."""
        self.decide(None, lambda given: None)

    def from_first(self, make: Callable[[], Value]) -> Value:
        """Return what the first process makes, in JSON's types. Involves all."""
        return self.decide(None, lambda given: make())

    def stop_requested(self) -> bool:
        """Return whether a signal has asked any of the processes to end. Involves all."""
        number: int = self.decide(signals.arrived(), max)
        if number:
            signals.note(number)
        return bool(number)

    def share(self, arrays: Mapping[str, Array] | None) -> dict[str, Array]:
        """Return the arrays, by name, that the first process has; the others give None.

        Involves all.
        """
        arrays = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
        described = {n: (array.dtype.str, array.shape) for n, array in arrays.items()}
        shapes = self.from_first(lambda: described)
        return {
            name: self._share_bytes(arrays.get(name), np.dtype(kind), tuple(shape))
            for name, (kind, shape) in shapes.items()
        }

    def announce_saved(self, what: str) -> None:
        """Have all say, where the work ends before its time, what is saved by now."""
        self._watch.saved = what

    def _share_bytes(
        self, array: Array | None, kind: np.dtype[Any], shape: tuple[int, ...]
    ) -> Array:
        result = np.empty(shape, kind) if array is None else array
        flat = result.reshape(-1).view(np.uint8)
        starts = range(0, len(flat), _PART_BYTES)
        for first in range(0, len(starts), _PARTS_AT_A_TIME):
            folder = self._next_round()
            for start in starts[first : first + _PARTS_AT_A_TIME]:
                place, part = f"{folder}/{start}", flat[start : start + _PART_BYTES]
                if self.first:
                    self._client.key_value_set_bytes(place, part.tobytes())
                else:
                    data = self._client.blocking_key_value_get_bytes(place, _MILLISECONDS_AT_A_TIME)
                    part[:] = np.frombuffer(data, np.uint8)
            # The first one must not run ahead: it holds all that was not read yet.
            self.wait()
        return result

    def _next_round(self) -> str:
        self._round += 1
        return f"{_FOLDER}/{self._round - 1}"

    def _get(self, place: str) -> str:
        while True:
            try:
                text: str = self._client.blocking_key_value_get(place, _MILLISECONDS_AT_A_TIME)
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise
            else:
                return text

    def refuse_differences(self, mine: Mapping[str, str], what: str) -> None:
        """Refuse to begin where a process has other values than the first. Involves all.

        `mine` are this process's, by names for people. `what` begins the remedy.

        Raises:
            InputError: the message names the process and what differs.

        """

        def compare(given: list[dict[str, str]]) -> str | None:
            for name, theirs in zip(self.names[1:], given[1:], strict=True):
                for key in {**given[0], **theirs}:
                    expected, got = given[0].get(key), theirs.get(key)
                    if expected != got:
                        return (
                            f"{name} has {key} {_short(got)}, {self.names[0]} has "
                            f"{_short(expected)}: {what}"
                        )
            return None

        difference = self.decide(dict(mine), compare)
        if difference is not None:
            raise InputError(difference)


def _short(value: str | None) -> str:
    return "none" if value is None else one_line(value, 60)


@contextmanager
def joined(cluster: Cluster, say: Callable[[str], None], resume: str) -> Iterator[Processes | None]:
    """Join the other processes, for the block; None where a scheduler has started only this one.

    At its end all wait for each other. Where one process ends before, for whatever reason, the
    others end too: at once, with a line that `say` prints, and `resume`, which says how to go on.

    Raises:
        InputError: the processes run different versions.
        AecliError: they did not come together in time.

    """
    native = NativeOutput()
    index, count = _connect(cluster, say)
    if count == 1:
        yield None
        return
    client = _state().client
    hosts = _hosts(client, index, count)
    watch = Watch(
        client,
        _names(hosts),
        index,
        cluster.timeout,
        say,
        resume,
        native,
    )
    processes = Processes(client, watch, hosts, index)
    try:
        with signals.undoing(lambda: watch.leave(_end_of_signal(processes))):
            processes.refuse_differences(_versions(), "install the same on all hosts")
            yield processes
            processes.wait()
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError | ValueError) and any(
            word in str(error) for word in _BROKEN
        ):
            watch.suspect()
        _keep_open()
        _leave_with(error, watch, processes)
        raise
    watch.stop()
    jax.distributed.shutdown()


def _connect(cluster: Cluster, say: Callable[[str], None]) -> tuple[int, int]:
    """Connect to the first process; return the number of this one, and how many there are."""
    seconds = round(cluster.timeout)
    where = "" if cluster.coordinator is None else f" at {cluster.coordinator}"
    failure = f"cannot join the other processes{where} within {seconds} s (--timeout)"
    missing = "process 0 does not answer there" if cluster.process else "not all of them came"
    if cluster.process == 0 and cluster.coordinator is not None:
        _check_port(cluster.coordinator)

    def aborted() -> None:
        # Where not all come in time, jax ends the process.
        say(f"{failure}: {missing}")
        signals.end_at_once(1)

    handler = call_on_abort(aborted)
    _OPEN.append(handler)
    # It would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            cluster.coordinator,
            cluster.processes,
            cluster.process,
            initialization_timeout=seconds,
            # The watch is to notice first.
            heartbeat_timeout_seconds=max(10, 2 * seconds),
            shutdown_timeout_seconds=seconds,
            cluster_detection_method=None if cluster.coordinator is None else "deactivate",
        )
    except (RuntimeError, ValueError) as error:
        reason = one_line(str(error).partition("\n")[0], 120)
        raise AecliError(f"{failure}: {reason}") from error
    return _state().process_id, _state().num_processes


def _check_port(coordinator: str) -> None:
    """Raise `InputError` where another program listens on the port already: jax would crash."""
    port = int(coordinator.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", port))
        except OSError as error:
            raise InputError(
                f"--coordinator {coordinator}: process 0 cannot listen on port {port}: "
                f"{error.strerror}; name another one, for all"
            ) from error


def _state() -> Any:
    """Return what jax has of the processes: it has no public name for the store."""
    from jax._src import distributed

    return distributed.global_state


def _keep_open() -> None:
    """Keep jax from closing what connects the processes, when this one ends before the others.

    It would wait for them, and where they are gone end this process without a word.
    """
    from jax._src import api

    atexit.unregister(api.clean_up)
    state = _state()
    _OPEN.append((state.client, state.service))


# What nothing may close before the process ends.
_OPEN: list[Any] = []


def _hosts(client: Any, index: int, count: int) -> list[str]:
    """Return the name of the host of each process."""
    client.key_value_set(f"{_HOSTS}/{index}", socket.gethostname())
    return [
        client.blocking_key_value_get(f"{_HOSTS}/{other}", _MILLISECONDS_AT_A_TIME)
        for other in range(count)
    ]


def _names(hosts: list[str]) -> list[str]:
    """Return the names of the processes, for people."""
    return [f"process {index} on {host}" for index, host in enumerate(hosts)]


def _versions() -> dict[str, str]:
    from importlib.metadata import version
    from pathlib import Path

    return {
        "aecli": __version__,
        **{name: version(name) for name in ("jax", "jaxlib", "optax", "numpy")},
        "the sources of aecli": source_digest(Path(__file__).parents[1])[:8],
    }


def _end_of_signal(processes: Processes) -> End:
    return End(signals.exit_code(), f"{processes.name} was asked to end by a signal")


def _leave_with(error: BaseException, watch: Watch, processes: Processes) -> None:
    """Tell the others why this process ends.

    Raises:
        AecliError: without a word, where the first process fails in the same way and says so.

    """
    if isinstance(error, AecliError):
        end = End(error.exit_code, str(error))
    elif isinstance(error, SystemExit):
        end = _end_of_signal(processes)
    else:
        end = End(1, f"{processes.name} has failed: {one_line(repr(error), 120)}")
    if processes.first:
        watch.leave(end)
        return
    # The first one stays until all others have said that they end.
    said = watch.end_of_first(_SECONDS_FOR_THE_FIRST)
    watch.leave(End(end.code, f"{processes.name}: {end.text}"))
    if said is not None and said.text == end.text:
        quiet = AecliError("")
        quiet.exit_code = end.code
        raise quiet from error
