"""Kills, or stops, one of several processes at random times, and resumes on 2, on 1 and on 4."""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import RunFolder
from tests.distributed.jobs import Job

_TIMEOUT = 20
# Until the last one has said its line, beyond the timeout, where the machine is busy.
_GRACE = 10
# Before it has even begun to join the others.
_START = 40
_NUMBERS_OF_PROCESSES = (2, 1, 4)


def lose_one(folder: Path, arguments: Sequence[str], golden: Checkpoint, seed: int) -> str:
    """Lose one of two processes of a training, and resume it; return what was lost, and when.

    `golden` is what two processes come to that nobody kills.
    """
    chance = random.Random(seed)
    run = RunFolder(folder / f"lost-{seed}")
    victim, stopped = chance.randrange(2), chance.random() < 0.25
    with Job([*arguments, "-o", run.path], timeout=_TIMEOUT) as job:
        job.start()
        if chance.random() < 0.75:
            job.wait_for("saved epoch ")
            time.sleep(chance.uniform(0, 1))
        else:
            time.sleep(chance.uniform(0, 8))
        number = signal.SIGSTOP if stopped else signal.SIGKILL
        ended = job.processes[victim].poll() is not None
        job.processes[victim].send_signal(number)
        started = time.monotonic()
        (code,) = job.codes(1 - victim)
        seconds = time.monotonic() - started
        said, announced = job.lines[1 - victim], job.announced
    allowed = _TIMEOUT + _GRACE + (0 if announced else _START)
    assert seconds < allowed, f"{seconds:.0f} s: {job.lines}"
    if not ended and code:
        assert code == 1, (code, job.lines)
        lines = [line for line in said if line.startswith("aecli: ")]
        assert len(lines) == 1, job.lines
        assert "Traceback" not in "".join(said), job.lines
    saved = load(run.last).epoch if run.last.exists() else 0
    assert saved >= announced
    count = _NUMBERS_OF_PROCESSES[seed % len(_NUMBERS_OF_PROCESSES)]
    again = ["--resume"] if saved else [*arguments]
    _train([*again, "-o", str(run.path)], count)
    _compare(golden, load(run.last), exact=count == 2)
    shutil.rmtree(run.path)
    what = f"{number.name} of process {victim}, {saved} epochs saved, resumed on {count}"
    return f"{what}; the other ended after {seconds:.1f} s with {code}"


def never_lost(folder: Path, arguments: Sequence[str]) -> Checkpoint:
    """Return what two processes come to that nobody kills."""
    run = RunFolder(folder / "never-lost")
    _train([*arguments, "-o", str(run.path)], 2)
    return load(run.last)


def _train(arguments: Sequence[str], count: int) -> None:
    if count == 1:
        command = [sys.executable, "-m", "aecli", "train", *arguments, "-q"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return
    with Job(arguments, count=count, timeout=60) as job:
        job.start()
        assert job.codes() == [0] * count, job.lines


def _compare(expected: Checkpoint, got: Checkpoint, *, exact: bool) -> None:
    assert [epoch.epoch for epoch in got.history] == [epoch.epoch for epoch in expected.history]
    for one, other in zip(expected.history, got.history, strict=True):
        for name, loss in one.losses.items():
            far = abs(other.losses[name] - loss)
            assert far == 0 if exact else far <= 1e-4 * abs(loss), (one, other)
    if exact:
        for name, tensor in expected.tensors.items():
            assert (tensor == got.tensors[name]).all(), name
