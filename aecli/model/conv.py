"""The conv encoder: features of small patches, which dense layers then see in place of pixels."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aecli.config import Config
from aecli.model.dense import dense_stack
from aecli.model.layers import ImageShape, Layer

if TYPE_CHECKING:
    import jax

# Patches, in pixels: squares, each half over the next one. Chosen on MNIST.
PATCH = 8
STRIDE = PATCH // 2
FEATURES = 16


def encoder(config: Config, image_shape: ImageShape) -> tuple[Layer, ...]:
    """Return the layers from the pixels to the code: a convolution, then dense ones."""
    rows, columns = -(-image_shape[0] // STRIDE), -(-image_shape[1] // STRIDE)
    features = (rows, columns, FEATURES)
    # Any other activation of this many numbers takes as long as the product again, and the maps are
    # not better.
    kernel = (PATCH, PATCH, image_shape[2], FEATURES)
    patches = Patches(("encoder", "patches"), image_shape, features, kernel, "relu")
    widths = (math.prod(features), *config.hidden, config.latent)
    return patches, *dense_stack("encoder", config, widths)


@dataclass(frozen=True)
class Patches(Layer):
    """Features of small squares of an image, each half over the next one: a convolution.

    The image lies in the middle of black pixels, half a patch or more of them, both sides together:
    the padding SAME of a strided convolution. XLA's convolution takes up to four times as long on a
    processor as the product here.
    """

    @property
    def cost(self) -> int:
        """How many numbers the patches of an image are."""
        rows, columns, _ = self.output
        return rows * columns * math.prod(self.kernel[:-1])

    @property
    def margins(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """How many black pixels lie around an image: (above, below), (left, right)."""
        height, width, _ = self.input
        rows, columns, _ = self.output
        missing = (rows + 1) * STRIDE - height, (columns + 1) * STRIDE - width
        down, across = ((pixels // 2, pixels - pixels // 2) for pixels in missing)
        return down, across

    def product(self, values: "jax.Array", kernel: "jax.Array") -> "jax.Array":
        """Return the products of the patches of images (n, h, w, c): (n, rows, columns, f)."""
        import jax.numpy as jnp

        count, _, _, channels = values.shape
        rows, columns, features = self.output
        padded = jnp.pad(values, [(0, 0), *self.margins, (0, 0)])
        # A patch is two by two cells; one after the other they are a row of the product.
        cells = padded.reshape(count, rows + 1, STRIDE, columns + 1, STRIDE, channels)
        cells = cells.swapaxes(2, 3).reshape(count, rows + 1, columns + 1, -1)
        corners = [(top, left) for top in (0, 1) for left in (0, 1)]
        patches = [cells[:, top : top + rows, left : left + columns] for top, left in corners]
        kernel = kernel.reshape(2, STRIDE, 2, STRIDE, channels, features)
        kernel = kernel.swapaxes(1, 2).reshape(-1, features)
        return self.multiplied(jnp.concatenate(patches, axis=-1), kernel)
