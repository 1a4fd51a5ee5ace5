"""The autoencoder as Flax modules, built from the descriptions of its layers."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from aecli.config import Config
from aecli.losses import image_losses
from aecli.model import network
from aecli.model.layers import ImageShape, Layer, Network, Path, nested
from aecli.model.parameters import Parameters
from aecli.model.vae import Gaussians, noise
from aecli.noise import image_keys
from aecli.pixels import scale_of


class LayerModule(nnx.Module):
    """The parameters of a layer, and what its description does with them."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        # Only the shapes matter here: `initial_parameters` draws the values.
        for name, shape in layer.parameters.items():
            setattr(self, name, nnx.Param(jnp.zeros(shape)))

    def __call__(self, values: jax.Array, *, activate: bool = True) -> jax.Array:
        """Apply the layer to values, float32 (n, *input)."""
        parameters = {name: getattr(self, name)[...] for name in self.layer.parameters}
        return self.layer.apply(values, parameters, activate=activate)


class Stack(nnx.Module):
    """Layers one after the other, each an attribute, or a place in one, as its path says."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.order = tuple(layer.path[1:] for layer in layers)
        modules = (LayerModule(layer) for layer in layers)
        for name, part in nested(zip(self.order, modules, strict=True)).items():
            setattr(self, name, nnx.List(part.values()) if isinstance(part, Mapping) else part)

    def __call__(self, values: jax.Array, *, activate_last: bool = True) -> jax.Array:
        """Apply all layers to values, float32 (n, ...); the last one without its activation."""
        return self._last(self._before_last(values), activate=activate_last)

    def _before_last(self, values: jax.Array) -> jax.Array:
        """Return what the last layer sees."""
        for place in self.order[:-1]:
            values = self._apply(place, values)
        return values

    def _last(self, values: jax.Array, *, activate: bool) -> jax.Array:
        return self._apply(self.order[-1], values, activate=activate)

    def _apply(self, place: Path, values: jax.Array, *, activate: bool = True) -> jax.Array:
        name, *index = place
        module = getattr(self, str(name))
        module = module[index[0]] if index else module
        values = values.reshape(len(values), *module.layer.input)
        result: jax.Array = module(values, activate=activate)
        return result


class Encoder(Stack):
    """Images, float32 (n, h, w, c) in 0..1, to codes, float32 (n, d).

    Where codes are Gaussians these are their means, and the `spread` is not computed.
    """

    def __init__(self, layers: Sequence[Layer], spread: Layer | None = None) -> None:
        super().__init__(layers)
        self.spread = None if spread is None else LayerModule(spread)

    def gaussians(self, images: jax.Array) -> Gaussians:
        """Return the Gaussians of images, float32 (n, h, w, c) in 0..1, in one pass.

        Only where the codes have a spread.
        """
        seen = self._before_last(images)
        assert self.spread is not None
        rows = seen.reshape(len(seen), *self.spread.layer.input)
        return Gaussians(self._last(seen, activate=True), self.spread(rows))


class Decoder(Stack):
    """Codes to images."""

    def __init__(self, layers: Sequence[Layer], image_shape: ImageShape) -> None:
        super().__init__(layers)
        self.image_shape = image_shape

    def logits(self, codes: jax.Array) -> jax.Array:
        """Decode `codes`, float32 (n, d), to pixels before the output activation, (n, h, w, c)."""
        return super().__call__(codes, activate_last=False).reshape(-1, *self.image_shape)

    def __call__(self, codes: jax.Array) -> jax.Array:  # type: ignore[override]
        """Decode `codes`, float32 (n, d), to images, float32 (n, h, w, c).

        They lie in 0..1 with a sigmoid output; a linear output may leave that range.
        """
        return super().__call__(codes).reshape(-1, *self.image_shape)


class Autoencoder(nnx.Module):
    """An encoder, and the decoder that is trained to undo it."""

    def __init__(self, layers: Network) -> None:
        self.encoder = Encoder(layers.encoder, layers.spread)
        self.decoder = Decoder(layers.decoder, layers.image_shape)
        self.clips = layers.clips

    def decode(self, codes: jax.Array) -> jax.Array:
        """Decode `codes`, float32 (n, d), to images, float32 (n, h, w, c), clipped to 0..1."""
        images = self.decoder(codes)
        return jnp.clip(images, 0, 1) if self.clips else images

    def squared_errors(self, codes: jax.Array, images: jax.Array) -> jax.Array:
        """Return the mean squared error over the pixels of each image when decoded, float32 (n,).

        `codes`: float32 (n, d). `images`: float32 (n, h, w, c) in 0..1, what they are codes of.
        """
        return jnp.square(self.decode(codes) - images).mean(axis=(1, 2, 3))


def to_unit_range(pixels: jax.Array) -> jax.Array:
    """Return pixels, from 0 to `scale_of` their type, as float32 0..1."""
    return pixels.astype(jnp.float32) / scale_of(pixels.dtype)


def autoencoder(
    config: Config, image_shape: ImageShape, parameters: Parameters, *, rounds: bool = False
) -> Autoencoder:
    """Return the model with these parameters, of the shapes of `parameter_shapes`.

    With `rounds` its layers round what they multiply, as the training of some does.
    """
    layers = network(config, image_shape)
    if rounds:
        layers = layers.rounded()
    structure = nnx.graphdef(nnx.eval_shape(lambda: Autoencoder(layers)))
    model: Autoencoder = nnx.merge(structure, parameters)
    return model


def losses_of(
    model: Autoencoder, pixels: jax.Array, config: Config, seen: jax.Array | None = None
) -> jax.Array:
    """Return the `image_losses` of images (n, h, w, c), float32 (n,) or (n, 1 + d).

    Where codes are Gaussians one of each is decoded, which the image alone chooses. `seen`: what
    the encoder sees in place of the images, float32 (n, h, w, c).
    """
    images = to_unit_range(pixels)
    seen = images if seen is None else seen
    if model.encoder.spread is None:
        return image_losses(model.decoder.logits(model.encoder(seen)), images, None, config)
    gaussians = model.encoder.gaussians(seen)
    codes = gaussians.sample(noise(image_keys(pixels, 0), 0, config.latent))
    return image_losses(model.decoder.logits(codes), images, gaussians, config)
