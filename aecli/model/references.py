"""Placing an image among the training images: at the mode of the codes that are likely for it.

The encoder gives an image a code, and so do the training images that are nearest to it, each its
own. Together they are a density over the codes, of kernels with weights that fall with the distance
of the images; the image is placed at its mode. A mean would lie between two islands of the map
where the neighbours are on both.

With x an image as a row of its pixels in 0..1, or of its features, r_j the coordinates of a
training image, c_j its code:

    own = round(components (x - mean) / step)
    w_j = exp(-(|own - r_j|^2 - nearest) / bandwidth) of the 15 nearest, divided by their sum
    w_0 = 1/4 for c_0, the code that the encoder gives
    code = mode of sum_j w_j exp(-|c - c_j|^2 / code_bandwidth)

where training images that are the image itself, at distance 0, count as the nearest other does.
Coordinates are whole numbers of 8 bits, and so their distances are the same in any program. Source:
Einbeck and Tutz, *Modelling beyond regression functions* (2006): the mode of a conditional density,
found by the mean shift of Fukunaga and Hostetler (1975).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import jax

# Training images whose codes count, and the weight of the encoder's own code beside theirs.
NEIGHBORS = 15
OWN_WEIGHT = 0.25
# Steps of the mean shift: with ten times as many none of 2,000 images moved by 0.2 % of the map.
STEPS = 10
# Coordinates reach from minus this number to it.
LEVELS = 127
# A squared distance beyond all that there are.
FAR = 1e9
# Distances are searched in groups of so many, a power of 2.
GROUP = 64
_PREFIX = "references."
COORDINATES = f"{_PREFIX}coordinates"
COMPONENTS = f"{_PREFIX}components"
_STORED = ("mean", "components", "step", "coordinates", "codes", "bandwidth", "code_bandwidth")


class References(NamedTuple):
    """The training images as what later images are placed among.

    `mean`: float32 (p,), the mean row. `components`: float32 (q, p), orthonormal, the first
    principal components. `step`: float32 (), what a coordinate counts. `coordinates`: int8
    (m, q), of the training images. `codes`: float32 (m, d), those that the encoder gives them.
    `bandwidth`: float32 (), in squared steps. `code_bandwidth`: float32 ().
    """

    mean: Any
    components: Any
    step: Any
    coordinates: Any
    codes: Any
    bandwidth: Any
    code_bandwidth: Any

    def place(self, rows: "jax.Array", codes: "jax.Array") -> "jax.Array":
        """Return where images lie, float32 (n, d).

        `rows`: their pixels in 0..1, or their features, float32 (n, p). `codes`: what the encoder
        gives, float32 (n, d).
        """
        import jax.numpy as jnp

        squared, found = self._nearest(rows)
        nearest = jnp.where(squared > 0, squared, FAR).min(axis=1, keepdims=True)
        weights = jnp.exp(jnp.minimum(nearest - squared, 0) / self.bandwidth)
        weights = jnp.where(squared < FAR, weights, 0)
        weights /= weights.sum(axis=1, keepdims=True)
        weights = jnp.pad(weights, ((0, 0), (0, 1)), constant_values=OWN_WEIGHT)
        points = jnp.concatenate([self.codes[found], codes[:, None]], axis=1)

        def kernels(centre: "jax.Array") -> "jax.Array":
            distances = jnp.square(points - centre).sum(axis=-1)
            return weights * jnp.exp(-distances / self.code_bandwidth)

        # The mode is the one above the densest of the points.
        densities = [kernels(points[:, i, None]).sum(axis=1) for i in range(points.shape[1])]
        densest = jnp.stack(densities, axis=1).argmax(axis=1)
        centre = jnp.take_along_axis(points, densest[:, None, None], axis=1)
        for _ in range(STEPS):
            near = kernels(centre)[..., None]
            centre = (near * points).sum(axis=1, keepdims=True) / near.sum(axis=1, keepdims=True)
        return centre[:, 0]

    def _nearest(self, rows: "jax.Array") -> tuple["jax.Array", "jax.Array"]:
        """Return the squared distances of rows to the nearest, (n, k), and which these are."""
        import jax
        import jax.numpy as jnp

        # Accelerators round the factors of a product where they are not told otherwise.
        own = jnp.matmul(rows - self.mean[None, :], self.components.T, precision="highest")
        own = jnp.clip(jnp.round(own / self.step), -LEVELS, LEVELS)
        count, total = min(NEIGHBORS, len(self.coordinates)), len(self.coordinates)
        groups = -(-total // GROUP)
        filled = groups * GROUP - total if groups >= count else 0
        squared = _squared_distances(own, self.coordinates.astype(jnp.float32), filled)
        if groups < count:
            nearest, found = jax.lax.top_k(-squared, count)
            return -nearest, found
        # Each of the nearest lies in one of the groups whose own nearest are nearest.
        grouped = squared.reshape(-1, GROUP, groups)
        least = grouped
        # XLA takes twice the product's time for `min(axis=1)` on a processor, and a tenth for this.
        while least.shape[1] > 1:
            half = least.shape[1] // 2
            least = jnp.minimum(least[:, :half], least[:, half:])
        _, within = jax.lax.top_k(-least[:, 0], count)
        left = jnp.take_along_axis(grouped, within[:, None, :], axis=2).reshape(len(rows), -1)
        nearest, place = jax.lax.top_k(-left, count)
        group = jnp.take_along_axis(within, place % count, axis=1)
        # What fills the last group lies beyond all, and counts nothing.
        return -nearest, jnp.minimum(place // count * groups + group, total - 1)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by the names that they have in a checkpoint."""
        return {f"{_PREFIX}{name}": np.asarray(getattr(self, name)) for name in _STORED}


def _squared_distances(rows: "jax.Array", others: "jax.Array", filled: int) -> "jax.Array":
    """Return the squared distances of whole numbers (n, q) to others (m, q), (n, m + filled).

    To what is `filled` in they are `FAR`. All in one product: |a|^2 + |b|^2 - 2 ab.
    """
    import jax.numpy as jnp

    lengths = [jnp.square(values).sum(axis=1, keepdims=True) for values in (rows, others)]
    ones = [jnp.ones_like(values) for values in lengths]
    left = jnp.concatenate([-2 * rows, lengths[0], ones[0]], axis=1)
    right = jnp.concatenate([others, ones[1], lengths[1]], axis=1)
    far = jnp.zeros((filled, right.shape[1]), jnp.float32).at[:, -1].set(FAR)
    return jnp.matmul(left, jnp.concatenate([right, far]).T, precision="highest")


def coordinates_of(values: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], np.float32]:
    """Return rows on principal components, float32 (m, q), as coordinates, and their step.

    A few rows that lie far out do not make the steps of all others coarse: they are cut.
    """
    sizes = np.abs(values)
    largest = min(float(sizes.max(initial=0)), 1.5 * float(np.quantile(sizes, 0.999)))
    step = np.float32(largest / LEVELS or 1.0)
    return np.clip(np.rint(values / step), -LEVELS, LEVELS).astype(np.int8), step


def reference_tensors(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return those of a checkpoint's tensors that are references'."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}


def reference_shapes(
    numbers: int, rows: int, components: int, latent: int
) -> dict[str, tuple[tuple[int, ...], type]]:
    """Return the shapes and types of the tensors of references, by their names in a checkpoint.

    `numbers`: those of an image's pixels, or of its features.
    """
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "mean": ((numbers,), np.float32),
        "components": ((components, numbers), np.float32),
        "step": ((), np.float32),
        "coordinates": ((rows, components), np.int8),
        "codes": ((rows, latent), np.float32),
        "bandwidth": ((), np.float32),
        "code_bandwidth": ((), np.float32),
    }
    return {f"{_PREFIX}{name}": shape for name, shape in shapes.items()}


def references_of(tensors: Mapping[str, npt.NDArray[Any]]) -> References | None:
    """Return the references that are among a checkpoint's tensors; None where there are none."""
    own = reference_tensors(tensors)
    return References(*(own[f"{_PREFIX}{name}"] for name in _STORED)) if own else None
