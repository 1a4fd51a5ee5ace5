"""A run and its ONNX models side by side: seconds to encode and to decode, and how far apart.

python -m tests.bench.export RUN [RUN ...]

Each run's test images are encoded, and their codes decoded, in turns, both warm and with all cores:
by aecli, and by onnxruntime all at once and in batches of 1,000. The least of 21 turns is shown.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from aecli.encode import decode, encode, load_model
from aecli.export.interface import interface_of
from aecli.export.onnx_files import onnx_models
from aecli.run.checkpoint import load
from aecli.run.folder import find_checkpoint
from aecli.run.reopen import reopen

_TURNS = 21
_BATCH = 1_000


def measure(run: Path) -> None:
    """Print the rows of a run."""
    checkpoint = load(find_checkpoint(run))
    dataset, model = reopen(checkpoint), load_model(checkpoint)
    interface = interface_of(checkpoint.data)
    models = onnx_models(checkpoint, interface, run.name, dataset)
    facts = models.facts
    print(f"{run}: codes {facts['codes']:.1e}, images {facts['images']:.1e} apart at most")
    images = dataset.split("test").images
    codes = encode(model, images)
    values = interface.outer(images)
    encoder, decoder = map(onnxruntime.InferenceSession, models.contents)
    _print("encode", len(images), lambda: encode(model, images), encoder, values)
    _print("decode", len(images), lambda: decode(model, codes), decoder, codes)


def _print(what: str, count: int, own: Callable[[], object], session: Any, values: Any) -> None:
    (given,) = session.get_inputs()

    def at_once() -> object:
        return session.run(None, {given.name: values})

    def in_batches() -> object:
        parts = (values[start : start + _BATCH] for start in range(0, count, _BATCH))
        return np.concatenate([session.run(None, {given.name: part})[0] for part in parts])

    ways = {"aecli": own, "onnxruntime": at_once, f"batches of {_BATCH:,}": in_batches}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_TURNS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    least = {name: min(some[1:]) for name, some in seconds.items()}
    shown = ", ".join(f"{name} {1e3 * one:.1f} ms" for name, one in least.items())
    ratio = least["onnxruntime"] / least["aecli"]
    print(f"  {what} {count:,}: {shown}; onnxruntime / aecli {ratio:.2f}")


def main() -> None:
    """Measure the runs that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    for run in parser.parse_args().runs:
        measure(run)


if __name__ == "__main__":
    main()
