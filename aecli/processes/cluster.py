"""Whether this process is one of several of a job, and where they meet. This imports no jax."""

import importlib.util
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from aecli.errors import InputError

# `auto` is on where a scheduler has started several processes of one job.
Mode = Literal["auto", "on", "off"]
DEFAULT_TIMEOUT = 60.0
_LEAST_TIMEOUT = 2.0

# How many processes there are, and which one this is, by variables of whoever started them.
_COUNTS_AND_NUMBERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ("PMI_SIZE", "PMI_RANK"),
)
# Of Kubernetes, for the pods of an indexed job; it does not say how many there are.
_POD_NUMBER = "JOB_COMPLETION_INDEX"
# What jax reads of SLURM; outside of a step that `srun` started, some are missing.
_SLURM = (
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "SLURM_STEP_NODELIST",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_LOCALID",
)
_OPEN_MPI = "OMPI_MCA_orte_hnp_uri"
_TPU_HOSTS = "TPU_WORKER_HOSTNAMES"


@dataclass(frozen=True)
class Cluster:
    """How this process joins the others.

    `coordinator`: "HOST:PORT", where the first process listens; `processes`: how many there are;
    `process`: which one this is, from 0. None is what jax finds by itself. `timeout`: the seconds
    after which a process that says nothing is given up.
    """

    coordinator: str | None
    processes: int | None
    process: int | None
    timeout: float = DEFAULT_TIMEOUT


def find_cluster(
    mode: str,
    coordinator: str | None,
    processes: int | None,
    process: int | None,
    timeout: float,
    environment: Mapping[str, str],
) -> Cluster | None:
    """Return how this process joins others; None where it is alone.

    Args:
        mode: see `Mode`.
        coordinator: as in `Cluster`, like `processes` and `process`; what is None is taken from the
            variables of a scheduler.
        processes: how many there are.
        process: which one this is.
        timeout: seconds.
        environment: the variables.

    Raises:
        InputError: an option has a wrong value, or others are missing with it.

    """
    if mode not in get_args(Mode):
        raise InputError(f"--distributed {mode}: expected {', '.join(get_args(Mode))}")
    if not (math.isfinite(timeout) and timeout >= _LEAST_TIMEOUT):
        raise InputError(f"--timeout {timeout:g}: expected seconds, at least {_LEAST_TIMEOUT:g}")
    if mode == "off":
        return None
    if coordinator is None and processes is None and process is None:
        return _found(mode, timeout, environment)
    if processes is None or process is None:
        count, number = _count_and_number(environment)
        processes = count if processes is None else processes
        process = number if process is None else process
    _check(coordinator, processes, process)
    return None if processes == 1 else Cluster(coordinator, processes, process, timeout)


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Raise `InputError` where the options of the processes are wrong or not complete."""
    if processes is not None and processes < 1:
        raise InputError(f"--processes {processes}: expected how many there are, at least 1")
    if processes == 1 and not process:
        return
    if coordinator is None or processes is None or process is None:
        values = {"coordinator": coordinator, "processes": processes, "process": process}
        missing = [f"--{name}" for name, value in values.items() if value is None]
        raise InputError(
            f"{' and '.join(missing)} missing: each process takes the same --coordinator HOST:PORT "
            "of the first and the same --processes N, and its own --process, from 0 to N-1"
        )
    if not 0 <= process < processes:
        raise InputError(f"--process {process}: expected 0 to {processes - 1}, of {processes}")
    match = re.fullmatch(r"[^\s:]+:(\d{1,5})|\[[0-9a-fA-F:.%]+\]:(\d{1,5})", coordinator)
    if match is None or not 0 < int(match[1] or match[2]) < 2**16:
        raise InputError(
            f"--coordinator {coordinator}: expected HOST:PORT of the first process, such as "
            "node1:12345"
        )


def _found(mode: str, timeout: float, environment: Mapping[str, str]) -> Cluster | None:
    """Return how to join the processes that a scheduler has started, where it has."""
    count, _ = _count_and_number(environment)
    mpi = int(environment.get("OMPI_COMM_WORLD_SIZE") or 0)
    if mpi > 1 and _OPEN_MPI not in environment:
        # From version 5 on.
        raise InputError(
            f"mpirun started {mpi} processes and does not say where the first one is: "
            "--coordinator HOST:PORT names its host and a free port; --distributed off trains "
            "each by itself"
        )
    slurm = all(name in environment for name in _SLURM)
    if mpi > 1 or (slurm and count is not None and count > 1):
        return Cluster(None, count, None, timeout)
    several_tpus = "," in environment.get(_TPU_HOSTS, "")
    pods = "KUBERNETES_SERVICE_HOST" in environment and _POD_NUMBER in environment
    if several_tpus or (pods and importlib.util.find_spec("kubernetes") is not None):
        return Cluster(None, None, None, timeout)
    if mode == "on":
        raise InputError(
            "--distributed on: no scheduler has started several processes of one job; expected "
            "srun, mpirun or a job of Kubernetes, or --coordinator, --processes and --process"
        )
    return None


def _count_and_number(environment: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return how many processes a scheduler has started, and which this is, where it says so."""
    for count, number in _COUNTS_AND_NUMBERS:
        if environment.get(count, "").isdecimal() and environment.get(number, "").isdecimal():
            return int(environment[count]), int(environment[number])
    pod = environment.get(_POD_NUMBER, "")
    return None, int(pod) if pod.isdecimal() else None
