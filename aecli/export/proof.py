"""The proof that ONNX models compute what `aecli encode` and `aecli decode` do: both are run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset
from aecli.encode import TrainedModel, decode, encode, in_units, load_model
from aecli.errors import AecliError
from aecli.export.interface import Interface
from aecli.pixels import Images
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
_SEED = 0

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Proof:
    """How far what two programs compute lies apart, at most.

    `codes`: the largest difference of a number of a code, as a share of the largest one where that
    is above 1, since float32 is no finer. `images`: that of a pixel in 0..1; of vectors as a share
    of the mean or the deviation of a column, whichever is larger. `examples` says what images, and
    `batches` how many were computed at once.
    """

    codes: float
    images: float
    examples: str
    batches: tuple[int, ...] = BATCHES

    @property
    def largest(self) -> float:
        """The larger of both."""
        return max(self.codes, self.images)


def prove(
    checkpoint: Checkpoint,
    interface: Interface,
    encoder: "ModelProto",
    decoder: "ModelProto",
    dataset: Dataset | None,
) -> Proof:
    """Compare ONNX models, run by onnxruntime in batches of 1, 7 and 1,000, with aecli's own.

    On test images and some training images of the run's `dataset`; where that is None, on what the
    decoder makes of random codes. Of images that are large the last batch has fewer.

    Raises:
        AecliError: they differ by more than 1e-5.

    """
    model = load_model(checkpoint)
    *few, most = BATCHES
    most = max(*few, min(most, _BYTES // (4 * math.prod(interface.shape))))
    if dataset is None:
        images, examples = _decoded(model, most), f"{interface.name} decoded from random codes"
    else:
        seen = dataset.sample("train", max(1, most // _ONE_IN)).images
        new = dataset.sample("test", max(1, most - len(seen))).images
        images = np.concatenate([new, seen])
        examples = f"{len(new):,} test and {len(seen):,} training {interface.name}"
    values = np.resize(interface.outer(images), (most, *interface.shape))
    codes = encode(model, interface.inner(values))
    decoded = decode(model, codes)
    scale: Floats | float = 1.0
    columns = interface.data.source.columns
    if columns is not None:
        decoded = next(in_units([decoded], columns))
        mean, deviation = np.array(columns)
        scale = np.maximum(np.abs(mean), deviation).astype(np.float32)
    proof = Proof(
        codes=_apart(encoder, values, codes, max(1.0, float(np.abs(codes).max())), (*few, most)),
        images=_apart(decoder, codes, decoded, scale, (*few, most)),
        examples=examples,
        batches=(*few, most),
    )
    # Written so that what is not a number fails too.
    if not proof.largest <= TOLERANCE:
        raise AecliError(_failure(proof))
    return proof


def _decoded(model: TrainedModel, count: int) -> Images:
    """Return images, float32 (n, h, w, c), that the decoder makes of random codes near and far."""
    generator = np.random.default_rng(_SEED)
    codes = generator.standard_normal((count, model.config.latent))
    far = 10 ** generator.uniform(-1, 1.5, (count, 1))
    return decode(model, (codes * far).astype(np.float32))


def _apart(
    model: "ModelProto",
    values: npt.NDArray[Any],
    expected: Floats,
    scale: Floats | float,
    batches: Sequence[int],
) -> float:
    """Return the largest difference of what a model makes of batches from what is expected."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    largest = 0.0
    for batch in batches:
        (found,) = session.run(None, {name: values[:batch]})
        largest = max(largest, float((np.abs(found - expected[:batch]) / scale).max()))
    return largest


def _failure(proof: Proof) -> str:
    import jax

    device = jax.devices()[0]
    advice = "this is a fault of aecli or of onnxruntime"
    if device.platform != "cpu":
        advice = f"{device.device_kind} rounds products: set JAX_PLATFORMS=cpu"
    return (
        f"the ONNX models differ from the run's own by {proof.codes:.1e} (codes) and "
        f"{proof.images:.1e} (images), more than {TOLERANCE:g}, on {proof.examples}: nothing is "
        f"written; {advice}"
    )
