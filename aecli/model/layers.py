"""The layers of a network, described once.

Shapes of parameters, initial values, costs, the walk of `aecli show --shapes` and the Flax modules
follow from these descriptions. They are plain data: importing them imports no jax.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jax

Shape = tuple[int, ...]
# Names of attributes, and places in lists.
Path = tuple[str | int, ...]
ImageShape = tuple[int, int, int]


@dataclass(frozen=True)
class Layer(ABC):
    """One layer: a product with a kernel, a bias, an activation, and maybe a normalization.

    `path` is where its parameters lie in the model, such as `("encoder", "layers", 0)`. `input` and
    `output` are shapes of one image's values, without the axis of the images. `kernel` ends with
    the number of outputs, which is the length of the bias. `activation` is a name in `jax.nn`, or
    `linear`, or with a number after it that of a subclass. With `normalize` the activations of an
    image are then brought to mean 0 and variance 1 (layer normalization without scale and shift,
    which the next layer has; Ba et al., 2016).
    `starts_at_mean`: the bias is drawn so that the first result is the mean of the training images.
    `starts_at`: the first result, of any image; None where the parameters are drawn.
    `rounds`: matrices are rounded to bfloat16 before they are multiplied.
    """

    path: Path
    input: Shape
    output: Shape
    kernel: Shape
    activation: str
    normalize: bool = False
    starts_at_mean: bool = False
    starts_at: float | None = None
    rounds: bool = False

    @property
    def title(self) -> str:
        """What the layer is called for people: `encoder 1`, or `encoder patches`."""
        part, group, *index = self.path
        return f"{part} {int(index[0]) + 1}" if index else f"{part} {group}"

    @property
    def kind(self) -> str:
        """What the product is called where other programs compute it."""
        return type(self).__name__

    @property
    def bias(self) -> Shape:
        """The shape of the bias."""
        return self.kernel[-1:]

    @property
    def cost(self) -> int:
        """How many numbers an image is at most within the layer."""
        return max(math.prod(self.input), math.prod(self.output))

    @property
    def parameters(self) -> Mapping[str, Shape]:
        """The shapes of the parameters by name."""
        return {"bias": self.bias, "kernel": self.kernel}

    @property
    def ending(self) -> str:
        """What follows the sum, in words."""
        return f"{self.activation}, normalized" if self.normalize else self.activation

    @abstractmethod
    def product(self, values: "jax.Array", kernel: "jax.Array") -> "jax.Array":
        """Return the product of values, float32 (n, *input), with the kernel: (n, *output)."""

    def activated(self, values: "jax.Array") -> "jax.Array":
        """Return the activation of sums, float32 (n, *output)."""
        import jax

        return values if self.activation == "linear" else getattr(jax.nn, self.activation)(values)

    def multiplied(self, values: "jax.Array", kernel: "jax.Array") -> "jax.Array":
        """Return values, float32 (..., i), times a kernel (i, o)."""
        if not self.rounds:
            return values @ kernel
        from aecli.model.rounding import rounded_product

        rows = rounded_product(values.reshape(-1, values.shape[-1]), kernel)
        return rows.reshape(*values.shape[:-1], -1)

    def apply(
        self, values: "jax.Array", parameters: Mapping[str, "jax.Array"], *, activate: bool = True
    ) -> "jax.Array":
        """Return the layer's result, float32 (n, *output), for values (n, *input)."""
        import jax

        bias = parameters["bias"].reshape(*(1 for _ in self.output), -1)
        values = self.product(values, parameters["kernel"]) + bias
        if activate:
            values = self.activated(values)
        return jax.nn.standardize(values) if self.normalize else values


@dataclass(frozen=True)
class Dense(Layer):
    """A layer in which every output sees every input."""

    def product(self, values: "jax.Array", kernel: "jax.Array") -> "jax.Array":
        """Return values, float32 (n, i), times the kernel (i, o)."""
        return self.multiplied(values, kernel)


def dense(path: Path, inputs: int, outputs: int, activation: str, **options: Any) -> Dense:
    """Return the description of a dense layer."""
    return Dense(path, (inputs,), (outputs,), (inputs, outputs), activation, **options)


@dataclass(frozen=True)
class Network:
    """The layers from image to code, and those back.

    `spread` gives the log variances of codes that are Gaussians, from what the encoder's last layer
    sees; None where codes are points.
    """

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]
    image_shape: ImageShape
    spread: Layer | None = None

    def rounded(self) -> "Network":
        """Return the same layers, which round what they multiply."""
        encoder, decoder = (
            tuple(replace(layer, rounds=True) for layer in layers)
            for layers in (self.encoder, self.decoder)
        )
        spread = None if self.spread is None else replace(self.spread, rounds=True)
        return replace(self, encoder=encoder, decoder=decoder, spread=spread)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, in the order in which an image goes through them."""
        spread = () if self.spread is None else (self.spread,)
        return self.encoder + spread + self.decoder

    @property
    def cost(self) -> int:
        """How many numbers an image is at most on its way through the network."""
        return max(layer.cost for layer in self.layers)

    @property
    def clips(self) -> bool:
        """Whether decoded images are clipped to 0..1; not vectors with a linear output."""
        height, _, channels = self.image_shape
        return (height, channels) != (1, 1) or self.decoder[-1].activation != "linear"

    @property
    def widths(self) -> list[int]:
        """How many numbers an image is, after each step from its pixels to its code."""
        return [math.prod(shape) for shape in self._steps]

    def __str__(self) -> str:
        """Return the widths for people: `784-128-2`, with a grid of features as `7x7x16`."""
        pixels, *steps = self._steps
        return "-".join([str(math.prod(pixels)), *("x".join(map(str, step)) for step in steps)])

    @property
    def _steps(self) -> list[Shape]:
        return [self.image_shape, *(layer.output for layer in self.encoder)]


def nested(values: Iterable[tuple[Path, Any]]) -> dict[str, Any]:
    """Return values by their paths as dicts in dicts."""
    tree: dict[Any, Any] = {}
    for (*above, last), value in values:
        place = tree
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return tree
