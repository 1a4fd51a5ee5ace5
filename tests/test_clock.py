import math
import time
from pathlib import Path

import pytest

from aecli.clock import per_second, seconds_since, show_rate
from aecli.config import Config
from aecli.data import Dataset
from aecli.run.folder import RunFolder
from aecli.train.loop import Summary, train


def test_time_that_does_not_pass_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 5.0)
    assert seconds_since(9.0) == 0
    assert (per_second(100, 2.0), per_second(100, 0.0), per_second(100, -1.0)) == (50, 0, 0)
    assert (show_rate(1234.5, "images/s"), show_rate(0.0, "images/s")) == ("1,234 images/s", "")


@pytest.mark.parametrize("step", [0.0, -1.0])
def test_training_does_not_need_a_clock(
    step: float,
    digits: Dataset,
    small_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1e6]

    def clock() -> float:
        now[0] += step
        return now[0]

    monkeypatch.setattr(time, "perf_counter", clock)
    summary = train(digits, small_config, RunFolder(tmp_path / "run"))
    assert isinstance(summary, Summary)
    assert (summary.seconds, summary.images_per_second) == (0, 0)
    assert math.isfinite(summary.test_mse)
    assert "speed" not in dict(summary.facts("mse"))
