"""Real processes that train together on this machine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aecli.cli import main
from aecli.data import Dataset
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from tests.distributed.jobs import Job
from tests.helpers import SMALL

# Every process compiles anew: a program that is small, until something ends it.
ENDLESS = ("--recipe", "classic", "--hidden", "4", "--epochs", "100000", "--batch-size", "64")


def test_processes_train_as_one_does_and_as_devices_do_bit_for_bit(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Programs as users have them.
    monkeypatch.setenv("XLA_FLAGS", "")
    together, devices = tmp_path / "together", tmp_path / "devices"
    with Job([*SMALL, "-o", together]) as job:
        job.start()
        assert job.codes() == [0, 0]
        assert job.lines[1] == []
        assert any("2 processes on 1 host train together, on 2 devices" in x for x in job.lines[0])
    subprocess.run(
        [sys.executable, "-m", "aecli", "train", *SMALL, "-q", "-o", devices],
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    ours, theirs, one = (load(RunFolder(run).last) for run in (together, devices, digits_run))
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name, tensor in ours.tensors.items():
        np.testing.assert_array_equal(tensor, theirs.tensors[name], err_msg=name)
    for epoch, of_devices, of_one in zip(ours.history, theirs.history, one.history, strict=True):
        assert epoch.losses == of_devices.losses
        assert epoch.losses == pytest.approx(of_one.losses, rel=1e-5)
        assert epoch.validation_loss == pytest.approx(of_one.validation_loss, rel=1e-5)
    test_mse = json.loads(RunFolder(digits_run).summary.read_text())["test_mse"]
    ours_test_mse = json.loads(RunFolder(together).summary.read_text())["test_mse"]
    assert ours_test_mse == pytest.approx(test_mse, rel=1e-5)


def test_a_killed_process_ends_the_others_and_one_alone_resumes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Job([*ENDLESS, "-o", run]) as job:
        job.start().wait_for("saved epoch ")
        job.processes[1].kill()
        assert job.codes() == [1, -signal.SIGKILL]
        said, announced = job.lines[0][-1], job.announced
    assert said.startswith("aecli: process 1 on ")
    assert "has ended without a word" in said
    assert f"start all again with aecli train --resume -o {run}" in said
    assert len(said) <= 300
    saved = load(RunFolder(run).last).epoch
    assert saved >= announced > 0
    assert f"epoch {announced} is saved" in said
    resumed = ["train", "--resume", "-o", str(run), "--epochs", str(saved + 1)]
    assert main(resumed) == 0
    assert load(RunFolder(run).last).epoch == saved + 1


def test_a_first_process_that_is_stuck_is_given_up(tmp_path: Path) -> None:
    with Job([*ENDLESS, "-o", tmp_path / "run"], timeout=8) as job:
        job.start().wait_for("saved epoch ")
        job.processes[0].send_signal(signal.SIGSTOP)
        assert job.codes(1) == [1]
        (said,) = job.lines[1]
    assert said.startswith("aecli: process 0 on ")
    assert "s: it is stuck or gone; " in said
    assert " is saved" in said


def test_a_signal_to_one_process_stops_all_after_the_same_epoch(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Job([*ENDLESS, "-o", run]) as job:
        job.start().wait_for("saved epoch ")
        job.processes[1].send_signal(signal.SIGTERM)
        assert job.codes() == [128 + signal.SIGTERM] * 2
        assert job.lines[0][-1] == f"stopped; aecli train --resume -o {run} resumes it"
        assert job.lines[1] == []
        # The last epoch is the one that is saved.
        assert job.announced == load(RunFolder(run).last).epoch
        assert job.lines[0][-2] == f"saved epoch {job.announced}"


def test_other_data_on_a_host_are_refused_before_the_first_step(
    digits: Dataset, tmp_path: Path
) -> None:
    images = digits.images[:400].copy()
    np.save(tmp_path / "a.npy", images)
    images[7, 3, 3, 0] ^= 1
    np.save(tmp_path / "b.npy", images)
    with Job([*SMALL, "-o", tmp_path / "run"]) as job:
        job.start([[tmp_path / "a.npy"], [tmp_path / "b.npy"]])
        assert job.codes() == [2, 2]
        assert job.lines[1] == []
        (said,) = job.lines[0]
    assert said.startswith("aecli: process 1 on ")
    assert " has pixels with the digest " in said
    assert not (tmp_path / "run").exists()
