"""Noise taken off the MNIST test images: aecli beside a median filter, PCA and the best linear map.

    python -m tests.bench.denoise [--noise gaussian:0.3] [--latent 128 --hidden 1000 --epochs 10]

All clean the same images: 8-bit pixels in 0..1 that `aecli denoise --add-noise` spoils and clips.
What there is to choose, the size of the filter and the number of components, is chosen on the
validation images. Nothing here passes or fails.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np
import numpy.typing as npt

from aecli.data import open_dataset
from aecli.denoise import denoise, denoise_job
from aecli.model.autoencoder import to_unit_range
from aecli.noise import Noise, parse_noise
from aecli.npy import read_npy
from aecli.pixels import Images, unit_range
from aecli.run.folder import RunFolder
from aecli.train.job import job_on
from aecli.train.loop import train

Floats = npt.NDArray[np.float32]
Clean = Callable[[Floats], Floats]

_MEDIANS = (2, 3, 4, 5)
_COMPONENTS = (20, 30, 40, 60, 80, 100, 120, 150, 200, 300)
# The seeds of the noise of training images for the linear map, of validation and of test images.
_TRAIN, _VALIDATION, _TEST = 1, 0, 0
_ROWS = 5_000


def _with_noise(images: Images, noise: Noise, seed: int) -> Floats:
    spoil = jax.jit(lambda pixels: noise.spoil_each(pixels, to_unit_range(pixels), seed))
    parts = [images[start : start + _ROWS] for start in range(0, len(images), _ROWS)]
    return np.concatenate([np.asarray(spoil(part)) for part in parts])


def _psnr(made: Floats, clean: Floats) -> float:
    """Return the mean over the images of their peak signal-to-noise ratios, in dB."""
    errors = np.square(made - clean).reshape(len(made), -1).mean(axis=1, dtype=np.float64)
    return float(-10 * np.log10(np.maximum(errors, 1e-10)).mean())


def _median(size: int) -> Clean:
    from scipy.ndimage import median_filter

    return lambda noisy: median_filter(noisy, (1, size, size, 1))


def _pca(clean: Floats, noisy: Floats) -> Callable[[int], Clean]:
    """Return PCA of clean training images, for a number of components.

    What it is given has the mean of noisy images, since clipped noise makes black lighter.
    """
    rows, mean = clean.reshape(len(clean), -1), noisy.mean(axis=0).reshape(-1)
    own_mean = rows.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov((rows - own_mean).T))

    def of(count: int) -> Clean:
        chosen = directions[:, ::-1][:, :count].astype(np.float32)

        def project(images: Floats) -> Floats:
            centred = images.reshape(len(images), -1) - mean
            made: Floats = np.clip(centred @ chosen @ chosen.T + own_mean, 0, 1)
            return made.reshape(images.shape)

        return project

    return of


def _linear(clean: Floats, noisy: Floats) -> Clean:
    """Return the linear map of least squares from noisy to clean training images."""
    given, wanted = (images.reshape(len(images), -1) for images in (noisy, clean))
    means = given.mean(axis=0), wanted.mean(axis=0)
    given, wanted = given - means[0], wanted - means[1]
    # As much again as 1 % of the noise, so that pixels which are always black are no trouble.
    ridge = 1e-3 * len(given) * np.eye(given.shape[1])
    kernel = np.linalg.solve(given.T @ given + ridge, given.T @ wanted).astype(np.float32)

    def apply(images: Floats) -> Floats:
        made: Floats = np.clip(
            (images.reshape(len(images), -1) - means[0]) @ kernel + means[1], 0, 1
        )
        return made.reshape(images.shape)

    return apply


def _best(contenders: Mapping[str, Clean], noisy: Floats, clean: Floats) -> tuple[str, Clean]:
    """Return the contender that cleans validation images best."""
    ratios = {name: _psnr(one(noisy), clean) for name, one in contenders.items()}
    name = max(ratios, key=lambda one: ratios[one])
    return name, contenders[name]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.denoise", description=__doc__)
    parser.add_argument("--noise", default="gaussian:0.3")
    parser.add_argument("--latent", type=int, default=128)
    parser.add_argument("--hidden", default="1000")
    parser.add_argument("--epochs", type=int, default=10)
    asked = parser.parse_args()
    noise = parse_noise(asked.noise)
    if noise is None:
        parser.error("expected some noise")
    data = open_dataset("mnist")
    pixels = {name: data.split(name).images for name in ("train", "validation", "test")}
    clean = {name: unit_range(images) for name, images in pixels.items()}
    seeds = {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}
    noisy = {name: _with_noise(images, noise, seeds[name]) for name, images in pixels.items()}
    pca = _pca(clean["train"], noisy["train"])
    chosen = [
        _best({f"median filter {n}x{n}": _median(n) for n in _MEDIANS},
              noisy["validation"], clean["validation"]),
        _best({f"PCA, {count} components": pca(count) for count in _COMPONENTS},
              noisy["validation"], clean["validation"]),
        ("linear map, least squares", _linear(clean["train"], noisy["train"])),
    ]  # fmt: skip
    print(f"PSNR of the {len(clean['test']):,} MNIST test images with {asked.noise}, in dB")
    print(f"  as they are{_psnr(noisy['test'], clean['test']):32.2f}")
    for name, one in chosen:
        print(f"  {name:32}{_psnr(one(noisy['test']), clean['test']):11.2f}", flush=True)
    settings = {
        "recipe": "plain",
        "noise": asked.noise,
        "latent": asked.latent,
        "hidden": asked.hidden,
        "epochs": asked.epochs,
    }
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place) / "run")
        started = time.perf_counter()
        train(data, job_on(data, folder, settings).config, folder)
        seconds = time.perf_counter() - started
        out = Path(place) / "clean.npy"
        denoise(denoise_job(folder.path, out=out, noise=asked.noise, seed=_TEST))
        ratio = _psnr(read_npy(out), clean["test"])
    name = f"aecli, {asked.hidden.replace(',', '-')}-{asked.latent}, {seconds:.0f} s"
    print(f"  {name:32}{ratio:11.2f}")


if __name__ == "__main__":
    main()
