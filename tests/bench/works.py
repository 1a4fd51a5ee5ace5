"""What is measured: works that several contenders do in turns, the first of them aecli."""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Work:
    """Some work, and who does it; each contender in processes of its own.

    A contender is a function that returns the seconds of each repetition, or the command of a
    process whose wall time counts. `images` is how many each repetition handles, where images a
    second say more than seconds. `variables` are set for its processes.
    """

    name: str
    contenders: Mapping[str, Callable[[], list[float]] | Sequence[str]]
    turns: int = 3
    images: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def measure(self) -> dict[str, list[float]]:
        """Return the seconds of each contender, all of which took turns."""
        seconds: dict[str, list[float]] = {name: [] for name in self.contenders}
        for _ in range(self.turns):
            for name, contender in self.contenders.items():
                seconds[name] += self._turn(name, contender)
        return seconds

    def _turn(self, name: str, contender: Any) -> list[float]:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | dict(self.variables)
        function = callable(contender)
        again = [sys.executable, "-m", "tests.bench", "--measure", self.name, name]
        started = time.perf_counter()
        done = subprocess.run(
            again if function else contender, env=environment, capture_output=True, text=True
        )
        passed = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{self.name}, {name}: {done.stderr[-2000:]}")
        seconds: list[float] = json.loads(done.stdout.splitlines()[-1]) if function else [passed]
        return seconds


def summarize(work: Work, seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    """Return median and spread of each contender, and aecli's median over its own."""
    ours = statistics.median(next(iter(seconds.values())))
    return {
        name: {
            "median_seconds": statistics.median(times),
            "least": min(times),
            "most": max(times),
            "aecli_over_this": ours / statistics.median(times),
            **(
                {"images_per_second": work.images / statistics.median(times)} if work.images else {}
            ),
        }
        for name, times in seconds.items()
    }


def print_row(work: Work, rows: Mapping[str, Any]) -> None:
    """Print what `summarize` returned, a line for each contender."""
    print(f"\n{work.name}")
    print(f"  {'':34}{'median s':>10}{'least':>9}{'most':>9}{'aecli / this':>14}", end="")
    print(f"{'images/s':>14}" if work.images else "")
    for name, row in rows.items():
        end = f"{row['images_per_second']:14,.0f}" if work.images else ""
        print(
            f"  {name:34}{row['median_seconds']:10.3f}{row['least']:9.3f}{row['most']:9.3f}"
            f"{row['aecli_over_this']:14.3f}{end}",
            flush=True,
        )


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the slope of the least-squares line through seconds over sizes, in log-log."""
    x, y = [math.log(size) for size in sizes], [math.log(second) for second in seconds]
    return statistics.linear_regression(x, y).slope
