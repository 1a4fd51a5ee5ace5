"""The proof that ONNX models compute what `aecli encode` and `aecli decode` do: both are run."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset
from aecli.encode import TrainedModel, decode, encode, in_units, load_model
from aecli.errors import AecliError
from aecli.export.interface import Interface
from aecli.pixels import Images, unit_range
from aecli.run.checkpoint import Checkpoint

if TYPE_CHECKING:
    from onnx import ModelProto

BATCHES = (1, 7, 1_000)
TOLERANCE = 1e-5
# Of images as float32; of large ones the last batch is smaller.
_BYTES = 400_000_000
# Of ten examples one is a training image, which a smoother leaves out of its memory.
_ONE_IN = 10
# Errors alone of onnxruntime's own log: 0 to 4.
_ERRORS = 3
# How many times the effect of a last bit is still one of rounding: a product rounds several times.
_MOST_BITS = 4
_SEED = 0

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Proof:
    """How far what two programs compute lies apart, at most.

    `codes`: the largest difference of a number of a code, as a share of the largest one where that
    is above 1, since float32 is no finer. `images`: that of a pixel in 0..1; of vectors as a share
    of the mean or the deviation of a column, whichever is larger. `examples` says what images, and
    `batches` how many were computed at once. `moved`: where they lie further apart than TOLERANCE,
    how far aecli's own result moves with the last bit of what goes in; else 0.
    """

    codes: float
    images: float
    examples: str
    batches: tuple[int, ...]
    moved: float = 0.0

    @property
    def words(self) -> str:
        """How far they lie apart, in words."""
        largest = f"within {max(self.codes, self.images):.1e} of aecli encode and decode"
        text = f"{largest} on {self.examples}"
        if self.moved:
            text += f"; the last bit of what goes in moves this model by {self.moved:.1e}"
        return text


@dataclass(frozen=True, eq=False)
class _Half:
    """An ONNX encoder or decoder, what goes into it, and what aecli makes of that.

    `own` is aecli's function, of `exact`, what goes in as float32. Differences are shares of
    `scale`.
    """

    model: "ModelProto"
    values: npt.NDArray[Any]
    expected: Floats
    scale: Floats | float
    own: Callable[[Floats], Floats]
    exact: Floats

    def apart(self, batches: Sequence[int]) -> float:
        """Return the largest difference of what onnxruntime makes of batches from aecli's."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS
        session = onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        (given,) = session.get_inputs()
        found = [session.run(None, {given.name: self.values[:batch]})[0] for batch in batches]
        return max(map(self._difference, found))

    def moved(self) -> float:
        """Return how far aecli's own result moves with the last bit of what goes in."""
        ends = (np.nextafter(self.exact, np.float32(end)) for end in (-np.inf, np.inf))
        return max(self._difference(self.own(end)) for end in ends)

    def _difference(self, found: Floats) -> float:
        return float((np.abs(found - self.expected[: len(found)]) / self.scale).max())


def prove(
    checkpoint: Checkpoint,
    interface: Interface,
    encoder: "ModelProto",
    decoder: "ModelProto",
    dataset: Dataset | None,
) -> Proof:
    """Compare ONNX models, run by onnxruntime in batches of 1, 7 and 1,000, with aecli's own.

    On test images and some training images of the run's `dataset`; where that is None, on what the
    decoder makes of random codes. Of images that are large the last batch has fewer. A difference
    of more than 1e-5 is taken where the last bit of what goes in makes one of about that size too:
    no two programs agree better on such a model.

    Raises:
        AecliError: they differ by more.

    """
    model = load_model(checkpoint)
    *few, most = BATCHES
    batches = (*few, max(*few, min(most, _BYTES // (4 * math.prod(interface.shape)))))
    images, examples = _examples(model, interface, dataset, batches[-1])
    values = np.resize(interface.outer(images), (batches[-1], *interface.shape))
    pixels = interface.inner(values)
    codes = encode(model, pixels)
    columns = interface.data.source.columns
    scale: Floats | float = 1.0
    if columns is not None:
        mean, deviation = np.array(columns)
        scale = np.maximum(np.abs(mean), deviation).astype(np.float32)

    def decoded(codes: Floats) -> Floats:
        images = decode(model, codes)
        return images if columns is None else next(in_units([images], columns))

    largest = max(1.0, float(np.abs(codes).max()))
    own = partial(encode, model)
    halves = (
        _Half(encoder, values, codes, largest, own, unit_range(pixels)),
        _Half(decoder, codes, decoded(codes), scale, decoded, codes),
    )
    apart = [half.apart(batches) for half in halves]
    # Written so that what is not a number counts as far.
    far = [half for half, one in zip(halves, apart, strict=True) if not one <= TOLERANCE]
    moved = max((half.moved() for half in far), default=0.0)
    proof = Proof(apart[0], apart[1], examples, batches, moved)
    if not max(apart) <= max(TOLERANCE, _MOST_BITS * moved):
        raise AecliError(_failure(proof))
    return proof


def _examples(
    model: TrainedModel, interface: Interface, dataset: Dataset | None, most: int
) -> tuple[Images, str]:
    """Return at most so many images to compare on, and what they are in words."""
    if dataset is None:
        return _decoded(model, most), f"{interface.name} decoded from random codes"
    seen = dataset.sample("train", max(1, most // _ONE_IN)).images
    new = dataset.sample("test", max(1, most - len(seen))).images
    words = f"{len(new):,} test and {len(seen):,} training {interface.name}"
    return np.concatenate([new, seen]), words


def _decoded(model: TrainedModel, count: int) -> Images:
    """Return images, float32 (n, h, w, c), that the decoder makes of random codes near and far."""
    generator = np.random.default_rng(_SEED)
    codes = generator.standard_normal((count, model.config.latent))
    far = 10 ** generator.uniform(-1, 1.5, (count, 1))
    return decode(model, (codes * far).astype(np.float32))


def _failure(proof: Proof) -> str:
    import jax

    device = jax.devices()[0]
    advice = "this is a fault of aecli or of onnxruntime"
    if device.platform != "cpu":
        advice = f"{device.device_kind} rounds products: set JAX_PLATFORMS=cpu"
    return (
        f"the ONNX models differ from the run's own by {proof.codes:.1e} (codes) and "
        f"{proof.images:.1e} (images), more than {TOLERANCE:g} and than rounding explains, on "
        f"{proof.examples}: nothing is written; {advice}"
    )
