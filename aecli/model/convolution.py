"""Convolutions both ways: strided ones from an image to a small grid, and those back.

Upwards each place of a grid becomes two by two, and a convolution of 3x3 follows: no pixel has more
terms than its neighbours, as with transposed convolutions, whose images show checkerboards (Odena
et al., *Deconvolution and checkerboard artifacts*, 2016). Grids are not normalized: a place has few
features, and its brightness would be lost.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from aecli.config import Config, fit_channels
from aecli.errors import InputError
from aecli.model.dense import dense_stack
from aecli.model.layers import ImageShape, Layer

if TYPE_CHECKING:
    import jax

# Of a conv decoder where the settings name none; more or fewer by the size of the images.
CHANNELS = (32, 64, 128)
# Pixels of a strided convolution. Each is half over the next one.
_DOWN = 4
_UP = 3
_GROUP = "convolutions"


def grids(channels: tuple[int, ...], image_shape: ImageShape) -> list[ImageShape]:
    """Return the shape of an image, and those after each strided convolution.

    Raises:
        InputError: the images are too small for so many.

    """
    height, width, _ = image_shape
    fitting = (min(height, width) - 1).bit_length()
    if len(channels) > fitting:
        dense = "choose --encoder dense --decoder dense"
        advice = "expected fewer --channels" if fitting else dense
        raise InputError(
            f"convolutions halve the image {len(channels)} times, but images of {height}x{width} "
            f"have room for {fitting or 'none'}: {advice}"
        )
    found = [image_shape]
    for features in channels:
        height, width = -(-height // 2), -(-width // 2)
        found.append((height, width, features))
    return found


def encoder_stack(config: Config, image_shape: ImageShape) -> tuple[Layer, ...]:
    """Return the layers from the pixels to the code: strided convolutions, then dense ones."""
    shapes = grids(config.channels, image_shape)
    convolutions = tuple(
        Patches(
            ("encoder", _GROUP, index),
            before,
            after,
            (_DOWN, _DOWN, before[2], after[2]),
            config.activation,
        )
        for index, (before, after) in enumerate(pairwise(shapes))
    )
    widths = (math.prod(shapes[-1]), *config.hidden, config.latent)
    return *convolutions, *dense_stack("encoder", config, widths)


def decoder_stack(config: Config, image_shape: ImageShape) -> tuple[Layer, ...]:
    """Return the layers from the code to the pixels: dense ones, then upsampling convolutions.

    Raises:
        InputError: the images are too small.

    """
    channels = config.channels or fit_channels(CHANNELS, min(image_shape[:2]))
    shapes = grids(channels, image_shape)[::-1]
    last = len(shapes) - 2
    widths = (config.latent, *reversed(config.hidden), math.prod(shapes[0]))
    return *dense_stack("decoder", config, widths, hidden_ending=True), *(
        Upconvolution(
            ("decoder", _GROUP, index),
            before,
            after,
            (_UP, _UP, before[2], after[2]),
            config.output if index == last else config.activation,
            starts_at_mean=index == last,
        )
        for index, (before, after) in enumerate(pairwise(shapes))
    )


@dataclass(frozen=True)
class Patches(Layer):
    """Features of small squares of an image, each half over the next one: a convolution.

    The image, or grid of features, lies in the middle of zeros, half a patch or more of them, both
    sides together: the padding SAME of a strided convolution. XLA's convolution takes up to four
    times as long on a processor as the product here, and twenty times within a loop.
    """

    @property
    def stride(self) -> int:
        """How many pixels a patch lies behind the next one: half its side."""
        return self.kernel[0] // 2

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
        missing = (rows + 1) * self.stride - height, (columns + 1) * self.stride - width
        down, across = ((pixels // 2, pixels - pixels // 2) for pixels in missing)
        return down, across

    def product(self, values: "jax.Array", kernel: "jax.Array") -> "jax.Array":
        """Return the products of the patches of images (n, h, w, c): (n, rows, columns, f)."""
        import jax.numpy as jnp

        count, _, _, channels = values.shape
        rows, columns, features = self.output
        stride = self.stride
        padded = jnp.pad(values, [(0, 0), *self.margins, (0, 0)])
        # A patch is two by two cells; one after the other they are a row of the product.
        cells = padded.reshape(count, rows + 1, stride, columns + 1, stride, channels)
        cells = cells.swapaxes(2, 3).reshape(count, rows + 1, columns + 1, -1)
        corners = [(top, left) for top in (0, 1) for left in (0, 1)]
        patches = [cells[:, top : top + rows, left : left + columns] for top, left in corners]
        kernel = kernel.reshape(2, stride, 2, stride, channels, features)
        kernel = kernel.swapaxes(1, 2).reshape(-1, features)
        return self.multiplied(jnp.concatenate(patches, axis=-1), kernel)


@dataclass(frozen=True)
class Upconvolution(Layer):
    """A grid of features made twice as large, each place two by two, then a convolution of 3x3.

    What is beyond the output, where that has an odd side, is cut off.
    """

    @property
    def cost(self) -> int:
        """How many numbers an image is at most: as patches, or before the borders are cut off."""
        rows, columns, channels = self.input
        return 4 * (rows + 1) * (columns + 1) * max(channels, self.output[-1])

    @property
    def margins(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """How many zeros the enlarged grid has around it: (above, below), (left, right)."""
        rows, columns, _ = self.input
        height, width, _ = self.output
        return (1, 1 + height - 2 * rows), (1, 1 + width - 2 * columns)

    def product(self, values: "jax.Array", kernel: "jax.Array") -> "jax.Array":
        """Return the product with values (n, h, w, c): (n, height, width, f).

        Around a corner where four places meet, the four pixels see these places alone: one product
        with the sums of those weights that meet in a place, of 4/9 of the enlarged grid's size.
        """
        import jax.numpy as jnp

        count, rows, columns, channels = values.shape
        height, width, features = self.output

        def summed(weights: "jax.Array") -> "jax.Array":
            """Return (3, ...) as (place, pixel, ...): the pixels on both sides of a border."""
            first, second, third = weights
            before = jnp.stack([first + second, first])
            return jnp.stack([before, jnp.stack([third, second + third])])

        # (3, 3, c, f), (place, pixel, 3, c, f), then the same for the columns before them.
        kernel = summed(jnp.moveaxis(summed(kernel), 2, 0))
        kernel = kernel.transpose(2, 0, 4, 3, 1, 5).reshape(4 * channels, 4 * features)
        padded = jnp.pad(values, [(0, 0), (1, 1), (1, 1), (0, 0)])
        corners = [(top, left) for top in (0, 1) for left in (0, 1)]
        places = [padded[:, y : y + rows + 1, x : x + columns + 1] for y, x in corners]
        pixels = self.multiplied(jnp.concatenate(places, axis=-1), kernel)
        pixels = pixels.reshape(count, rows + 1, columns + 1, 2, 2, features).swapaxes(2, 3)
        pixels = pixels.reshape(count, 2 * rows + 2, 2 * columns + 2, features)
        return pixels[:, 1 : 1 + height, 1 : 1 + width]
