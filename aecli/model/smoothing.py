"""Images seen through their neighbours: the mean of the training images near an image.

The encoder sees this mean in place of the image. An image is placed by its first principal
components, and so is the memory, which stands for the training images; the mean over the memory is
taken there, with weights that fall with the distance, and is made an image again, but for the mean
of all.

With x an image as a row of pixels in 0..1:

    z = components (x - mean)
    w_j = softmax_j(log_counts_j - |z - memory_j|^2 / bandwidth)
    seen = components^T sum_j w_j memory_j

where rows of the memory that are the image itself count nothing: a training image does not see
itself. Source: Nadaraya, *On estimating regression* (1964), and Watson, *Smooth regression
analysis* (1964).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aecli.model.layers import ImageShape
from aecli.pixels import scale_of

if TYPE_CHECKING:
    import jax

# Squared distances below this share of both squared lengths are those of equal images: float32 and
# the formula of the distance round by about a quarter of it.
SAME = 4e-6
# The logarithm of the weight of what does not count; where nothing else is left, it counts.
NOTHING = -1e30
_PREFIX = "smoother."
MEMORY = f"{_PREFIX}memory"
BANDWIDTH = f"{_PREFIX}bandwidth"
_STORED = ("mean", "components", "memory", "log_counts", "bandwidth")


class Seen(NamedTuple):
    """What an encoder sees of some images.

    `coordinates`: float32 (n, q), see `Smoother.coordinates`. `components` are the smoother's.
    """

    coordinates: Any
    components: Any

    def images(self, coordinates: "jax.Array", image_shape: ImageShape) -> "jax.Array":
        """Return the images (..., h, w, c) of coordinates (..., q), some of these or any.

        Their pixels are what differs from the mean training image: with the mean, which is the same
        in all, maps of few images were worse.
        """
        import jax.numpy as jnp

        *many, width = coordinates.shape
        rows = jnp.matmul(coordinates.reshape(-1, width), self.components)
        images: jax.Array = rows.reshape(*many, *image_shape)
        return images


class Smoother(NamedTuple):
    """The memory of the training images, and how far it is looked into; all float32.

    `mean`: (p,), the mean training image. `components`: (q, p), orthonormal, the first principal
    components. `memory`: (m, q), coordinates of training images, or means of several.
    `log_counts`: (m,), the logarithm of how many images each of them stands for. `bandwidth`: (),
    the squared distance at which a weight has fallen to 1/e. `squared_lengths`: (m,), of the rows
    of the memory; computed in a program they might be rounded otherwise by another program.
    """

    mean: Any
    components: Any
    memory: Any
    log_counts: Any
    bandwidth: Any
    squared_lengths: Any

    @classmethod
    def of(
        cls,
        mean: npt.NDArray[np.float32],
        components: npt.NDArray[np.float32],
        memory: npt.NDArray[np.float32],
        log_counts: npt.NDArray[np.float32],
        bandwidth: npt.NDArray[np.float32] | np.float32,
    ) -> "Smoother":
        """Return the smoother of what a checkpoint holds; see above."""
        squared_lengths = np.square(memory, dtype=np.float64).sum(axis=1).astype(np.float32)
        return cls(mean, components, memory, log_counts, bandwidth, squared_lengths)

    def seen(self, coordinates: Any) -> Seen:
        """Return what an encoder sees of images whose coordinates (n, q) these are."""
        return Seen(coordinates, self.components)

    def coordinates(self, rows: "jax.Array") -> "jax.Array":
        """Return where the encoder sees rows of pixels, float32 (n, p): their smoothed (n, q)."""
        import jax
        import jax.numpy as jnp

        # Accelerators round the factors of a product where they are not told otherwise.
        own = jnp.matmul(rows - self.mean[None, :], self.components.T, precision="highest")
        products = jnp.matmul(own, self.memory.T, precision="highest")
        both = jnp.square(own).sum(axis=1)[:, None] + self.squared_lengths[None, :]
        squared = both - 2 * products
        logits = self.log_counts[None, :] - squared / self.bandwidth
        logits = jnp.where(squared <= SAME * both, NOTHING, logits)
        means: jax.Array = jax.nn.softmax(logits, axis=1) @ self.memory
        return means

    def of_pixels(self, pixels: "jax.Array") -> Seen:
        """Return what an encoder sees of pixels (n, h, w, c), from 0 to `scale_of` their type."""
        import jax.numpy as jnp

        rows = pixels.reshape(len(pixels), -1).astype(jnp.float32) / scale_of(pixels.dtype)
        return self.seen(self.coordinates(rows))

    def images(self, pixels: "jax.Array") -> "jax.Array":
        """Return what an encoder sees of pixels (n, h, w, c) as images, float32 (n, h, w, c)."""
        height, width, channels = pixels.shape[1:]
        seen = self.of_pixels(pixels)
        return seen.images(seen.coordinates, (height, width, channels))

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the arrays by the names that they have in a checkpoint."""
        return {f"{_PREFIX}{name}": np.asarray(getattr(self, name)) for name in _STORED}

    @property
    def nbytes(self) -> int:
        """The size of the arrays."""
        return sum(value.nbytes for value in self)


def smoother_shapes(pixels: int, memory: int, components: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a smoother, by the names that a checkpoint has."""
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (pixels,),
        "components": (components, pixels),
        "memory": (memory, components),
        "log_counts": (memory,),
        "bandwidth": (),
    }
    return {f"{_PREFIX}{name}": shape for name, shape in shapes.items()}


def smoother_tensors(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return those of a checkpoint's tensors that are a smoother's."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}


def smoother_of(tensors: Mapping[str, npt.NDArray[Any]]) -> Smoother | None:
    """Return the smoother that is among a checkpoint's tensors; None where there is none."""
    own = smoother_tensors(tensors)
    return Smoother.of(*(own[f"{_PREFIX}{name}"] for name in _STORED)) if own else None
