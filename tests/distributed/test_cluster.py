"""Which processes of whom are taken for a cluster."""

from typing import Any

import pytest

from aecli.errors import InputError
from aecli.processes.cluster import Cluster, find_cluster

_STEP = {
    "SLURM_JOB_ID": "5",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
# What the script of a job has, outside of any step.
_SCRIPT = {name: _STEP[name] for name in _STEP if "STEP" not in name}
_MPI = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1",
}
_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "2"}
_HERE = "node1:1234"


def _find(environment: dict[str, str], mode: str = "auto", **options: Any) -> Cluster | None:
    given = {"coordinator": None, "processes": None, "process": None, "timeout": 60.0} | options
    return find_cluster(mode, environment=environment, **given)


@pytest.mark.parametrize(
    ("environment", "options", "expected"),
    [
        ({}, {}, None),
        (_STEP, {}, Cluster(None, 2, None)),
        (_STEP, {"mode": "off"}, None),
        (_STEP | {"SLURM_STEP_NUM_TASKS": "1"}, {}, None),
        (_SCRIPT, {}, None),
        (_MPI, {}, Cluster(None, 4, None)),
        (_MPI | {"OMPI_COMM_WORLD_SIZE": "1"}, {}, None),
        (_POD, {}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, {}, Cluster(None, None, None)),
        ({"TPU_WORKER_HOSTNAMES": "a"}, {}, None),
        (
            {},
            {"coordinator": "[::1]:9", "processes": 3, "process": 2},
            Cluster("[::1]:9", 3, 2),
        ),
        (_POD, {"coordinator": _HERE, "processes": 3}, Cluster(_HERE, 3, 2)),
        (_MPI, {"coordinator": _HERE}, Cluster(_HERE, 4, 3)),
        (_SCRIPT, {"processes": 1}, None),
    ],
)
def test_several_processes_of_one_job_are_a_cluster(
    environment: dict[str, str], options: dict[str, Any], expected: Cluster | None
) -> None:
    assert _find(environment, **options) == expected


@pytest.mark.parametrize(
    ("environment", "options", "words"),
    [
        ({}, {"mode": "maybe"}, "--distributed maybe: expected auto, on, off"),
        ({}, {"mode": "on"}, "no scheduler has started several processes"),
        (_SCRIPT, {"mode": "on"}, "no scheduler has started several processes"),
        ({}, {"timeout": 0.5}, "--timeout 0.5: expected seconds, at least 2"),
        ({}, {"timeout": float("nan")}, "--timeout nan"),
        ({}, {"processes": 2}, "--coordinator and --process missing"),
        ({}, {"process": 0}, "--coordinator and --processes missing"),
        ({}, {"coordinator": _HERE, "processes": 2, "process": 2}, "expected 0 to 1, of 2"),
        ({}, {"coordinator": _HERE, "processes": 0, "process": 0}, "--processes 0"),
        ({}, {"coordinator": "node1", "processes": 2, "process": 0}, "expected HOST:PORT"),
        ({}, {"coordinator": "node1:99999", "processes": 2, "process": 0}, "expected HOST:PORT"),
        (
            {name: _MPI[name] for name in _MPI if "MCA" not in name},
            {},
            "mpirun started 4 processes and does not say where the first one is: --coordinator",
        ),
    ],
)
def test_options_that_cannot_be(
    environment: dict[str, str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        _find(environment, **options)
