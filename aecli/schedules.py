"""Functions of the training step: the learning rate, and the weights of terms of the loss."""

import jax
import jax.numpy as jnp
import optax

from aecli.config import Config

# Share of the steps in which the rate rises, and before the weight of neighbours falls.
_RISE = 0.3


def learning_rate_schedule(config: Config, steps_per_epoch: int) -> optax.Schedule:
    """Return the learning rate, float32, as a function of the step, from 0.

    `cosine` falls from the learning rate to 0 along half a cosine. `one-cycle` rises to it from a
    25th over the first 30 % of the steps, and falls to a 250,000th, both along half a cosine
    (Smith and Topin, *Super-convergence*, 2018, with the proportions of fast.ai's version).
    """
    peak, steps = config.learning_rate, config.epochs * steps_per_epoch
    rise = _RISE * steps

    def schedule(step: jax.Array) -> jax.Array:
        now = jnp.asarray(step, jnp.float32)
        if config.schedule == "constant":
            return jnp.full_like(now, peak)
        if config.schedule == "cosine":
            return _along_cosine(peak, 0, now / steps)
        return jnp.where(
            now < rise,
            _along_cosine(peak / 25, peak, now / rise),
            _along_cosine(peak, peak / 250_000, (now - rise) / (steps - rise)),
        )

    return schedule


def neighbor_weight_schedule(config: Config, steps_per_epoch: int) -> optax.Schedule:
    """Return the weight of the neighbour loss, float32, as a function of the step, from 0.

    It falls to the share `neighbor_final` of it while a one-cycle learning rate falls. Neighbours
    put the images into place; the reconstruction then settles those places finer.
    """
    steps = config.epochs * steps_per_epoch
    start, end = config.neighbor_weight, config.neighbor_weight * config.neighbor_final

    def schedule(step: jax.Array) -> jax.Array:
        share = (jnp.asarray(step, jnp.float32) / steps - _RISE) / (1 - _RISE)
        return _along_cosine(start, end, jnp.clip(share, 0, 1))

    return schedule


def beta_schedule(config: Config, steps_per_epoch: int) -> optax.Schedule:
    """Return the weight of the KL divergence, float32, as a function of the step, from 0.

    It rises from 0 along a line over the share `beta_warmup` of the steps (Bowman et al.,
    *Generating sentences from a continuous space*, 2016).
    """
    steps = config.beta_warmup * config.epochs * steps_per_epoch

    def schedule(step: jax.Array) -> jax.Array:
        share = (jnp.asarray(step, jnp.float32) + 1) / max(steps, 1.0)
        return config.beta * jnp.minimum(share, 1)

    return schedule


def _along_cosine(start: float, end: float, share: jax.Array) -> jax.Array:
    return end + (start - end) * (1 + jnp.cos(jnp.pi * share)) / 2
