"""How good the recipes' maps are, three seeds each in 2-D and 3-D, beside PCA and other methods.

The data sets are MNIST, tables of scikit-learn, and any other that aecli reads. Other methods place
the test images as a recipe does; they have no seed and are fitted as often. Seconds are those of
the whole process for a recipe, and of `fit` for the others; placing is of the test images, in
process, once all is loaded and compiled.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aecli.config import RECIPES
from aecli.data import Dataset, open_dataset
from aecli.pixels import unit_rows
from aecli.plot.maps import maps_figure
from aecli.plot.save import save_figure
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.score.baselines import BASELINES, Embedding, place_with, place_with_pca
from aecli.score.metrics import knn_accuracy, trustworthiness
from aecli.score.scores import embed_run

from .tables import TABLES, write_table

PEERS = ("umap", "pacmap", "localmap")
Row = dict[str, float]
Floats = npt.NDArray[np.float32]


def judge(dataset: Dataset, placed: Embedding) -> Row:
    """Return 5-NN accuracy and the trustworthiness of the first 2,000 test codes, in pixels."""
    labels = dataset.labels_of("test")
    if labels is None or placed.train_codes is None or placed.train_labels is None:
        raise SystemExit("these images have no labels")
    pixels = unit_rows(dataset.split("test").images[:2000])
    row = {
        "knn_accuracy": knn_accuracy(placed.train_codes, placed.train_labels, placed.codes, labels),
        "trustworthiness": trustworthiness(pixels, placed.codes[:2000]),
    }
    others = {"test_mse": placed.mse, "place_seconds": placed.place_seconds}
    return row | {name: value for name, value in others.items() if value is not None}


def measure(dataset: Dataset, recipe: str, seed: int, latent: int) -> tuple[Row, Floats]:
    """Train one run in a process of its own; return its numbers and its test codes.

    The time is that of the whole process.
    """
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "aecli", "train", dataset.source.location, "--quiet"]
        command += ["--recipe", recipe, "--seed", str(seed), "--latent", str(latent)]
        started = time.perf_counter()
        subprocess.run([*command, "-o", f"{name}/run"], check=True, capture_output=True)
        seconds = time.perf_counter() - started
        checkpoint = load(RunFolder(Path(name) / "run").best)
    placed, _ = embed_run(checkpoint, dataset, "test")
    row = judge(dataset, placed)
    row |= {"parameters": checkpoint.parameter_count, "seconds": seconds}
    return row, placed.codes


def measure_peer(dataset: Dataset, name: str, latent: int) -> tuple[Row, Floats]:
    """Return the numbers of another method with its package's defaults, and its test codes."""
    placed = place_with(name, dataset, "test", latent)
    return judge(dataset, placed) | {"seconds": placed.fit_seconds or 0.0}, placed.codes


def compare(
    dataset: Dataset, methods: Sequence[str], seeds: Sequence[int], latent: int
) -> tuple[dict[str, Row], list[tuple[str, Floats]]]:
    """Measure recipes and other methods; return their numbers, and the maps of the first seed."""
    rows: dict[str, Row] = {}
    maps: list[tuple[str, Floats]] = []
    # In turns: the machine may be slower at one time than at another.
    runs: dict[str, list[Row]] = {name: [] for name in methods}
    for seed in seeds:
        for name in methods:
            if name in RECIPES:
                row, codes = measure(dataset, name, seed, latent)
            else:
                row, codes = measure_peer(dataset, name, latent)
            runs[name].append(row)
            rows[f"{name}, {latent}-D, seed {seed}"] = row
            if seed == seeds[0]:
                maps.append((_title(name, row), codes))
    for name, measured in runs.items():
        if len(measured) > 1:
            rows[f"{name}, {latent}-D, mean"] = {
                key: float(np.mean([row[key] for row in measured])) for key in measured[0]
            }
    rows[f"PCA, {latent}-D"] = judge(dataset, place_with_pca(dataset, "test", latent))
    return rows, maps


def main() -> None:
    """Measure and print a table for each data set, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = ", ".join(TABLES)
    parser.add_argument("datasets", nargs="*", default=["mnist"], help=f"aecli's, or {known}")
    both = (*RECIPES, *BASELINES)
    parser.add_argument("--methods", default=",".join((*RECIPES, *PEERS)), help=", ".join(both))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--latent", default="2,3")
    parser.add_argument("--picture", type=Path, help="the maps of the first seed, side by side")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    methods = arguments.methods.split(",")
    if not set(methods) <= set(both):
        parser.error(f"--methods: expected some of {', '.join(both)}")
    seeds = [int(text) for text in arguments.seeds.split(",")]
    found: dict[str, dict[str, Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.datasets:
            location = str(write_table(name, Path(folder))) if name in TABLES else name
            dataset, maps = open_dataset(location), []
            rows = found.setdefault(name, {})
            for latent in (int(text) for text in arguments.latent.split(",")):
                of_latent, drawn = compare(dataset, methods, seeds, latent)
                rows |= of_latent
                maps += drawn
            if not arguments.json:
                _print(name, rows)
            if arguments.picture:
                figure = maps_figure(maps, dataset.labels_of("test"), dataset.class_names)
                save_figure(figure, arguments.picture)
    if arguments.json:
        print(json.dumps(found, indent=2))


COLUMNS = (
    ("test_mse", "test mse", ".4f"),
    ("knn_accuracy", "5-NN", ".3f"),
    ("trustworthiness", "trust", ".3f"),
    ("parameters", "parameters", ",.0f"),
    ("seconds", "seconds", ".1f"),
    ("place_seconds", "placing", ".3f"),
)


def _title(name: str, row: Row) -> str:
    numbers = f"5-NN {row['knn_accuracy']:.3f}, trust {row['trustworthiness']:.3f}"
    error = f", mse {row['test_mse']:.4f}" if "test_mse" in row else ""
    return f"{name}: {numbers}{error}"


def _print(title: str, rows: dict[str, Row]) -> None:
    def line(name: str, cells: Sequence[str]) -> None:
        print(f"{name:24}" + "".join(f"{cell:>12}" for cell in cells))

    line(title, [shown for _, shown, _ in COLUMNS])
    for name, row in rows.items():
        line(name, [format(row[key], how) if key in row else "" for key, _, how in COLUMNS])


if __name__ == "__main__":
    main()
