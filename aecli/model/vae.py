"""The variational kind: an image is a Gaussian of codes, held near one that can be drawn from.

The encoder's last layer gives the mean, which is the code wherever one is asked for. One more layer
gives the log variances. Source: Kingma and Welling, *Auto-encoding variational Bayes* (2014).
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from aecli.config import UINT32, Config, counts
from aecli.errors import InputError
from aecli.model.layers import Layer, dense

if TYPE_CHECKING:
    import jax

# The log variance of each code before training: that of the prior.
_FIRST_LOG_VARIANCE = 0.0
# A number of the code whose Gaussians are as near to the prior as this, in nats, tells nothing.
COLLAPSED = 0.01
_SAMPLES = counts(10_000_000)

Floats = npt.NDArray[np.float32]


class Gaussians(NamedTuple):
    """What the encoder makes of n images: means and log variances, float32 (n, d)."""

    means: "jax.Array"
    log_variances: "jax.Array"

    @property
    def deviations(self) -> "jax.Array":
        """The standard deviations, float32 (n, d)."""
        import jax.numpy as jnp

        return jnp.exp(self.log_variances / 2)

    def sample(self, noise: "jax.Array") -> "jax.Array":
        """Return a code of each, (n, d), which standard normal noise (n, d) chooses."""
        return self.means + self.deviations * noise

    def divergences(self) -> "jax.Array":
        """Return the KL divergence of each number of each code from the prior, (n, d), in nats.

        The prior is the standard normal: the closed form of Kingma and Welling, appendix B.
        """
        import jax.numpy as jnp

        variances = jnp.exp(self.log_variances)
        return (jnp.square(self.means) + variances - self.log_variances - 1) / 2


def spread_layer(last: Layer) -> Layer:
    """Return the layer of the log variances, beside the encoder's last layer."""
    sizes = math.prod(last.input), math.prod(last.output)
    return dense(("encoder", "spread"), *sizes, "linear", starts_at=_FIRST_LOG_VARIANCE)


def noise(keys: "jax.Array", sample: "jax.Array | int", width: int) -> "jax.Array":
    """Return standard normal noise, float32 (n, width), for a sample of each of n keys."""
    import jax

    def of_key(key: "jax.Array") -> "jax.Array":
        return jax.random.normal(jax.random.fold_in(key, sample), (width,))

    return jax.vmap(of_key)(keys)


def prior_codes(config: Config, count: int, seed: int = 0) -> Floats:
    """Return codes drawn from the prior, float32 (count, d): the same for the same seed.

    Raises:
        InputError: a number is out of range, or the codes of this config have no prior.

    """
    _SAMPLES.check("--sample", count)
    UINT32.check("--seed", seed)
    refuse_points(config, "--sample")
    return np.random.default_rng(seed).standard_normal((count, config.latent), np.float32)


def refuse_points(config: Config, option: str) -> None:
    """Raise `InputError` for an option that needs Gaussians where codes are points."""
    if config.kind != "vae":
        raise InputError(
            f"{option} needs a run whose codes are Gaussians: aecli train --kind vae learns one"
        )
