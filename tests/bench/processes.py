"""Whole processes: aecli's commands, and the scripts that their users would write instead."""

import sys
from pathlib import Path

from .works import Work

Command = list[str]

# Ends where the first epoch would begin: all that comes before it is start-up.
_TO_THE_FIRST_STEP = """
import os, sys
from aecli.__main__ import run
from aecli.train import job as jobs
new_job = jobs.new_job
def new_job_without_epochs(*arguments, **options):
    job = new_job(*arguments, **options)
    from aecli.train.epochs import EpochInMemory
    EpochInMemory.__call__ = lambda *rest: os._exit(0)
    return job
jobs.new_job = new_job_without_epochs
run()
"""

_MATPLOTLIB = """
import sys
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
codes, labels = np.load(sys.argv[1]), np.load(sys.argv[2])
plt.figure(figsize=(8, 7))
plt.scatter(codes[:, 0], codes[:, 1], c=labels, s=2, cmap="tab10")
plt.colorbar()
plt.savefig(sys.argv[3], dpi=160)
"""

_TORCH_ENCODE = """
import sys
import numpy as np
import torch
from tests.bench.networks import CLASSIC, pixels, torch_network
encoder = torch_network(CLASSIC)[:7]
images = np.load(sys.argv[1], mmap_mode="r") if len(sys.argv) > 2 else pixels("test")
with torch.inference_mode():
    codes = [
        encoder(torch.tensor(images[i : i + 1024]).reshape(-1, 784).float() / 255).numpy()
        for i in range(0, len(images), 1024)
    ]
np.save(sys.argv[-1], np.concatenate(codes))
"""


def _python(program: str, *arguments: str | Path) -> Command:
    return [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)]


def aecli(*arguments: str | Path) -> Command:
    """Return the command of aecli with these arguments."""
    return [sys.executable, "-m", "aecli", *map(str, arguments)]


def works(folder: Path) -> list[Work]:
    """Return what is measured as whole processes, with files in `folder`."""
    run, codes = folder / "run", folder / "codes.npy"
    million = folder / "million.npy"
    # One epoch of the plain recipe is below the tutorial's error after its 50.
    plain = ("train", "mnist", "--recipe", "plain", "--force")
    to_its_error = aecli(*plain, "--epochs", "1", "-o", folder / "new")
    no_cache = f"import shutil; shutil.rmtree({str(folder / 'cold')!r}, ignore_errors=True);"
    run_it = "import sys; from aecli.__main__ import run; sys.exit(run())"
    cold = _python(
        f"{no_cache} import os; os.environ['XDG_CACHE_HOME'] = {str(folder / 'cold')!r}; {run_it}",
        *to_its_error[3:],
    )
    return [
        Work(
            "to the tutorial's test MSE of 0.0503, whole process",
            {
                "aecli train, warm cache": to_its_error,
                "aecli train, cold cache": cold,
                "the tutorial, 50 epochs": [sys.executable, "-m", "tests.bench.tutorial"],
            },
            turns=2,
        ),
        Work(
            "encode 10,000 images, whole process, from MNIST's files",
            {
                "aecli encode": aecli("encode", run, "-o", codes, "--force"),
                "import jax": _python("import jax"),
                "PyTorch script": _python(_TORCH_ENCODE, folder / "torch.npy"),
            },
            turns=5,
        ),
        Work(
            "encode 1,000,000 images, whole process, from a .npy file",
            {
                "aecli encode": aecli("encode", run, million, "-o", folder / "m.npy", "--force"),
                "PyTorch script": _python(_TORCH_ENCODE, million, folder / "torch.npy"),
            },
        ),
        Work(
            "start: train until its first step, warm cache",
            {
                "aecli train": _python(_TO_THE_FIRST_STEP, *plain, "-o", folder / "first"),
                "import jax": _python("import jax"),
                "import torch": _python("import torch"),
                "import tensorflow": _python("import tensorflow"),
            },
            turns=5,
        ),
        Work(
            "start: plot 10,000 codes",
            {
                "aecli plot": aecli("plot", codes, "-o", folder / "a.png", "--force"),
                "matplotlib script": _python(
                    _MATPLOTLIB, codes, folder / "codes.labels.npy", folder / "b.png"
                ),
            },
            turns=5,
        ),
        Work(
            "start: --help",
            {"aecli --help": aecli("--help"), "import torch": _python("import torch")},
            turns=5,
        ),
    ]
