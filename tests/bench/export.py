"""A run and its ONNX models side by side: seconds to encode and to decode, and how far apart.

python -m tests.bench.export RUN [RUN ...]

Each run's test images are encoded, and their codes decoded, in turns, both warm and with all cores:
by aecli, and by onnxruntime in batches of 1,000 and, where no distances to references take memory,
all at once. The least of some turns is shown,
of wall time and of processor time (onnxruntime's threads wait for each other without sleeping,
unless told otherwise, as here).
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

_SECONDS = 8
_TURNS = 3
_BATCH = 1_000


def measure(run: Path) -> None:
    """Print the rows of a run."""
    checkpoint = load(find_checkpoint(run))
    dataset, model = reopen(checkpoint), load_model(checkpoint)
    interface = interface_of(checkpoint)
    models = onnx_models(checkpoint, interface, run.name, dataset)
    facts = models.facts
    print(f"{run}: codes {facts['codes']:.1e}, images {facts['images']:.1e} apart at most")
    images = dataset.split("test").images
    codes = encode(model, images)
    values = interface.outer(images)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    encoder, decoder = (onnxruntime.InferenceSession(one, options) for one in models.contents)
    few = model.references is None
    _print("encode", lambda: encode(model, images), encoder, values, at_once_too=few)
    _print("decode", lambda: decode(model, codes), decoder, codes, at_once_too=True)


def _print(
    what: str, own: Callable[[], object], session: Any, values: Any, *, at_once_too: bool
) -> None:
    (given,), count = session.get_inputs(), len(values)

    def at_once() -> object:
        return session.run(None, {given.name: values})

    def in_batches() -> object:
        parts = (values[start : start + _BATCH] for start in range(0, count, _BATCH))
        return np.concatenate([session.run(None, {given.name: part})[0] for part in parts])

    ways = {"aecli": own, f"onnxruntime, batches of {_BATCH:,}": in_batches}
    if at_once_too:
        ways["all at once"] = at_once
    wall: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    begun = time.perf_counter()
    while len(wall["aecli"]) <= _TURNS or time.perf_counter() - begun < _SECONDS:
        for name, way in ways.items():
            started = time.perf_counter(), time.process_time()
            way()
            wall[name].append(time.perf_counter() - started[0])
            processor[name].append(time.process_time() - started[1])
    print(f"  {what} {count:,}, {len(wall['aecli'])} turns")
    print(f"    wall: {_least(wall)}")
    print(f"    processors: {_least(processor)}")


def _least(seconds: dict[str, list[float]]) -> str:
    """Return the least of each, without the first, and the ratio of the second to the first."""
    least = {name: min(some[1:]) for name, some in seconds.items()}
    shown = ", ".join(f"{name} {1e3 * one:.1f} ms" for name, one in least.items())
    own, batches, *_ = least.values()
    return f"{shown}, ratio {batches / own:.2f}"


def main() -> None:
    """Measure the runs that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    for run in parser.parse_args().runs:
        measure(run)


if __name__ == "__main__":
    main()
