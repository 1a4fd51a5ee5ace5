"""How good the recipes' maps are, three seeds each in 2-D and 3-D, beside PCA and umap-learn.

Seconds are those of the whole process for a recipe, and of `fit` for umap-learn; placing is of the
test images, in process, once all is loaded and compiled.
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
from aecli.score.baselines import Embedding, place_with, place_with_pca
from aecli.score.metrics import knn_accuracy, trustworthiness
from aecli.score.scores import embed_run

UMAP = "umap-learn"
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


def measure_umap(dataset: Dataset, latent: int) -> Row:
    """Return the numbers of umap-learn with its defaults."""
    placed = place_with("umap", dataset, "test", latent)
    return judge(dataset, placed) | {"seconds": placed.fit_seconds or 0.0}


def main() -> None:
    """Measure and print a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", nargs="?", default="mnist")
    parser.add_argument("--recipes", default=",".join([*RECIPES, UMAP]))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--latent", default="2,3")
    parser.add_argument("--picture", type=Path, help="the maps of the first seed, side by side")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.dataset)
    rows: dict[str, Row] = {}
    maps: list[tuple[str, Floats]] = []
    for latent in (int(text) for text in arguments.latent.split(",")):
        # In turns: the machine may be slower at one time than at another.
        runs: dict[str, list[Row]] = {recipe: [] for recipe in arguments.recipes.split(",")}
        seeds = [int(text) for text in arguments.seeds.split(",")]
        for seed in seeds:
            for recipe in runs:
                if recipe == UMAP:
                    if seed == seeds[0]:
                        rows[f"{UMAP}, {latent}-D"] = measure_umap(dataset, latent)
                    continue
                row, codes = measure(dataset, recipe, seed, latent)
                runs[recipe].append(row)
                rows[f"{recipe}, {latent}-D, seed {seed}"] = row
                if seed == seeds[0]:
                    maps.append((_title(recipe, row), codes))
        for recipe, measured in runs.items():
            if len(measured) > 1:
                rows[f"{recipe}, {latent}-D, mean"] = {
                    name: float(np.mean([row[name] for row in measured])) for name in measured[0]
                }
        rows[f"PCA, {latent}-D"] = judge(dataset, place_with_pca(dataset, "test", latent))
    if arguments.picture:
        figure = maps_figure(maps, dataset.labels_of("test"), dataset.class_names)
        save_figure(figure, arguments.picture)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        _print(dataset.name, rows)


COLUMNS = (
    ("test_mse", "test mse", ".4f"),
    ("knn_accuracy", "5-NN", ".3f"),
    ("trustworthiness", "trust", ".3f"),
    ("parameters", "parameters", ",.0f"),
    ("seconds", "seconds", ".1f"),
    ("place_seconds", "placing", ".3f"),
)


def _title(recipe: str, row: Row) -> str:
    return (
        f"{recipe}\n5-NN {row['knn_accuracy']:.3f}, trust {row['trustworthiness']:.3f}, "
        f"mse {row['test_mse']:.4f}"
    )


def _print(title: str, rows: dict[str, Row]) -> None:
    def line(name: str, cells: Sequence[str]) -> None:
        print(f"{name:24}" + "".join(f"{cell:>12}" for cell in cells))

    line(title, [shown for _, shown, _ in COLUMNS])
    for name, row in rows.items():
        line(name, [format(row[key], how) if key in row else "" for key, _, how in COLUMNS])


if __name__ == "__main__":
    main()
