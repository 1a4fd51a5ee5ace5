"""How good the recipes' maps of MNIST are: three seeds each, in 2-D, and one in 3-D, beside PCA."""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aecli.checkpoint import load
from aecli.config import RECIPES, SplitName, choose_recipe, with_settings
from aecli.data import Dataset, open_dataset
from aecli.encode import encode, load_model
from aecli.metrics import knn_accuracy, trustworthiness
from aecli.pca import fit_pca
from aecli.pixels import unit_rows
from aecli.runs import RunFolder
from aecli.train import Summary, train

SEEDS = (0, 1, 2)
JUDGED: tuple[SplitName, ...] = ("train", "test")
Row = dict[str, float]
Floats = npt.NDArray[np.float32]


def judge(dataset: Dataset, train_codes: Floats, test_codes: Floats) -> Row:
    """Return 5-NN accuracy and the trustworthiness of the first 2,000 test codes."""
    known, asked = dataset.split("train"), dataset.split("test")
    if known.labels is None or asked.labels is None:
        raise SystemExit("these images have no labels")
    pixels = asked.images[:2000].reshape(2000, -1).astype(np.float32)
    return {
        "knn_accuracy": knn_accuracy(train_codes, known.labels, test_codes, asked.labels),
        "trustworthiness": trustworthiness(pixels, test_codes[:2000]),
    }


def measure(dataset: Dataset, recipe: str, seed: int, latent: int) -> Row:
    """Train one run and return its numbers."""
    config = with_settings(choose_recipe(recipe), {"seed": seed, "latent": latent})
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        summary = train(dataset, config, folder, about={})
        if not isinstance(summary, Summary):
            raise SystemExit("interrupted")
        model = load_model(load(folder.best))
    codes = [encode(model, dataset.split(split).images) for split in JUDGED]
    return {
        "test_mse": summary.test_mse,
        **judge(dataset, *codes),
        "parameters": summary.parameters,
        "seconds": summary.seconds,
    }


def measure_pca(dataset: Dataset, latent: int) -> Row:
    """Return the numbers of PCA with as many dimensions."""
    known, asked = (unit_rows(dataset.split(split).images) for split in JUDGED)
    pca = fit_pca(known, latent)
    codes = (pca.project(rows) for rows in (known, asked))
    return {"test_mse": pca.error([asked]), **judge(dataset, *codes)}


def main() -> None:
    """Measure and print a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    dataset = open_dataset("mnist")
    rows: dict[str, Row] = {}
    for latent, seeds in ((2, SEEDS), (3, SEEDS[:1])):
        for recipe in RECIPES:
            runs = []
            for seed in seeds:
                runs.append(measure(dataset, recipe, seed, latent))
                rows[f"{recipe}, {latent}-D, seed {seed}"] = runs[-1]
            if len(runs) > 1:
                mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
                rows[f"{recipe}, {latent}-D, mean"] = mean
        rows[f"PCA, {latent}-D"] = measure_pca(dataset, latent)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'MNIST':24}{'test mse':>10}{'5-NN':>8}{'trust':>8}{'parameters':>12}{'seconds':>9}")
    for name, row in rows.items():
        end = f"{row['parameters']:12,.0f}{row['seconds']:9.1f}" if "seconds" in row else ""
        print(
            f"{name:24}{row['test_mse']:10.4f}{row['knn_accuracy']:8.3f}"
            f"{row['trustworthiness']:8.3f}{end}"
        )


if __name__ == "__main__":
    main()
