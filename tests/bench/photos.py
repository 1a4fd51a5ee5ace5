"""The recipe `photos` beside dense autoencoders with as many numbers a code, at equal time.

The data sets are those of `tests.bench.colours`, or any other. Time is that of the processor, of
the whole process, so that what else the machine does counts little: each contender gets as many
epochs as take as long as those of `photos`.

    python -m tests.bench.photos photos.npz emoji.npz --seeds 0,1,2 --picture photos.png
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecli.data import open_dataset
from aecli.encode import decode, encode, load_model
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder

LATENT = "64"
# Of dense ones `plain` is the recipe; the other has the widths, the output and the rate that were
# best of those tried.
DENSE = ("--hidden", "512", "--output", "linear", "--code-penalty", "0", "--batch-size", "64")
CONTENDERS = {
    "photos": ("--recipe", "photos"),
    "plain": ("--recipe", "plain"),
    "dense, tuned": ("--recipe", "plain", *DENSE, "--learning-rate", "0.001"),
}
SHOWN = 16
_ENLARGED = 2

Row = dict[str, float]


def train(data: str, options: tuple[str, ...], epochs: int | None, folder: Path) -> tuple[Row, Any]:
    """Train in a process of its own; return its numbers, and its model."""
    command = [
        sys.executable,
        "-m",
        "aecli",
        "train",
        data,
        "--quiet",
        "--latent",
        LATENT,
        *options,
    ]
    command += [] if epochs is None else ["--epochs", str(epochs)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = RunFolder(folder / "run")
    subprocess.run([*command, "-o", str(run.path), "--force"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = json.loads((run.path / "summary.json").read_text())
    checkpoint = load(run.best)
    row = {
        "test_mse": summary["test_mse"],
        "pca_mse": summary["pca_mse"],
        "epochs": checkpoint.config.epochs,
        "seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "parameters": checkpoint.parameter_count,
    }
    return row, load_model(checkpoint)


def epochs_within(data: str, options: tuple[str, ...], seconds: float, folder: Path) -> int:
    """Return how many epochs take so many seconds, by trainings of 1 and of 4."""
    one, four = (train(data, options, epochs, folder)[0]["seconds"] for epochs in (1, 4))
    return max(1, round(1 + (seconds - one) / max((four - one) / 3, 1e-3)))


def picture(images: npt.NDArray[Any], models: dict[str, Any]) -> Image.Image:
    """Return images, and below them what each model makes of their codes."""
    rows: list[npt.NDArray[Any]] = [images / np.float32(255)]
    rows += [decode(model, encode(model, images)) for model in models.values()]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    pixels = np.rint(255 * np.clip(sheet, 0, 1)).astype(np.uint8)
    return Image.fromarray(pixels.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1))


def main() -> None:
    """Measure and print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--epochs", type=int, help="of photos; the recipe's own")
    parser.add_argument("--picture", type=Path, help="images and what each makes of them")
    arguments = parser.parse_args()
    print("cores:", len(os.sched_getaffinity(0)))
    sheets = []
    for data in arguments.datasets:
        epochs: dict[str, int | None] = {"photos": arguments.epochs}
        models: dict[str, Any] = {}
        for seed in arguments.seeds.split(","):
            seconds = 0.0
            for name, options in CONTENDERS.items():
                with tempfile.TemporaryDirectory() as folder:
                    if name not in epochs:
                        epochs[name] = epochs_within(data, options, seconds, Path(folder))
                    seeded = (*options, "--seed", seed)
                    row, model = train(data, seeded, epochs[name], Path(folder))
                seconds = seconds or row["seconds"]
                models.setdefault(name, model)
                print(
                    f"{Path(data).name}, seed {seed}, {name:13} test MSE {row['test_mse']:.5f}, "
                    f"PCA {row['pca_mse']:.5f}, {row['epochs']} epochs, {row['seconds']:.0f} s of "
                    f"the processor, {row['parameters']:,} parameters",
                    flush=True,
                )
        images = open_dataset(data).split("test").images[:SHOWN]
        sheets.append(np.asarray(picture(images, models)))
    if arguments.picture:
        Image.fromarray(np.concatenate(sheets)).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
