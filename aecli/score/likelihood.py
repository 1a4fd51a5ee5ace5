"""How likely a variational model finds images: its bound, and what importance sampling says."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from aecli.config import SplitName, counts
from aecli.data import Bar, Dataset, no_bar
from aecli.encode import Learned, TrainedModel, load_model, of_each_image
from aecli.errors import InputError
from aecli.losses import pixel_loss
from aecli.model.vae import noise, refuse_points
from aecli.noise import image_keys
from aecli.run.checkpoint import Checkpoint
from aecli.score.bound import Bound, bound_of

_SAMPLES = counts(100_000)


@dataclass(frozen=True)
class Likelihood:
    """The bound of images, and their negative log likelihood by `samples` of each, in nats.

    The latter two are None where they were not asked for.
    """

    bound: Bound
    samples: int | None = None
    nats: float | None = None

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The numbers by name, for people."""
        rows = [("KL, nats an image", f"{self.bound.divergence:.2f}")]
        if self.bound.nats is not None:
            rows.append(("bound, nats an image", f"{self.bound.nats:.2f}"))
        if self.nats is not None:
            rows.append((f"by {self.samples:,} samples, nats", f"{self.nats:.2f}"))
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the numbers in JSON's types."""
        return {
            "bound": self.bound.nats,
            "divergence": self.bound.divergence,
            "divergences": list(self.bound.divergences),
            "collapsed": self.bound.collapsed,
            "samples": self.samples,
            "negative_log_likelihood": self.nats,
        }


def check_samples(checkpoint: Checkpoint | None, samples: int) -> None:
    """Raise `InputError` where likelihoods cannot be had by this many samples."""
    _SAMPLES.check("--samples", samples)
    if checkpoint is None:
        raise InputError("--samples goes with a RUN: codes have no likelihood")
    refuse_points(checkpoint.config, "--samples")
    if checkpoint.config.loss != "bce":
        raise InputError(
            "--samples needs a run with --loss bce, whose pixels are probabilities: "
            f"this one has --loss {checkpoint.config.loss}"
        )


def measure_likelihood(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    samples: int | None = None,
    bar: Bar = no_bar,
) -> Likelihood:
    """Return the bound of a split, and with `samples` the likelihood by so many codes of each.

    Raises:
        InputError: there is no likelihood, or `samples` is out of range.

    """
    model, count = load_model(checkpoint), dataset.count(split)
    with bar("finding the bound", count) as advance:
        losses = of_each_image(_losses(model), model, dataset, split, report=advance)
    bound = bound_of(losses, checkpoint.config)
    if samples is None:
        return Likelihood(bound)
    check_samples(checkpoint, samples)
    with bar(f"drawing {samples:,} codes of each image", count) as advance:
        log_likelihoods = _log_likelihoods(model, samples)
        found = of_each_image(log_likelihoods, model, dataset, split, report=advance)
    return Likelihood(bound, samples, -float(found.mean(dtype="float64")))


def _losses(model: TrainedModel) -> Any:
    def losses(learned: Learned, pixels: jax.Array, *features: jax.Array) -> jax.Array:
        from aecli.model.autoencoder import losses_of

        return losses_of(model.autoencoder(learned), pixels, model.config)

    losses.__name__ = f"losses, {model.config.loss}"
    return losses


def _log_likelihoods(model: TrainedModel, samples: int) -> Any:
    """Return a function that estimates log p(x) of images, float32 (n,), in nats.

    The mean over codes z of q(z|x) of p(x|z) p(z) / q(z|x), in logarithms: the importance weighted
    bound of Burda et al. (2016), which comes near to log p(x) with many samples. One code of each
    image is decoded at a time, so that memory does not grow with their number.
    """
    config = model.config

    def log_likelihoods(learned: Learned, pixels: jax.Array, *features: jax.Array) -> jax.Array:
        from aecli.model.autoencoder import to_unit_range

        autoencoder, images = model.autoencoder(learned), to_unit_range(pixels)
        gaussians, keys = autoencoder.encoder.gaussians(images), image_keys(pixels, 0)

        def add(sample: jax.Array, total: jax.Array) -> jax.Array:
            drawn = noise(keys, sample, config.latent)
            codes = gaussians.sample(drawn)
            logits = autoencoder.decoder.logits(codes)
            nats = pixel_loss(logits, images, config.loss, config.output).sum(axis=(1, 2, 3))
            # Of the prior and of the posterior the constants are the same.
            ratio = jnp.square(drawn) + gaussians.log_variances - jnp.square(codes)
            return jnp.logaddexp(total, ratio.sum(axis=1) / 2 - nats)

        nothing = jnp.full(len(pixels), -jnp.inf, jnp.float32)
        total: jax.Array = jax.lax.fori_loop(0, samples, add, nothing)
        return total - math.log(samples)

    log_likelihoods.__name__ = f"log likelihoods by {samples} samples"
    return log_likelihoods
