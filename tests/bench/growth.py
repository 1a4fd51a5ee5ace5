"""How cost grows with the number of images, of codes, and with the width of the network."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from .works import slope

ROWS = (10_000, 60_000, 240_000, 1_000_000)
MANY_ROWS = (60_000, 240_000, 1_000_000, 5_000_000)
WIDER = (1, 2, 4)
_TURNS = 3


def peak_megabytes() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def train_on(rows: int, wider: int = 1) -> dict[str, float]:
    """Return seconds of an epoch of the classic network on so many images, and the memory."""
    from aecli.config import choose_recipe, with_settings
    from aecli.data import Dataset, Source, open_dataset
    from aecli.run.checkpoint import load
    from aecli.run.folder import RunFolder
    from aecli.train.loop import train

    mnist = open_dataset("mnist").split("all").images
    images = np.resize(mnist, (rows + 2_000, 28, 28, 1))
    splits = {
        "train": slice(0, rows),
        "validation": slice(rows, rows + 1_000),
        "test": slice(rows + 1_000, rows + 2_000),
    }
    dataset = Dataset("tiled", Source("tiled"), images, None, None, splits)
    hidden = tuple(width * wider for width in (128, 64, 10))
    epochs = 3 if rows > 100_000 else 6
    config = with_settings(choose_recipe("classic"), {"hidden": hidden, "epochs": epochs})
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        train(dataset, config, run, memory=10**11)
        seconds = min(line.seconds for line in load(run.last).history[1:])
    return {"seconds": seconds, "megabytes": peak_megabytes()}


_REPORTING = (
    "import resource, sys; from aecli.__main__ import run; code = run();"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000); sys.exit(code)"
)


def run_command(arguments: list[str]) -> dict[str, float]:
    """Return wall time and memory of a whole process of aecli: the better of two."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        command = [sys.executable, "-c", _REPORTING, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds.append(time.perf_counter() - started)
    return {"seconds": min(seconds), "megabytes": float(done.stdout.splitlines()[-1])}


def encode_rows(rows: int) -> dict[str, float]:
    """Return what encoding so many images from a `.npy` file takes, as a whole process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = [
            "train",
            "mnist",
            "--recipe",
            "classic",
            "--epochs",
            "1",
            "-o",
            str(folder / "run"),
        ]
        subprocess.run([sys.executable, "-m", "aecli", *train], check=True, capture_output=True)
        images = folder / "images.npy"
        np.lib.format.open_memmap(images, "w+", np.uint8, (rows, 28, 28)).flush()
        codes = str(folder / "codes.npy")
        return run_command(["encode", str(folder / "run"), str(images), "-o", codes, "--force"])


def plot_rows(rows: int) -> dict[str, float]:
    """Return what drawing so many labelled codes takes, as a whole process."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, rows)
    with tempfile.TemporaryDirectory() as name:
        codes = Path(name) / "codes.npy"
        centres = generator.normal(size=(10, 2)) * 4
        np.save(codes, (centres[labels] + generator.normal(size=(rows, 2))).astype(np.float32))
        np.save(codes.with_suffix(".labels.npy"), labels)
        return run_command(["plot", str(codes), "--force"])


def width_times(wider: int) -> dict[str, float]:
    """Return what an epoch takes where all hidden layers are so many times wider."""
    return train_on(60_000, wider)


GROWTHS: dict[str, tuple[Callable[[int], dict[str, float]], tuple[int, ...]]] = {
    "epoch, images": (train_on, ROWS),
    "epoch, width x": (width_times, WIDER),
    "encode, images": (encode_rows, MANY_ROWS),
    "plot, codes": (plot_rows, MANY_ROWS),
}


def measure() -> dict[str, Any]:
    """Return what each size takes, in processes of its own, and the slope in log-log.

    All sizes take turns, and the quickest turn counts, as the speed of a machine drifts. A
    command's time is nearly constant up to some size: the slope is that of its two largest.
    """
    result: dict[str, Any] = {}
    for name, (_, sizes) in GROWTHS.items():
        turns: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
        for size in sizes * _TURNS:
            again = [sys.executable, "-m", "tests.bench.growth", name, str(size)]
            done = subprocess.run(again, stdout=subprocess.PIPE, check=True)
            turns[size].append(json.loads(done.stdout.splitlines()[-1]))
        rows = {size: min(of_size, key=itemgetter("seconds")) for size, of_size in turns.items()}
        seconds = [row["seconds"] for row in rows.values()]
        result[name] = {
            "sizes": rows,
            "slope": slope(sizes, seconds),
            "slope_of_the_largest": slope(sizes[-2:], seconds[-2:]),
        }
    return result


def print_growth(result: dict[str, Any]) -> None:
    """Print a line for each size."""
    print("\nhow cost grows (slopes in log-log: of all sizes, and of the two largest)")
    for name, growth in result.items():
        print(f"  {name}: {growth['slope']:.2f}, {growth['slope_of_the_largest']:.2f}")
        for size, row in growth["sizes"].items():
            print(
                f"    {size:>10,}{row['seconds']:10.3f} s{row['megabytes']:10,.0f} MB", flush=True
            )


if __name__ == "__main__":
    function, _ = GROWTHS[sys.argv[1]]
    print(json.dumps(function(int(sys.argv[2]))))
