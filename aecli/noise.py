"""Noise that spoils images, as denoising autoencoders are trained with. Importing imports no jax.

Source: Vincent et al., *Stacked denoising autoencoders* (2010), which has these three kinds.
"""

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aecli.errors import InputError

if TYPE_CHECKING:
    import jax

NO_NOISE = "none"
# The most of each kind: what there is beyond says nothing of the image.
_MOST = {"gaussian": 10.0, "mask": 1.0, "salt": 1.0}
# Numbers are drawn from so many levels, two for each 32 random bits.
_LEVELS = 2**16
# Odd, so that a sum of products with its odd multiples tells the places of pixels apart.
_SPREAD = 0x9E3779B1


@dataclass(frozen=True)
class Noise:
    """One kind of noise, and how much of it.

    `gaussian` adds numbers of mean 0 and standard deviation `level`; they end at 4.3 deviations.
    `mask` puts 0 in place of a share `level` of the pixels, of all channels at once. `salt` puts 0
    or 1, one as often as the other, in place of such a share: salt and pepper. The unit is the
    range of the pixels, 0..1; of standardised vectors a deviation of the column, whose mean is 0.
    """

    kind: str
    level: float

    def spoil(self, images: "jax.Array", key: "jax.Array", *, clip: bool = True) -> "jax.Array":
        """Return spoilt images, float32 (n, h, w, c), of such in 0..1: a function of these and key.

        With `clip` they stay in 0..1, as the pixels of any file do.
        """
        import jax
        import jax.numpy as jnp

        if self.kind == "gaussian":
            drawn = jax.scipy.special.erfinv(2 * _uniform(key, images.shape) - 1)
            spoilt = images + jnp.float32(math.sqrt(2) * self.level) * drawn
            return jnp.clip(spoilt, 0, 1) if clip else spoilt
        drawn = _uniform(key, (*images.shape[:-1], 1))
        # Those that are hit are the lowest; the lower half of them becomes white.
        white = drawn < (self.level / 2 if self.kind == "salt" else 0)
        return jnp.where(drawn < self.level, white.astype(jnp.float32), images)

    def spoil_each(
        self, pixels: "jax.Array", images: "jax.Array", seed: int, *, clip: bool = True
    ) -> "jax.Array":
        """Return images, each spoilt by a key that follows from the seed and from its own pixels.

        `pixels` (n, h, w, c) are of any type of pixel, `images` the same as float32 in 0..1. So an
        image has the same noise wherever it comes among others; equal images have equal noise.
        """
        import jax

        def one(key: "jax.Array", image: "jax.Array") -> "jax.Array":
            return self.spoil(image[None], key, clip=clip)[0]

        return jax.vmap(one)(image_keys(pixels, seed), images)


def image_keys(pixels: "jax.Array", seed: int) -> "jax.Array":
    """Return a random key for each of the images (n, ...), (n,): its pixels and the seed choose it.

    So an image has the same noise wherever it lies among others.
    """
    import jax
    import jax.numpy as jnp

    rows = pixels.reshape(len(pixels), -1)
    if rows.dtype == jnp.float32:
        rows = jax.lax.bitcast_convert_type(rows, jnp.uint32)
    places = 2 * jnp.arange(rows.shape[1], dtype=jnp.uint32) + jnp.uint32(1)
    products = rows.astype(jnp.uint32) * (places * jnp.uint32(_SPREAD))[None, :]
    sums = products.sum(axis=1, dtype=jnp.uint32)
    return jax.vmap(lambda one: jax.random.fold_in(jax.random.key(seed), one))(sums)


def _uniform(key: "jax.Array", shape: tuple[int, ...]) -> "jax.Array":
    """Return numbers between 0 and 1, float32 (n, ...), of 16 random bits each.

    jax's own take 32 bits, and with the function that makes them normal three times as long.
    """
    import jax
    import jax.numpy as jnp

    count, numbers = shape[0], math.prod(shape[1:])
    bits = jax.random.bits(key, (count, -(-numbers // 2)), jnp.uint32)
    halves = jnp.stack([bits % _LEVELS, bits // _LEVELS], axis=-1).reshape(count, -1)
    return ((halves[:, :numbers].astype(jnp.float32) + 0.5) / _LEVELS).reshape(shape)


def parse_noise(text: str, option: str = "--noise") -> Noise | None:
    """Return the noise that a text such as `gaussian:0.3` means; None for `none`.

    Raises:
        InputError: it means none; `option` is what it was given to.

    """
    if text == NO_NOISE:
        return None
    kind, _, number = text.partition(":")
    if re.fullmatch(r"\d{0,9}\.?\d{1,9}", number, re.ASCII):
        level = float(number)
        if 0 < level <= _MOST.get(kind, 0):
            return Noise(kind, level)
    raise InputError(
        f"{option} {text!r}: expected none, gaussian:DEVIATION (at most {_MOST['gaussian']:g}), "
        "mask:SHARE or salt:SHARE (at most 1), the number above 0, such as gaussian:0.3"
    )
