"""The proof that ONNX models compute what `aecli encode` and `aecli decode` do: both are run."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecli.data import Dataset, count_of, spread_evenly
from aecli.data.rows import rows_at
from aecli.encode import TrainedModel, decode, encode, encoder_inputs, in_units, load_model
from aecli.errors import AecliError
from aecli.export.interface import Interface
from aecli.pixels import Images, unit_range
from aecli.run.checkpoint import Checkpoint

if TYPE_CHECKING:
    from onnx import ModelProto

BATCHES = (1, 7, 1_000)
TOLERANCE = 1e-5
# Of what is computed for a batch, as float32; of large images the last batch is smaller.
_BYTES = 400_000_000
# Of ten examples one is a training image, which is its own nearest reference.
_ONE_IN = 10
# Images that may lie at an edge: rounding decides which references are nearest to them.
_MOST_AT_EDGES = 0.01
# How many times the effect of a last bit is still one of rounding: a product rounds several times.
_MOST_BITS = 4
# Errors alone of onnxruntime's own log: 0 to 4.
_ERRORS = 3
_SEED = 0

Floats = npt.NDArray[np.float32]
Inputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Proof:
    """How far what two programs compute lies apart, at most.

    `codes`: the largest difference of a number of a code, as a share of the largest one where that
    is above 1, since float32 is no finer. `images`: that of a pixel in 0..1; of vectors as a share
    of the mean or the deviation of a column, whichever is larger. `examples` says what images, and
    `batches` how many were computed at once. `edges`: how many images lie where rounding decides
    which references are nearest, `codes` is of the others; `at_edges` is their largest difference.
    `moved`: where the others lie further apart than TOLERANCE, how far aecli's own result moves
    with the last bit of what goes in; else 0.
    """

    codes: float
    images: float
    examples: str
    batches: tuple[int, ...]
    edges: int = 0
    at_edges: float = 0.0
    moved: float = 0.0

    @property
    def words(self) -> str:
        """How far they lie apart, in words."""
        largest = f"within {max(self.codes, self.images):.1e} of aecli encode and decode"
        text = f"{largest} on {self.examples}"
        if self.edges:
            text += (
                f" but {self.edges:,}, where rounding decides which images are nearest (up to "
                f"{self.at_edges:.1e})"
            )
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
    inputs: Inputs
    expected: Floats
    scale: Floats | float
    own: Callable[[Floats], Floats]
    exact: Floats

    def apart(self, batches: Sequence[int]) -> Floats:
        """Return the largest difference of what onnxruntime makes of each example from aecli's."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS
        session = onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        largest = np.zeros(len(self.expected), np.float32)
        for batch in batches:
            given = {name: values[:batch] for name, values in self.inputs.items()}
            (found,) = session.run(None, given)
            largest[:batch] = np.maximum(largest[:batch], self._difference(found))
        return largest

    def moved(self) -> float:
        """Return how far aecli's own result moves with the last bit of what goes in, at most.

        Of what moves furthest some may lie at edges: they are left out.
        """
        ends = (np.nextafter(self.exact, np.float32(end)) for end in (-np.inf, np.inf))
        share = 1 - _MOST_AT_EDGES
        return max(float(np.quantile(self._difference(self.own(end)), share)) for end in ends)

    def _difference(self, found: Floats) -> Floats:
        away = np.abs(found - self.expected[: len(found)]) / self.scale
        largest: Floats = away.reshape(len(found), -1).max(axis=1)
        return largest


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
    no two programs agree better on such a model. One in a hundred images that are placed among
    references may lie at an edge.

    Raises:
        AecliError: they differ by more.

    """
    model = load_model(checkpoint)
    among = 0 if model.references is None else len(model.references.codes)
    *few, most = BATCHES
    fitting = _BYTES // (4 * max(among, math.prod(interface.shape)))
    batches = (*few, max(*few, min(most, fitting)))
    images, features, examples = _examples(model, dataset, batches[-1], interface.name)
    inputs = {interface.name: np.resize(interface.outer(images), (batches[-1], *interface.shape))}
    pixels = interface.inner(inputs[interface.name])
    if features is not None:
        features = np.resize(features, (batches[-1], features.shape[1]))
        inputs["features"] = features
    codes = encode(model, pixels, features)
    columns = interface.data.source.columns
    scale: Floats | float = 1.0
    if columns is not None:
        mean, deviation = np.array(columns)
        scale = np.maximum(np.abs(mean), deviation).astype(np.float32)

    def encoded(pixels: Floats) -> Floats:
        return encode(model, pixels, features)

    def decoded(codes: Floats) -> Floats:
        images = decode(model, codes)
        return images if columns is None else next(in_units([images], columns))

    largest = max(1.0, float(np.abs(codes).max()))
    encoding = _Half(encoder, inputs, codes, largest, encoded, unit_range(pixels))
    decoding = _Half(decoder, {"codes": codes}, decoded(codes), scale, decoded, codes)
    proof = _weighed(encoding, decoding, batches, examples, among > 0)
    allowed = max(TOLERANCE, _MOST_BITS * proof.moved)
    # Written so that what is not a number fails too.
    if not (proof.codes <= allowed and proof.images <= allowed):
        raise AecliError(_failure(proof))
    return proof


def _weighed(
    encoding: _Half, decoding: _Half, batches: tuple[int, ...], examples: str, references: bool
) -> Proof:
    """Return how far both halves lie apart, with what rounding explains of it."""
    apart, images = encoding.apart(batches), float(decoding.apart(batches).max())
    edges, at_edges = 0, 0.0
    allowed = int(_MOST_AT_EDGES * len(apart)) if references else 0
    far = np.flatnonzero(~(apart <= TOLERANCE))
    if 0 < len(far) <= allowed:
        edges, at_edges = len(far), float(apart[far].max())
        apart = np.delete(apart, far)
    codes, moved = float(apart.max()), 0.0
    if not codes <= TOLERANCE:
        moved = encoding.moved()
    if not images <= TOLERANCE:
        moved = max(moved, decoding.moved())
    return Proof(codes, images, examples, batches, edges, at_edges, moved)


def _examples(
    model: TrainedModel, dataset: Dataset | None, most: int, name: str
) -> tuple[Images, Floats | None, str]:
    """Return at most so many images to compare on, their features, and what they are in words."""
    if dataset is None:
        return *_decoded(model, most), f"{most:,} {name} decoded from random codes"
    rows = dataset.rows("train"), dataset.rows("test")
    count = min(count_of(rows[0]), max(1, most // _ONE_IN))
    counts = count, min(count_of(rows[1]), max(1, most - count))
    chosen = [rows_at(r, spread_evenly(count_of(r), c)) for r, c in zip(rows, counts, strict=True)]
    inputs = [encoder_inputs(model, dataset, some) for some in reversed(chosen)]
    images, *features = (np.concatenate(parts) for parts in zip(*inputs, strict=True))
    words = f"{counts[1]:,} test and {counts[0]:,} training {name}"
    return images, features[0] if features else None, words


def _decoded(model: TrainedModel, count: int) -> tuple[Images, Floats | None]:
    """Return images, float32 (n, h, w, c), that the decoder makes of random codes near and far.

    And features like those of training images, where images are placed by them.
    """
    generator = np.random.default_rng(_SEED)
    codes = generator.standard_normal((count, model.config.latent))
    far = 10 ** generator.uniform(-1, 1.5, (count, 1))
    images = decode(model, (codes * far).astype(np.float32))
    if model.references is None or not model.by_features:
        return images, None
    mean, components, step, coordinates, *_ = map(np.asarray, model.references)
    drawn = coordinates[generator.integers(len(coordinates), size=count)]
    near = drawn + generator.normal(0, 3, drawn.shape)
    return images, (mean + (near * step) @ components).astype(np.float32)


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
