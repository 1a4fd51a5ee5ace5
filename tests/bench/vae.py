"""A variational autoencoder of 784-400-20 on MNIST, beside a plain PyTorch program of the same.

python -m tests.bench.vae --torch PYTHON   # a Python that has PyTorch

Both train on the same 55,000 images, shuffled, with Adam at 0.001 in batches of 128, in turns; the
bound is that of the 10,000 test images, with one sample of each. aecli's epoch includes its pass
over the validation images; PyTorch's has none.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from .networks import pixels

_SETTINGS = {
    "kind": "vae",
    "hidden": (400,),
    "latent": 20,
    "activation": "relu",
    "init": "glorot",
    "batch_size": 128,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "loss": "bce",
    "code_penalty": 0.0,
    "beta_warmup": 0.0,
}


def aecli_vae(epochs: int) -> dict[str, Any]:
    """Train with `aecli.train.loop`; return the bound, and the seconds of each epoch."""
    from aecli.config import choose_recipe, with_settings
    from aecli.data import open_dataset
    from aecli.run.checkpoint import load
    from aecli.run.folder import RunFolder
    from aecli.train.loop import Summary, train

    config = with_settings(choose_recipe("plain"), {**_SETTINGS, "epochs": epochs})
    processor = [time.process_time()]
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        summary = train(
            open_dataset("mnist"),
            config,
            run,
            report=lambda metrics, saved: processor.append(time.process_time()),
        )
        history = load(run.last).history
    assert isinstance(summary, Summary)
    return {
        "bound": summary.test_bound,
        "seconds": [line.seconds for line in history],
        "processor": np.diff(processor).tolist(),
    }


def main() -> None:
    """Measure in turns, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.vae", description=__doc__)
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--aecli", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.aecli:
        print(json.dumps(aecli_vae(asked.epochs)))
        return
    with tempfile.TemporaryDirectory() as place:
        paths = [f"{place}/{split}.npy" for split in ("train", "test")]
        for path, split in zip(paths, ("train", "test"), strict=True):
            np.save(path, pixels(split))
        program = str(Path(__file__).with_name("torch_vae.py"))
        commands = {
            "aecli": [sys.executable, "-m", "tests.bench.vae", "--aecli"],
            "PyTorch": [asked.torch, program, *paths],
        }
        commands["aecli"] += ["--epochs", str(asked.epochs)]
        commands["PyTorch"] += [str(asked.epochs)]
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
        for _ in range(asked.turns):
            for name, command in commands.items():
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[name].append(json.loads(done.stdout))
    for name, turns in found.items():
        # The first epoch pays for what comes once.
        clock, busy = (
            statistics.median(value for turn in turns for value in turn[key][1:])
            for key in ("seconds", "processor")
        )
        bounds = ", ".join(f"{turn['bound']:.2f}" for turn in turns)
        print(f"{name}: {clock:.2f} s an epoch, {busy:.2f} s of processor; test bound {bounds}")


if __name__ == "__main__":
    main()
