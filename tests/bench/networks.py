"""The same network in aecli and its peers: an epoch of training, and encoding.

All are float32, with sigmoid layers, a linear code and Adam at 0.001, on the 55,000 training images
of MNIST in file order. aecli's epoch includes its pass over the validation images; the others have
none.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli.data import open_dataset, rows_between

CLASSIC = (128, 64, 10)
WIDE = (1000, 500, 250)
Widths = tuple[int, ...]
Floats = npt.NDArray[np.float32]


def pixels(split: str = "train") -> npt.NDArray[np.uint8]:
    """Return the images of a split, uint8 (n, 784)."""
    return open_dataset("mnist").split(split).images.reshape(-1, 784)  # type: ignore[arg-type]


def unit_pixels(split: str = "train") -> Floats:
    """Return the images of a split, float32 (n, 784) in 0..1."""
    return np.divide(pixels(split), 255, dtype=np.float32)


def _all_widths(hidden: Widths) -> Widths:
    return (784, *hidden, 2, *reversed(hidden), 784)


def _timed(epochs: int, run: Callable[[], object]) -> list[float]:
    """Return the seconds of each epoch but the first, which pays for what comes once."""
    seconds = []
    for _ in range(epochs + 1):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def aecli_epochs(hidden: Widths, batch: int, epochs: int) -> list[float]:
    """Train with `aecli.train.loop`; saving is not part of an epoch."""
    from aecli.config import choose_recipe, with_settings
    from aecli.run.checkpoint import load
    from aecli.run.folder import RunFolder
    from aecli.train.loop import train

    settings = {"epochs": epochs + 1, "hidden": hidden, "batch_size": batch}
    config = with_settings(choose_recipe("classic"), settings)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        train(open_dataset("mnist"), config, run)
        return [line.seconds for line in load(run.last).history][1:]


def torch_network(hidden: Widths) -> Any:
    """Return the network in PyTorch."""
    from torch import nn

    layers: list[Any] = []
    for index, (inputs, outputs) in enumerate(pairwise(_all_widths(hidden))):
        layers.append(nn.Linear(inputs, outputs))
        if index != len(hidden):
            layers.append(nn.Sigmoid())
    return nn.Sequential(*layers)


def torch_epochs(
    hidden: Widths, batch: int, epochs: int, fused: bool = False, loader: bool = False
) -> list[float]:
    """Train with a plain loop, over tensors in memory or a `DataLoader`."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    images = torch.from_numpy(unit_pixels())
    network = torch_network(hidden)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused)
    loading = DataLoader(TensorDataset(images), batch_size=batch, drop_last=True)

    def batches() -> Iterable[Any]:
        if loader:
            return (rows for (rows,) in loading)
        return (images[i : i + batch] for i in range(0, len(images) - batch + 1, batch))

    def epoch() -> None:
        for rows in batches():
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(network(rows), rows)
            loss.backward()
            optimizer.step()
        loss.item()

    return _timed(epochs, epoch)


def keras_network(hidden: Widths) -> tuple[Any, Any]:
    """Return encoder and autoencoder in Keras 3 on TensorFlow."""
    import keras

    def dense(width: int, linear: bool = False) -> Any:
        return keras.layers.Dense(width, activation=None if linear else "sigmoid")

    encoder = keras.Sequential([keras.Input((784,)), *map(dense, hidden), dense(2, linear=True)])
    decoder = keras.Sequential([keras.Input((2,)), *map(dense, (*reversed(hidden), 784))])
    return encoder, keras.Sequential([encoder, decoder])


def keras_epochs(hidden: Widths, batch: int, epochs: int) -> list[float]:
    """Train with Keras 3's `fit`."""
    import keras

    images = unit_pixels()
    images = images[: len(images) // batch * batch]
    _, network = keras_network(hidden)
    network.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    return _timed(
        epochs,
        lambda: network.fit(images, images, batch, epochs=1, shuffle=False, verbose=0),
    )


def tutorial_epochs(hidden: Widths, batch: int, epochs: int) -> list[float]:
    """Train with the tutorial's TensorFlow 1 graph, through `compat.v1`."""
    from .tutorial import build

    images = unit_pixels()
    session, placeholder, train, _ = build(hidden)

    def epoch() -> None:
        for start in range(0, len(images) - batch + 1, batch):
            session.run(train, {placeholder: images[start : start + batch]})

    return _timed(epochs, epoch)


def sklearn_epochs(hidden: Widths, batch: int, epochs: int) -> list[float]:
    """Train scikit-learn's `MLPRegressor`, whose output and code layers differ: it has one
    activation for all hidden layers and a linear output.
    """
    from sklearn.neural_network import MLPRegressor

    images = unit_pixels()
    images = images[: len(images) // batch * batch]
    network = MLPRegressor(
        hidden_layer_sizes=(*hidden, 2, *reversed(hidden)),
        activation="logistic",
        batch_size=batch,
        shuffle=False,
    )
    return _timed(epochs, lambda: network.partial_fit(images, images))


def limit_epochs(hidden: Widths, batch: int, epochs: int) -> list[float]:
    """Compute nothing but the matrix products of an epoch, with numpy's BLAS."""
    generator = np.random.default_rng(0)
    widths = _all_widths(hidden)
    values = [generator.random((batch, width), np.float32) for width in widths]
    weights = [generator.random(pair, np.float32) for pair in pairwise(widths)]
    gradients = [np.empty_like(weight) for weight in weights]
    places = [np.empty_like(value) for value in values]

    def epoch() -> None:
        for _ in range(55_000 // batch):
            for i, weight in enumerate(weights):
                np.dot(values[i], weight, out=places[i + 1])
            for i, weight in reversed(list(enumerate(weights))):
                np.dot(values[i].T, values[i + 1], out=gradients[i])
                if i:
                    np.dot(values[i + 1], weight.T, out=places[i])

    return _timed(epochs, epoch)


REPEATED = 5  # Times the 70,000 images are encoded over.


def _all_images() -> npt.NDArray[np.uint8]:
    return np.concatenate([pixels("all")] * 3)


ENCODED = 210_000


def _aecli_encoding(recipe: str, images: npt.NDArray[np.uint8]) -> list[float]:
    import jax

    from aecli.config import choose_recipe
    from aecli.encode import TrainedModel, encode
    from aecli.model.parameters import initial_parameters

    config, shape = choose_recipe(recipe), (28, 28, 1)
    parameters = initial_parameters(config, np.zeros(shape, np.float32))
    model = TrainedModel(config, shape, jax.device_put(parameters))
    return _timed(REPEATED, lambda: encode(model, images.reshape(-1, *shape)))


def aecli_encoding() -> list[float]:
    """Encode uint8 images with a model as `aecli encode` does."""
    return _aecli_encoding("classic", _all_images())


def torch_encoding() -> list[float]:
    """Encode uint8 images with PyTorch, in the batches that are quickest of three sizes."""
    import torch

    encoder = torch_network(CLASSIC)[:7]
    images = torch.from_numpy(_all_images())

    def run(batch: int) -> None:
        with torch.inference_mode():
            for rows in images.split(batch):
                encoder(rows.float() / 255).numpy()

    of_each = [_timed(REPEATED, partial(run, batch)) for batch in (256, 1024, 4096)]
    return min(of_each, key=statistics.median)


def keras_encoding() -> list[float]:
    """Encode with Keras' `predict`, which wants the images as float32."""
    encoder, _ = keras_network(CLASSIC)
    images = _all_images()
    return _timed(
        2, lambda: encoder.predict(np.divide(images, 255, dtype=np.float32), 4096, verbose=0)
    )


def aecli_placing() -> list[float]:
    """Place the 10,000 test images on a map, in process."""
    return _aecli_encoding("plain", pixels("test"))


def aecli_neighbor_placing() -> list[float]:
    """Place them as a run of the map recipe on the first 10,000 training images does."""
    import jax

    from aecli.config import choose_recipe
    from aecli.encode import TrainedModel, encode
    from aecli.features import TrainingFeatures
    from aecli.model.parameters import initial_parameters
    from aecli.references import fit_references

    dataset = open_dataset("mnist")
    first = rows_between(dataset.rows("train"), 0, 10_000)
    dataset = replace(dataset, splits={**dataset.splits, "train": first})
    config, shape = choose_recipe("map"), dataset.image_shape
    parameters = initial_parameters(config, np.zeros(shape, np.float32))
    model = TrainedModel(config, shape, jax.device_put(parameters))
    references = fit_references(dataset, model, TrainingFeatures(dataset))
    model = replace(model, references=jax.device_put(references))
    images = dataset.split("test").images
    return _timed(REPEATED, lambda: encode(model, images))


def umap_placing() -> list[float]:
    """Place them with umap-learn, fitted on the first 10,000 training images to save time."""
    import umap

    fitted = umap.UMAP().fit(unit_pixels()[:10_000])
    images = unit_pixels("test")
    return _timed(1, lambda: fitted.transform(images))
