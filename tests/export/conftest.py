"""Runs to export: one that was trained, and models of every kind that were not."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aecli.config import choose_recipe, with_settings
from aecli.data import Dataset, Source, open_dataset
from aecli.features import TrainingFeatures
from aecli.model.parameters import initial_parameters
from aecli.model.references import References, coordinates_of
from aecli.run.checkpoint import Checkpoint, flatten, to_bytes
from aecli.run.states import Best, EpochMetrics


@pytest.fixture
def run(digits_run: Path, tmp_path: Path) -> Path:
    """Return a run of one's own, without codes."""
    shutil.copytree(digits_run, tmp_path / "run")
    return tmp_path / "run"


Untrained = Callable[..., tuple[Checkpoint, Dataset]]


@pytest.fixture
def untrained(tmp_path: Path) -> Untrained:
    """Return a function that makes a model of images, as it is before it is trained.

    The images are an array, or the data at a path.
    """

    def make(
        images: npt.NDArray[Any] | Path, recipe: str, features: Path | None = None, **settings: Any
    ) -> tuple[Checkpoint, Dataset]:
        path = images if isinstance(images, Path) else tmp_path / "images.npy"
        if not isinstance(images, Path):
            np.save(path, images)
        dataset = open_dataset(
            Source(str(path), features=None if features is None else str(features))
        )
        config = with_settings(choose_recipe(recipe), {"hidden": (12, 9), **settings})
        mean = dataset.mean_image("train").astype(np.float32)
        parameters = flatten(initial_parameters(config, mean), "parameters")
        generator = np.random.default_rng(5)
        for name, values in parameters.items():
            if name.endswith("bias"):
                values += generator.normal(0, 0.3, values.shape).astype(np.float32)
        checkpoint = Checkpoint(config, dataset.describe(), 1, Best(1, 0.1), parameters)
        if config.placing == "neighbors":
            found = TrainingFeatures(dataset)
            components = found.neighbor_components
            coordinates, step = coordinates_of(found.neighbor_values)
            codes = generator.normal(0, 3, (len(coordinates), config.latent)).astype(np.float32)
            references = References(
                components.mean,
                components.directions,
                step,
                coordinates,
                codes,
                np.float32(np.square(coordinates.astype(np.float32)).sum(axis=1).mean() / 10),
                np.float32(2),
            )
            checkpoint = replace(checkpoint, tensors={**parameters, **references.tensors()})
        return checkpoint, dataset

    return make


def save_run(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the two checkpoints of a run of one epoch."""
    folder.mkdir()
    metrics = EpochMetrics(1, {"reconstruction": 0.2}, 0.1, 1e-3, 100.0, 1.0)
    last = replace(checkpoint, history=(metrics,))
    (folder / "best.safetensors").write_bytes(to_bytes(checkpoint))
    (folder / "last.safetensors").write_bytes(to_bytes(last))


def with_other_bias(checkpoint: Checkpoint, part: str) -> Checkpoint:
    """Return a checkpoint with one number of its encoder or decoder a little off."""
    name = f"parameters.{part}.layers.1.bias"
    bias = checkpoint.tensors[name].copy()
    bias[0] += 1e-3
    return replace(checkpoint, tensors={**checkpoint.tensors, name: bias})
