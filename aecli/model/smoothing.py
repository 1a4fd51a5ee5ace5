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
itself. Where images have features of another kind, those say which are near: within the softmax z
and memory_j are features then, on their own first principal components, and the mean is of the same
images as before; features that many images share do not tell them apart, and all of these count.
Source: Nadaraya, *On estimating regression* (1964), and Watson, *Smooth regression analysis*
(1964).
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
# Features that more images share say of a kind of images, not of one: these see each other.
SHARED = 15
# The logarithm of the weight of what does not count; where nothing else is left, it counts.
_NOTHING = -1e30
_PREFIX = "smoother."
MEMORY = f"{_PREFIX}memory"
BANDWIDTH = f"{_PREFIX}bandwidth"
_STORED = ("mean", "components", "memory", "log_counts", "bandwidth")
_FEATURES = f"{_PREFIX}features."
FEATURE_COMPONENTS = f"{_FEATURES}components"


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


class FeatureMemory(NamedTuple):
    """Features by which images are near each other, in place of their pixels; all float32.

    `mean`: (f,). `components`: (k, f), orthonormal. `memory`: (m, k), coordinates of the features
    of the images, or the means of several, that a smoother's memory has pixels of.
    """

    mean: Any
    components: Any
    memory: Any


class Smoother(NamedTuple):
    """The memory of the training images, and how far it is looked into; all float32.

    `mean`: (p,), the mean training image. `components`: (q, p), orthonormal, the first principal
    components. `memory`: (m, q), coordinates of training images, or means of several.
    `log_counts`: (m,), the logarithm of how many images each of them stands for. `bandwidth`: (),
    the squared distance at which a weight has fallen to 1/e. `features`: what distances are taken
    between in place of pixels; None for pixels. `squared_lengths`: (m,), of the rows of the memory
    that distances are taken to; computed in a program they might be rounded otherwise by another.

    What it is asked with, the `inputs`, are pixels (n, h, w, c), from 0 to `scale_of` their type,
    or where it has `features`, those of the images, float32 (n, f).
    """

    mean: Any
    components: Any
    memory: Any
    log_counts: Any
    bandwidth: Any
    squared_lengths: Any
    features: FeatureMemory | None = None

    @classmethod
    def of(
        cls,
        mean: npt.NDArray[np.float32],
        components: npt.NDArray[np.float32],
        memory: npt.NDArray[np.float32],
        log_counts: npt.NDArray[np.float32],
        bandwidth: npt.NDArray[np.float32] | np.float32,
        features: FeatureMemory | None = None,
    ) -> "Smoother":
        """Return the smoother of what a checkpoint holds; see above."""
        near = memory if features is None else features.memory
        squared_lengths = np.square(near, dtype=np.float64).sum(axis=1).astype(np.float32)
        return cls(mean, components, memory, log_counts, bandwidth, squared_lengths, features)

    def seen(self, coordinates: Any) -> Seen:
        """Return what an encoder sees of images whose coordinates (n, q) these are."""
        return Seen(coordinates, self.components)

    def coordinates(self, inputs: "jax.Array") -> "jax.Array":
        """Return where the encoder sees images, given by `inputs`: their smoothed (n, q)."""
        import jax
        import jax.numpy as jnp

        if self.features is None:
            rows = inputs.reshape(len(inputs), -1).astype(jnp.float32) / scale_of(inputs.dtype)
            mean, components, memory = self.mean, self.components, self.memory
        else:
            rows, (mean, components, memory) = inputs, self.features
        # Accelerators round the factors of a product where they are not told otherwise.
        own = jnp.matmul(rows - mean[None, :], components.T, precision="highest")
        products = jnp.matmul(own, memory.T, precision="highest")
        both = jnp.square(own).sum(axis=1)[:, None] + self.squared_lengths[None, :]
        squared = both - 2 * products
        logits = self.log_counts[None, :] - squared / self.bandwidth
        same = squared <= SAME * both
        if self.features is not None:
            sharing = jnp.where(same, jnp.exp(self.log_counts)[None, :], 0).sum(axis=1)
            same &= (sharing <= SHARED)[:, None]
        logits = jnp.where(same, _NOTHING, logits)
        means: jax.Array = jax.nn.softmax(logits, axis=1) @ self.memory
        return means

    def look(self, inputs: "jax.Array") -> Seen:
        """Return what an encoder sees of images, given by `inputs`."""
        return self.seen(self.coordinates(inputs))

    def images(self, inputs: "jax.Array", image_shape: ImageShape) -> "jax.Array":
        """Return what an encoder sees of images as images, float32 (n, h, w, c)."""
        seen = self.look(inputs)
        return seen.images(seen.coordinates, image_shape)

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the arrays by the names that they have in a checkpoint."""
        own = {f"{_PREFIX}{name}": np.asarray(getattr(self, name)) for name in _STORED}
        features = {} if self.features is None else self.features._asdict()
        return own | {f"{_FEATURES}{name}": np.asarray(value) for name, value in features.items()}


def smoother_shapes(
    pixels: int, memory: int, components: int, features: tuple[int, int] | None = None
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a smoother, by the names that a checkpoint has.

    `features`: the shape of the components of its features, (k, f); None without any.
    """
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (pixels,),
        "components": (components, pixels),
        "memory": (memory, components),
        "log_counts": (memory,),
        "bandwidth": (),
    }
    if features is not None:
        looked_up, numbers = features
        shapes |= {
            "features.mean": (numbers,),
            "features.components": features,
            "features.memory": (memory, looked_up),
        }
    return {f"{_PREFIX}{name}": shape for name, shape in shapes.items()}


def smoother_tensors(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return those of a checkpoint's tensors that are a smoother's."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}


def smoother_of(tensors: Mapping[str, npt.NDArray[Any]]) -> Smoother | None:
    """Return the smoother that is among a checkpoint's tensors; None where there is none."""
    own = smoother_tensors(tensors)
    if not own:
        return None
    features = None
    if FEATURE_COMPONENTS in own:
        features = FeatureMemory(*(own[f"{_FEATURES}{name}"] for name in FeatureMemory._fields))
    mean, components, memory, log_counts, bandwidth = (own[f"{_PREFIX}{name}"] for name in _STORED)
    return Smoother.of(mean, components, memory, log_counts, bandwidth, features)
