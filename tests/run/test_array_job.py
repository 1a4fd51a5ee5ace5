"""Which part of an array job a process makes, by the variables of its scheduler."""

import pytest

from aecli.errors import InputError
from aecli.run.array_job import parse_part
from aecli.run.part import Part


def slurm(task: int, first: int, last: int, count: int, step: int = 1) -> dict[str, str]:
    values = {"ID": task, "MIN": first, "MAX": last, "COUNT": count, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


GRID = {"SGE_TASK_ID": "3", "SGE_TASK_FIRST": "1", "SGE_TASK_LAST": "9", "SGE_TASK_STEPSIZE": "1"}


@pytest.mark.parametrize(
    ("text", "environment", "part"),
    [
        ("3/16", {}, (3, 16)),
        ("3/16", slurm(7, 0, 8, 9), (3, 16)),
        ("auto", slurm(3, 0, 15, 16), (3, 16)),
        ("auto", slurm(16, 1, 16, 16), (15, 16)),
        ("auto", slurm(0, 0, 0, 1), (0, 1)),
        # Part of an array that is submitted again: the numbers stay.
        ("auto/16", slurm(7, 3, 9, 4), (7, 16)),
        ("auto", GRID, (2, 9)),
        ("auto/9", GRID, (2, 9)),
        ("auto", {"LSB_JOBINDEX": "1", "LSB_JOBINDEX_END": "4", "LSB_JOBINDEX_STEP": "1"}, (0, 4)),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "3", "AWS_BATCH_JOB_ARRAY_SIZE": "10"}, (3, 10)),
        ("auto", {"BATCH_TASK_INDEX": "0", "BATCH_TASK_COUNT": "4"}, (0, 4)),
        ("auto", {"CLOUD_RUN_TASK_INDEX": "1", "CLOUD_RUN_TASK_COUNT": "4"}, (1, 4)),
        ("auto/4", {"JOB_COMPLETION_INDEX": "2"}, (2, 4)),
        ("auto/4", {"PBS_ARRAY_INDEX": "2"}, (2, 4)),
        ("auto/4", {"PBS_ARRAYID": "2"}, (2, 4)),
        # Set, but to what says that this is no array.
        ("auto/4", {"SGE_TASK_ID": "undefined", "JOB_COMPLETION_INDEX": "2"}, (2, 4)),
        ("auto/4", {"LSB_JOBINDEX": "0", "JOB_COMPLETION_INDEX": "2"}, (2, 4)),
    ],
)
def test_the_part_is_what_the_text_or_the_scheduler_says(
    text: str, environment: dict[str, str], part: tuple[int, int]
) -> None:
    found, variable = parse_part(text, environment)
    assert found == Part(*part)
    assert (variable is None) == ("auto" not in text)


@pytest.mark.parametrize(
    ("text", "environment", "words"),
    [
        ("16/16", {}, r"counted from 0, expected I/N with I in 0\.\.15"),
        ("1/0", {}, "expected 1 to 99,999 parts"),
        ("0/100000", {}, "expected 1 to 99,999 parts"),
        ("3", {}, "expected I/N, such as 0/16, or auto, or auto/N"),
        ("-1/4", {}, "expected I/N"),
        ("auto", {}, "no task of an array job"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "x"}, "no task of an array job"),
        ("auto", slurm(7, 3, 9, 7), "begin with 3: --part auto/N"),
        ("auto", slurm(4, 0, 8, 5, 2), "are 2 apart: --part auto/N"),
        ("auto", slurm(4, 0, 8, 4), "has 4 of the tasks 0 to 8: --part auto/N"),
        ("auto", {**GRID, "SGE_TASK_FIRST": "3"}, "begin with 3"),
        ("auto", {"JOB_COMPLETION_INDEX": "2"}, "Kubernetes does not say how many tasks"),
        ("auto", {"PBS_ARRAY_INDEX": "2"}, "PBS does not say how many tasks"),
        ("auto/4", slurm(4, 1, 4, 4), r"expected I/N with I in 0\.\.3"),
    ],
)
def test_what_says_no_part_is_refused(text: str, environment: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        parse_part(text, environment)
    assert len(str(caught.value)) <= 300
