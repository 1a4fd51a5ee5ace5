"""Which part of an array job this process is to make, as schedulers say it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aecli.errors import InputError
from aecli.run.part import Part

_PART = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_AUTO = re.compile(r"auto(?:/([0-9]{1,9}))?")
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class _Scheduler:
    """The variables of a scheduler: the number of this task, and what tells how many there are.

    `base`: where the numbers of its arrays begin. `count`, `first`, `last` and `step`: None where
    the scheduler does not say it.
    """

    name: str
    index: str
    base: int = 0
    count: str | None = None
    first: str | None = None
    last: str | None = None
    step: str | None = None


_SCHEDULERS = (
    _Scheduler(
        "SLURM",
        "SLURM_ARRAY_TASK_ID",
        count="SLURM_ARRAY_TASK_COUNT",
        first="SLURM_ARRAY_TASK_MIN",
        last="SLURM_ARRAY_TASK_MAX",
        step="SLURM_ARRAY_TASK_STEP",
    ),
    _Scheduler("PBS", "PBS_ARRAY_INDEX"),
    _Scheduler("Torque", "PBS_ARRAYID"),
    # Their arrays cannot begin with 0.
    _Scheduler(
        "Grid Engine",
        "SGE_TASK_ID",
        base=1,
        first="SGE_TASK_FIRST",
        last="SGE_TASK_LAST",
        step="SGE_TASK_STEPSIZE",
    ),
    _Scheduler("LSF", "LSB_JOBINDEX", base=1, last="LSB_JOBINDEX_END", step="LSB_JOBINDEX_STEP"),
    _Scheduler("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", count="AWS_BATCH_JOB_ARRAY_SIZE"),
    _Scheduler("Google Batch", "BATCH_TASK_INDEX", count="BATCH_TASK_COUNT"),
    _Scheduler("Cloud Run", "CLOUD_RUN_TASK_INDEX", count="CLOUD_RUN_TASK_COUNT"),
    _Scheduler("Kubernetes", "JOB_COMPLETION_INDEX"),
)


def parse_part(text: str, environment: Mapping[str, str]) -> tuple[Part, str | None]:
    """Return the part that `I/N`, `auto` or `auto/N` means, and the variable that says it, if any.

    `auto` takes both numbers from the array job that this process is of; `auto/N` takes the number
    of the task alone, so that a part of the array can be submitted again.

    Raises:
        InputError: the text is no part, there is no array job, or it does not say how many parts
            there are.

    """
    if match := _PART.fullmatch(text):
        return Part(int(match[1]), int(match[2])), None
    match = _AUTO.fullmatch(text)
    if match is None:
        raise InputError(f"--part {text!r}: expected I/N, such as 0/16, or auto, or auto/N")
    found = ((one, _number(environment, one.index)) for one in _SCHEDULERS)
    scheduler, number = next(
        ((one, number) for one, number in found if number is not None and number >= one.base),
        (None, 0),
    )
    if scheduler is None:
        raise InputError(
            f"--part {text}: this is no task of an array job, none of "
            f"{', '.join(one.index for one in _SCHEDULERS[:4])} or their like is set: expected "
            "I/N, such as 0/16"
        )
    if match[1] is not None:
        return Part(number - scheduler.base, int(match[1])), scheduler.index
    first, count = _extent(scheduler, environment)
    return Part(number - first, count), scheduler.index


def _extent(scheduler: _Scheduler, environment: Mapping[str, str]) -> tuple[int, int]:
    """Return the number of the first task of an array, and how many tasks there are.

    Raises:
        InputError: this is not known, or the tasks are not all of an array from 0 or 1.

    """
    first, last, count, step = (
        None if name is None else _number(environment, name)
        for name in (scheduler.first, scheduler.last, scheduler.count, scheduler.step)
    )
    advice = "--part auto/N says how many parts there are"
    if step not in (None, 0, 1):
        raise InputError(f"--part auto: the tasks of this array are {step} apart: {advice}")
    first = scheduler.base if first is None else first
    if count is None and last is not None:
        count = last - first + 1
    if count is None:
        raise InputError(f"--part auto: {scheduler.name} does not say how many tasks: {advice}")
    if first not in (scheduler.base, 1):
        raise InputError(f"--part auto: the tasks of this array begin with {first}: {advice}")
    if last is not None and last - first + 1 != count:
        raise InputError(
            f"--part auto: this array has {count} of the tasks {first} to {last}: {advice}"
        )
    return first, count


def _number(environment: Mapping[str, str], name: str) -> int | None:
    """Return the value of a variable; None where it is not set, or is no number."""
    text = environment.get(name, "")
    return int(text) if _NUMBER.fullmatch(text) else None
