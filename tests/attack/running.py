"""Run a case: in a process of its own, or in this one."""

import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import IO

from tests.attack.case import MOST_BYTES, Case, Done, Place, faults, look_at, temporaries

ROOT = Path(__file__).parents[2]
# As an installed `aecli`: the folder that it is called in is not searched for modules.
PROGRAM = [sys.executable, "-P", "-m", "aecli"]
# More would hurt others on this machine.
_KILLED_BEYOND = 2 * MOST_BYTES
_SECONDS_BETWEEN_LOOKS = 0.03
_LATEST_SIGNAL = 3.0
_SECONDS_HERE = 30.0

Way = Callable[[Case, Place], Done]


class _TooLongError(BaseException):
    """Passes through everything that a program may catch."""


def attack(case: Case, folder: Path, shared: Path, way: Way) -> list[str]:
    """Prepare a case in an empty folder, run it, and return all that is wrong."""
    place = Place(folder / "place", folder / "cache", shared)
    place.folder.mkdir(parents=True)
    place.copy("cache", str(place.cache))
    with place.closing:
        for prepare in case.prepare:
            prepare(place)
        before, tmp_before = look_at(place.folder), temporaries(place.cache)
        done = way(case, place)
        found = faults(case, place, done, before, tmp_before)
    # What was said tells most.
    return [*found, f"code {done.code}, said: {done.err[-600:].strip()!r}"] if found else []


def environment(case: Case, place: Place) -> dict[str, str | None]:
    """Return what is set for a case, or taken away with None."""
    own = {
        "XDG_CACHE_HOME": str(place.cache),
        "MPLCONFIGDIR": str(place.shared / "matplotlib"),
        "AECLI_MIRROR": "http://127.0.0.1:9",
        "AECLI_DATA_DIR": None,
        "PYTHONPATH": str(ROOT),
    }
    return {**own, **place.variables, **case.variables}


def apart(case: Case, place: Place, patience: float = 1.0) -> Done:
    """Run a case in a process of its own; it is killed where it takes too much.

    `patience` stretches the time that it may take, on a machine that others use too.
    """
    chosen = environment(case, place)
    variables = {k: v for k, v in {**os.environ, **chosen}.items() if v is not None}
    command = [*PROGRAM, *case.arguments]
    if case.through:
        command = ["bash", "-c", case.through, "bash", *command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(
            [os.fsencode(word) for word in command],
            cwd=place.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        code, peak, found = _wait(process, case, started, patience)
        seconds = time.monotonic() - started
        said = [_read(file) for file in (out, err)]
    if peak > MOST_BYTES:
        found.append(f"took {peak / 10**9:.1f} GB")
    return Done(code, said[0], said[1], seconds, peak, tuple(found))


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="surrogateescape")


def _wait(
    process: "subprocess.Popen[bytes]", case: Case, started: float, patience: float
) -> tuple[int, int, list[str]]:
    """Wait for a process, send it the signals of its case; return exit code, peak and faults."""
    to_send = [
        (number, random.uniform(0.05, _LATEST_SIGNAL) if delay is None else delay)
        for number, delay in case.signals
    ]
    peak, killed, most = 0, False, case.seconds * patience
    found: list[str] = []
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        seconds = time.monotonic() - started
        while to_send and seconds >= to_send[0][1]:
            number, delay = to_send.pop(0)
            # A terminal sends to all that run in it.
            send = os.kill if number == signal.SIGTERM else os.killpg
            send(process.pid, number)
            if case.signals[0][1] is None:
                found.append(f"(after {delay:.2f} s)")
        peak = max(peak, _resident(process.pid))
        if not killed and (seconds > most or peak > _KILLED_BEYOND):
            killed = True
            found.append("took too long" if seconds > most else "took too much memory")
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    found += _end_group(process.pid)
    # As a shell says it.
    code = 128 - code if code < 0 else code
    if found and all(fault.startswith("(") for fault in found):
        found = []
    return code, max(peak, usage.ru_maxrss * 1024), found


def _resident(pid: int) -> int:
    """Return the memory of a process and of those below it."""
    import psutil

    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for one in family:
        try:
            total += one.memory_info().rss
        except psutil.Error:
            continue
    return total


def _end_group(group: int) -> list[str]:
    """End what a process left running; say so."""
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return []
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return ["left a process running"]


def here(case: Case, place: Place) -> Done:
    """Run a case in this process, as quickly as it goes; its memory is not measured."""
    from aecli.cli import main

    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors, write_through=True)
        for errors in ("strict", "backslashreplace")
    )
    found: tuple[str, ...] = ()
    started = time.monotonic()
    with (
        _in_folder(place.folder),
        _with_variables(environment(case, place)),
        warnings.catch_warnings(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        warnings.simplefilter("default")
        try:
            with _at_most(min(case.seconds, _SECONDS_HERE), place):
                code = main(case.arguments)
        except _TooLongError:
            code, found = 1, ("took too long",)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            # Where Python itself would say so, and end with 1.
            code = 1
            err.write(traceback.format_exc())
    seconds = time.monotonic() - started
    return Done(code, _read(out.buffer), _read(err.buffer), seconds, faults=found)


@contextmanager
def _at_most(seconds: float, place: Place) -> Iterator[None]:
    """End what takes longer, also where it waits for a pipe in a library that sees no signals."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with _letting_go_of_pipes(seconds, place):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _letting_go_of_pipes(seconds: float, place: Place) -> Iterator[None]:
    """After a while let whoever waits for the writer of a pipe read its end.

    From another process: a library may hold Python's lock while it waits.
    """
    found = (path for folder in (place.folder, place.cache) for path in folder.rglob("*"))
    pipes = [str(path) for path in found if path.is_fifo()]
    if not pipes:
        yield
        return
    script = (
        'sleep "$0"; while sleep 0.5 && kill -0 $PPID; do '
        'for pipe in "$@"; do [ ! -p "$pipe" ] || : <> "$pipe"; done; done'
    )
    # In a group of its own, so that its sleep ends with it.
    helper = subprocess.Popen(["sh", "-c", script, str(seconds), *pipes], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(helper.pid, signal.SIGKILL)
        helper.wait()


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _with_variables(variables: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}

    def put(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    put(variables)
    try:
        yield
    finally:
        put(before)
