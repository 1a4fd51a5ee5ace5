"""What an exported network takes and gives: types, shapes and ranges, and what stays outside it."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aecli.data import DataDescription
from aecli.errors import InputError
from aecli.model.layers import ImageShape, Shape
from aecli.model.references import COMPONENTS
from aecli.pixels import Images, as_pixels, scale_of, unit_range
from aecli.run.checkpoint import Checkpoint

INPUT_TYPES = ("uint8", "uint16", "float32")


class Units(NamedTuple):
    """What turns numbers into those that a model sees: (number - low) / span.

    Both float64, of one number for all pixels or, of vectors, one for each column.
    """

    low: npt.NDArray[np.float64]
    span: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Interface:
    """How images, or vectors, go into an encoder and come out of a decoder.

    `dtype` is the type of the numbers that go in. `units` are those that they have; None where
    their type says what is 0 and what is 1, as in `scale_of`. `features`: how many numbers of each
    image go in besides, by which it is placed; None where that are its pixels.
    """

    data: DataDescription
    dtype: np.dtype[Any]
    units: Units | None
    features: int | None = None

    @property
    def image_shape(self) -> ImageShape:
        """(h, w, c) of what the model sees."""
        return self.data.image_shape

    @property
    def of_vectors(self) -> bool:
        """Whether vectors go in and come out, in their own units."""
        return self.data.source.columns is not None

    @property
    def name(self) -> str:
        """What goes in and comes out: `images` or `vectors`."""
        return "vectors" if self.of_vectors else "images"

    @property
    def shape(self) -> Shape:
        """The shape of one image or vector as it goes in and comes out."""
        return (math.prod(self.image_shape),) if self.of_vectors else self.image_shape

    def outer(self, images: Images) -> npt.NDArray[Any]:
        """Return images of the data set (n, h, w, c) as they go in, (n, *shape) of `dtype`."""
        if self.units is None and images.dtype == self.dtype:
            return images
        low, span = self.units or (0.0, scale_of(self.dtype))
        unit = unit_range(images).astype(np.float64).reshape(len(images), -1)
        values: npt.NDArray[Any] = unit * span + low
        if self.dtype.kind == "u":
            values = np.clip(np.rint(values), 0, np.iinfo(self.dtype).max)
        return values.reshape(-1, *self.shape).astype(self.dtype)

    def inner(self, values: npt.NDArray[Any]) -> Images:
        """Return what goes in, (n, *shape), as pixels (n, h, w, c) that aecli encodes."""
        rows, limits = values.reshape(len(values), -1), None
        if self.units is not None:
            limits = self.units.low, self.units.low + self.units.span
        return as_pixels(rows, limits).reshape(-1, *self.image_shape)

    @property
    def input_words(self) -> str:
        """What goes in, in words: `images: uint8 (n, 28, 28, 1), 0..255`."""
        besides = "" if self.features is None else f"; features: float32 (n, {self.features})"
        return f"{self.name}: {self.dtype} {self._shape_words}, {self._range_words}{besides}"

    @property
    def output_words(self) -> str:
        """What comes out of the decoder, in words."""
        units = "in their own units" if self.of_vectors else "0..1"
        return f"{self.name}: float32 {self._shape_words}, {units}"

    @property
    def outside_words(self) -> str:
        """What aecli does with images before they go in, and the exported model does not."""
        if self.of_vectors:
            return ""
        source, (height, width, channels) = self.data.source, self.image_shape
        texts = []
        if height > 1:
            texts.append(f"stretch others to {height}x{width} (Lanczos)")
        if channels == 1:
            texts.append("make colours gray (0.299 R + 0.587 G + 0.114 B)")
        if source.ground:
            texts.append(f"lay transparent ones on {source.ground}")
        return "; ".join(texts)

    @property
    def _shape_words(self) -> str:
        return f"(n, {', '.join(map(str, self.shape))})"

    @property
    def _range_words(self) -> str:
        if self.of_vectors:
            return "in their own units"
        if self.units is None:
            return f"0..{scale_of(self.dtype):g}"
        (low,), (span,) = self.units
        return f"{low:g}..{low + span:g} is taken as 0..1"


def interface_of(checkpoint: Checkpoint, input_type: str | None = None) -> Interface:
    """Return how the images that a run was trained on go in and come out.

    `input_type` is one of `INPUT_TYPES`; None for the type that the images have, float32 where they
    have a range of their own.

    Raises:
        InputError: the type is not one of these, or the run has vectors, which are float32.

    """
    if input_type not in (None, *INPUT_TYPES):
        raise InputError(f"--input {input_type!r}: expected {', '.join(INPUT_TYPES)}")
    data, source = checkpoint.data, checkpoint.data.source
    features = checkpoint.tensors[COMPONENTS].shape[1] if checkpoint.places_by_features else None
    if source.columns is not None:
        if input_type not in (None, "float32"):
            raise InputError(
                f"--input {input_type} does not fit: the run was trained on vectors, which are "
                "float32; leave it out"
            )
        mean, deviation = (np.array(one, np.float64) for one in source.columns)
        # As `as_pixels` computes it.
        units = Units(mean, (mean + deviation) - mean)
        return Interface(data, np.dtype(np.float32), units, features)
    if isinstance(source.rescale, tuple):
        low, high = (np.array([end], np.float64) for end in source.rescale)
        return Interface(data, np.dtype(input_type or np.float32), Units(low, high - low), features)
    return Interface(data, np.dtype(input_type or data.pixels), None, features)
