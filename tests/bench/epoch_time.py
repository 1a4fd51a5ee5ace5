"""Seconds an epoch of the classic network on MNIST, aecli beside PyTorch, in turns.

Each turn is a process of its own for each contender, so that none warms the machine for another
and all see the same neighbours. aecli's epoch includes its pass over the validation images;
PyTorch's does not have one.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

EPOCHS = 6
TURNS = 4


def time_aecli() -> list[float]:
    """Return the seconds of each epoch of `--recipe classic`."""
    import tempfile

    from aecli.checkpoint import load
    from aecli.config import choose_recipe, with_settings
    from aecli.data import open_dataset
    from aecli.runs import RunFolder
    from aecli.train import train

    config = with_settings(choose_recipe("classic"), {"epochs": EPOCHS})
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        train(open_dataset("mnist"), config, run, about={})
        return [line.seconds for line in load(run.last).history]


def time_torch(fused: bool) -> list[float]:
    """Return the seconds of each epoch of a plain PyTorch loop over tensors in memory."""
    import torch
    from torch import nn

    from aecli.data import open_dataset

    pixels = open_dataset("mnist").split("train").images.reshape(-1, 784)
    images = torch.from_numpy(pixels.copy()).float() / 255
    widths = (784, 128, 64, 10, 2, 10, 64, 128, 784)
    layers: list[nn.Module] = []
    for i in range(8):
        layers.append(nn.Linear(widths[i], widths[i + 1]))
        if i != 3:
            layers.append(nn.Sigmoid())
    network = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused)
    seconds = []
    for _ in range(EPOCHS):
        started = time.perf_counter()
        for start in range(0, len(images) - 255, 256):
            batch = images[start : start + 256]
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(network(batch), batch)
            loss.backward()
            optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - started)
    return seconds


CONTENDERS: dict[str, Callable[[], list[float]]] = {
    "aecli": time_aecli,
    "PyTorch": lambda: time_torch(fused=False),
    "PyTorch, fused Adam": lambda: time_torch(fused=True),
}


def main() -> None:
    """Measure and print a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(CONTENDERS[arguments.only]()))
        return
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(TURNS):
        for name in CONTENDERS:
            command = [sys.executable, "-m", "tests.bench.epoch_time", "--only", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            # The first epoch pays for caches and allocation, on all sides.
            seconds[name] += json.loads(done.stdout)[1:]
    ours = statistics.median(seconds["aecli"])
    rows = {
        name: {
            "median_seconds": statistics.median(times),
            "least": min(times),
            "most": max(times),
            "aecli_over_this": ours / statistics.median(times),
        }
        for name, times in seconds.items()
    }
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("one epoch, 784-128-64-10-2, MNIST, batch 256, Adam, float32")
    print(f"{'':22}{'median s':>10}{'least':>8}{'most':>8}{'aecli / this':>14}")
    for name, row in rows.items():
        print(
            f"{name:22}{row['median_seconds']:10.3f}{row['least']:8.3f}{row['most']:8.3f}"
            f"{row['aecli_over_this']:14.2f}"
        )


if __name__ == "__main__":
    main()
