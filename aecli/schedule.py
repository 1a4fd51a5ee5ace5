"""The learning rate as a function of the step."""

import jax
import jax.numpy as jnp
import optax

from aecli.config import Config


def learning_rate_schedule(config: Config, steps_an_epoch: int) -> optax.Schedule:
    """Return the learning rate, float32, as a function of the step, from 0.

    `cosine` falls from the learning rate to 0 along half a cosine. `one-cycle` rises to it from a
    25th over the first 30 % of the steps, and falls to a 250,000th, both along half a cosine
    (Smith and Topin, *Super-convergence*, 2018, with the proportions of fast.ai's version).
    """
    peak, steps = config.learning_rate, config.epochs * steps_an_epoch
    rise = 0.3 * steps

    def along_cosine(start: float, end: float, share: jax.Array) -> jax.Array:
        return end + (start - end) * (1 + jnp.cos(jnp.pi * share)) / 2

    def schedule(step: jax.Array) -> jax.Array:
        now = jnp.asarray(step, jnp.float32)
        if config.schedule == "constant":
            return jnp.full_like(now, peak)
        if config.schedule == "cosine":
            return along_cosine(peak, 0, now / steps)
        return jnp.where(
            now < rise,
            along_cosine(peak / 25, peak, now / rise),
            along_cosine(peak, peak / 250_000, (now - rise) / (steps - rise)),
        )

    return schedule
