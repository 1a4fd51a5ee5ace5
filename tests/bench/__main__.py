"""Measure aecli beside its peers: in turns, in one run, as ratios.

Nothing here passes or fails. MNIST is read from `AECLI_DATA_DIR`.
"""

import argparse
import json
import platform
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import growth, networks, processes
from .networks import CLASSIC, WIDE, Widths
from .works import Work, print_row, summarize

Epochs = Callable[..., list[float]]


def _epoch_works() -> list[Work]:
    def contenders(hidden: Widths, batch: int, epochs: int, who: Mapping[str, Epochs]) -> Any:
        return {name: partial(function, hidden, batch, epochs) for name, function in who.items()}

    few: dict[str, Epochs] = {
        "aecli": networks.aecli_epochs,
        "PyTorch in memory": networks.torch_epochs,
        "limit: its products in BLAS": networks.limit_epochs,
    }
    every = few | {
        "PyTorch in memory, fused Adam": partial(networks.torch_epochs, fused=True),
        "PyTorch DataLoader": partial(networks.torch_epochs, loader=True),
        "Keras 3 fit (TensorFlow)": networks.keras_epochs,
        "the tutorial's TF 1 graph": networks.tutorial_epochs,
        "scikit-learn MLPRegressor": networks.sklearn_epochs,
    }
    return [
        Work(f"epoch, {shape}, batch {batch}", contenders(hidden, batch, epochs, who))
        for shape, hidden, batch, epochs, who in (
            ("784-128-64-10-2", CLASSIC, 256, 4, every),
            ("784-128-64-10-2", CLASSIC, 1024, 4, few),
            ("784-1000-500-250-2", WIDE, 256, 1, few),
            ("784-1000-500-250-2", WIDE, 1024, 1, few),
        )
    ]


def _encode_works() -> list[Work]:
    return [
        Work(
            "encode, in process, 784-128-64-10-2",
            {
                "aecli": networks.aecli_encoding,
                "PyTorch, best of three batches": networks.torch_encoding,
                "Keras predict": networks.keras_encoding,
            },
            images=networks.ENCODED,
        ),
        Work(
            "place 10,000 new images, in process",
            {
                "aecli, map recipe": networks.aecli_neighbor_placing,
                "aecli, plain recipe": networks.aecli_placing,
                "umap-learn transform": networks.umap_placing,
            },
            turns=1,
            images=10_000,
        ),
    ]


def _prepare(folder: Path) -> None:
    """Make what the processes read, and fill the caches."""
    np.lib.format.open_memmap(folder / "million.npy", "w+", np.uint8, (1_000_000, 28, 28)).flush()
    train = processes.aecli("train", "mnist", "--recipe", "classic", "--epochs", "1")
    encode = processes.aecli("encode", folder / "run", "-o", folder / "codes.npy")
    for command in ([*train, "-o", str(folder / "run")], encode):
        subprocess.run(command, check=True, capture_output=True)
    for work in processes.works(folder):
        for contender in work.contenders.values():
            if not callable(contender) and "aecli" in contender:
                subprocess.run(contender, check=True, capture_output=True)


def main() -> None:
    """Measure and print tables, or one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="works whose name holds this text")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    works = {work.name: work for work in (*_epoch_works(), *_encode_works())}
    if asked.measure:
        name, contender = asked.measure
        print(json.dumps(works[name].contenders[contender]()))  # type: ignore[operator]
        return
    result: dict[str, Any] = {"machine": f"{platform.processor()} {platform.platform()}"}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _prepare(folder)
        for work in (*works.values(), *processes.works(folder)):
            if asked.only in work.name:
                result[work.name] = summarize(work, work.measure())
                if not asked.json:
                    print_row(work, result[work.name])
    if asked.only in "how cost grows":
        result["growth"] = growth.measure()
        if not asked.json:
            growth.print_growth(result["growth"])
    if asked.json:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
