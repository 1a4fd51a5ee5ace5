"""What all cases may copy: runs, codes, images, and a cache folder that is filled."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.attack.case import Case, Place
from tests.attack.running import PROGRAM, ROOT, here
from tests.data.examples import PIXELS, save_image
from tests.helpers import write_idx_folder

CHECKPOINTS = ROOT / "tests" / "checkpoints"
# A run of seconds; its programs are in the cache folder that all cases get.
SETTINGS = "--recipe plain --hidden 16,8 --epochs 4 --batch-size 64"
TRAIN = f"train digits {SETTINGS}"

# Runs a command of aecli with these arguments in a folder.
Run = Callable[[list[str], Path], None]


def make(folder: Path, run: Run, *, thorough: bool = False) -> Path:
    """Make what cases copy, in a folder that is empty, and return it.

    `run`: of the digits, with `codes.npy` and `codes-train.npy`, labels, provenance and numbers for
    each code; `map`: of the digits too, by another network; `images.npy`, uint8 (90, 8, 8), with
    `labels.npy`; `pictures`: a folder of two classes; `idx`: a folder of IDX files; `cache`: what
    was compiled and decoded for all these, if `thorough` also for training on them.
    """
    (folder / "cache").mkdir(parents=True)
    (folder / "matplotlib").mkdir()
    generator = np.random.default_rng(0)
    np.save(folder / "images.npy", generator.integers(0, 256, (90, 8, 8), np.uint8))
    np.save(folder / "labels.npy", np.arange(90) // 30)
    for row, pixels in enumerate(PIXELS[:40]):
        name = f"{'cat' if row < 20 else 'dog'}/{row:02}.png"
        save_image(folder / "pictures" / name, pixels)
    write_idx_folder(folder / "idx")
    shutil.copytree(CHECKPOINTS / "v5", folder / "map")
    for command in (
        f"{TRAIN} --quiet -o run",
        "encode run",
        "encode run --split train",
        "score run --per-point",
        "encode map",
        "encode run images.npy -o of-images.npy",
        "decode run -o decoded.npy",
        "data show pictures",
        "plot run -o map.png",
    ):
        run(command.split(), folder)
    if thorough:
        shutil.copytree(folder / "map", folder / "warm")
        run(["train", "--resume", "-o", "warm", "--epochs", "3"], folder)
    return folder


def in_this_process(arguments: list[str], folder: Path) -> None:
    """Run a command for `make`, where jax is imported already."""
    done = here(Case("", arguments, quiet=False), Place(folder, folder / "cache", folder))
    if done.code:
        raise AssertionError(f"{arguments}: {done.err}")


def in_process_of_its_own(arguments: list[str], folder: Path) -> None:
    """Run a command for `make`."""
    variables = {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"{arguments}: {done.stderr}")
