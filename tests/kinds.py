"""Every kind of autoencoder, once: what must hold for all of them is tested over this list."""

from typing import Any

import numpy as np

from aecli.config import Config, choose_recipe, with_settings
from aecli.data import Dataset, Source

# The recipe and the settings that make a model another kind, by name. A kind that is added needs
# a row here, and is tested for exact resuming, streaming, many processes, the same code in any
# company, ONNX, PyTorch and the page.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "classic": ("classic", {}),
    "plain": ("plain", {}),
    "map": ("map", {"neighbors": 5}),
    "sparse": ("plain", {"latent": 6, "sparsity": 2}),
    "denoising": ("plain", {"noise": "gaussian:0.3"}),
    "vae": ("plain", {"kind": "vae", "loss": "bce", "beta_warmup": 0.5}),
    "bf16": ("map", {"neighbors": 5, "precision": "bf16"}),
}
# So small that what takes time is compiling.
_SMALL: dict[str, Any] = {"hidden": (12, 9), "epochs": 2, "batch_size": 8}


def config_of(kind: str) -> Config:
    """Return small settings of a kind."""
    recipe, settings = KINDS[kind]
    return with_settings(choose_recipe(recipe), _SMALL | settings)


def color_images() -> Dataset:
    """Return smooth colour images of 9x8 with labels: 160 to train on, 40 to validate on."""
    noise = np.random.default_rng(5).normal(size=(240, 9, 8, 3))
    smooth = np.cumsum(np.cumsum(noise, axis=1), axis=2)
    low, high = smooth.min(axis=(1, 2), keepdims=True), smooth.max(axis=(1, 2), keepdims=True)
    images = (255 * (smooth - low) / (high - low)).astype(np.uint8)
    splits = {"train": slice(0, 160), "validation": slice(160, 200), "test": slice(200, 240)}
    source = Source("color", rescale=None, ground=None)
    return Dataset("color", source, images, np.arange(240) % 3, ("a", "b", "c"), splits)
