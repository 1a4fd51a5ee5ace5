"""Images to codes and codes to images, in batches of any size with the same result."""

import hashlib
import math
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import SingleDeviceSharding

from aecli.compile_cache import compiled, processor
from aecli.config import BATCH_SIZE, DEFAULT_ROWS_AT_A_TIME, Config, SplitName
from aecli.data import Dataset, Rows, rows_between
from aecli.device import (
    batches_at_once,
    compute_devices,
    max_concurrent_calls,
    out_of_memory_advice,
)
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory
from aecli.model import network
from aecli.model.layers import ImageShape
from aecli.model.parameters import Parameters, parameter_shapes
from aecli.model.references import References, references_of
from aecli.model.sizes import refuse_model_beyond_memory
from aecli.npy import write_npy
from aecli.pixels import Images, unit_range
from aecli.run.by_features import check_features
from aecli.run.checkpoint import Checkpoint, unflatten
from aecli.run.codes import CodeArray, CodeBlocks
from aecli.run.origin import origin

if TYPE_CHECKING:
    from aecli.model.autoencoder import Autoencoder

# Every product has this many rows, or as many as fit into these bytes, whatever the batch size: a
# product of another shape may round differently, and a code must not depend on its neighbours.
_BLOCK = 336
_BLOCK_BYTES = 64_000_000
# Nor on its place: kernels take some rows at a time, and those left over at the end otherwise.
_ROWS_OF_A_KERNEL = 48
# More numbers at a time (images times pixels times channels) are not faster.
_BATCH_NUMBERS = 32_000_000
# More would not fit side by side in a picture.
_MOST_RECONSTRUCTIONS = 50
# Of an image and its reconstruction as float32: each once, and once more while it is drawn.
_BYTES_OF_A_RECONSTRUCTED_PIXEL = 16
# Of the hash that tells processors of one name apart.
_DIGITS = 8

Report = Callable[[int], None]
Program = Callable[..., jax.Array]
Floats = npt.NDArray[np.float32]
# Rows of one or more arrays that belong together.
Batch = tuple[npt.NDArray[Any], ...]
# The mean and the deviation of each column.
Columns = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """The parameters of a run on the device, and what says how to apply them.

    `references` is what images are placed among, `by_features` whether by their features in place
    of their pixels; None where the encoder alone places them.
    """

    config: Config
    image_shape: ImageShape
    parameters: Parameters
    references: References | None = None
    by_features: bool = False
    _programs: dict[str, Callable[..., jax.Array]] = field(
        default_factory=dict, init=False, repr=False
    )
    _copies: dict[jax.Device, "Learned"] = field(default_factory=dict, init=False, repr=False)

    @property
    def key(self) -> dict[str, Any]:
        """What its compiled functions depend on besides their arguments, in JSON's types."""
        return {"config": self.config.affecting("model"), "image_shape": self.image_shape}

    def compiled(
        self,
        function: Callable[..., jax.Array],
        *like: jax.ShapeDtypeStruct,
        device: jax.Device,
    ) -> Program:
        """Return one of the functions below, compiled for blocks of rows, (blocks, rows, ...).

        It computes on `device`, with what was learned there.
        """
        name = f"{function.__name__} {like} {device}"
        if device not in self._copies:
            self._copies[device] = jax.device_put(self.learned, device)
        learned = self._copies[device]
        if name not in self._programs:

            def in_blocks(learned: Learned, *rows: jax.Array) -> jax.Array:
                done: jax.Array = jax.lax.map(lambda parts: function(learned, *parts), rows)
                return done

            key = {"program": function.__name__, **self.key}
            place = SingleDeviceSharding(device)
            placed = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place) for a in like]
            self._programs[name] = compiled(in_blocks, key, learned, *placed, single_threaded=True)
        return partial(self._programs[name], learned)

    def encode(
        self, learned: "Learned", images: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        """Encode pixels (n, h, w, c) to codes (n, d); a function to compile.

        `features`: float32 (n, f), where the model is one `by_features`.
        """
        from aecli.model.autoencoder import to_unit_range

        pixels = to_unit_range(images)
        codes = self.autoencoder(learned).encoder(pixels)
        if learned.references is None:
            return codes
        rows = pixels.reshape(len(pixels), -1) if features is None else features
        return learned.references.place(rows, codes)

    def decode(self, learned: "Learned", codes: jax.Array) -> jax.Array:
        """Decode codes (n, d) to images (n, h, w, c) in 0..1; a function to compile."""
        return self.autoencoder(learned).decode(codes)

    def reconstruct(self, learned: "Learned", images: jax.Array) -> jax.Array:
        """Encode pixels (n, h, w, c), by the encoder alone, and decode; a function to compile.

        An image among its neighbours would become one of what they have in common.
        """
        from aecli.model.autoencoder import to_unit_range

        model = self.autoencoder(learned)
        return model.decode(model.encoder(to_unit_range(images)))

    def errors(
        self, learned: "Learned", images: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        """Return the mean squared error of pixels (n, h, w, c), (n,); a function to compile.

        `features` as of `encode`.
        """
        from aecli.model.autoencoder import to_unit_range

        codes = self.encode(learned, images, features)
        return self.autoencoder(learned).squared_errors(codes, to_unit_range(images))

    def deviations(
        self, learned: "Learned", images: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        """Return the standard deviations of codes that are Gaussians, (n, d), of pixels.

        A function to compile; it needs no `features`.
        """
        from aecli.model.autoencoder import to_unit_range

        return self.autoencoder(learned).encoder.gaussians(to_unit_range(images)).deviations

    @property
    def learned(self) -> "Learned":
        """The arrays that its functions take."""
        return Learned(self.parameters, self.references)

    def autoencoder(self, learned: "Learned") -> "Autoencoder":
        """Return the model with what was learned."""
        from aecli.model.autoencoder import autoencoder

        return autoencoder(self.config, self.image_shape, learned.parameters)


class Learned(NamedTuple):
    """The arrays of a trained model: what it has learned, and what it places images among."""

    parameters: Parameters
    references: References | None


def load_model(checkpoint: Checkpoint) -> TrainedModel:
    """Return the model of a checkpoint.

    Raises:
        InputError: the tensors do not fit the config, or memory is too small for the model.

    """
    config, image_shape = checkpoint.config, checkpoint.data.image_shape
    shapes = parameter_shapes(config, image_shape)
    parameters = unflatten(shapes, "parameters", checkpoint.tensors)
    refuse_model_beyond_memory(config, image_shape)
    parameters, references = jax.device_put((parameters, references_of(checkpoint.tensors)))
    by_features = checkpoint.places_by_features
    return TrainedModel(config, image_shape, parameters, references, by_features)


def encode_split(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    memory: int | None = None,
    report: Report = lambda rows: None,
    provenance: Mapping[str, Any] | None = None,
    spread: bool = False,
) -> CodeBlocks:
    """Encode a split of a data set while it is read; the provenance names the model and the data.

    With little `memory`, in bytes, large images are taken fewer at a time than `batch_size`.
    `provenance` is what `origin` says of one part of the split, whose rows alone are read; None for
    all of it. With `spread` the standard deviations of codes that are Gaussians are found too, once
    the codes are: their program stays the one that it is.

    Raises:
        InputError: the images or their features are not of the shape that the model was trained on,
            or the batch size is out of range.

    """
    BATCH_SIZE.check("--batch-size", batch_size)
    _check_shape(checkpoint, dataset)
    check_features(checkpoint, dataset)
    if provenance is None:
        provenance = origin(checkpoint, dataset, split)
    shape = (provenance["rows"], checkpoint.config.latent)
    if memory is not None:
        # As many as are computed at once, one more being read, and all but that on the device too.
        copies = 3 * batches_at_once()
        batch_size = min(batch_size, max(1, memory // (copies * dataset.image_bytes)))
    model = load_model(checkpoint)
    if "part" in provenance:
        return _encode_part(model, dataset, split, batch_size, report, provenance)
    batches = _batches(model, dataset, split, batch_size)
    blocks = _in_batches(model.encode, model, batches, report)
    deviations = None
    if spread:
        batches = _batches(model, dataset, split, batch_size)
        deviations = _in_batches(model.deviations, model, batches, lambda rows: None)
    return CodeBlocks(blocks, shape, dataset.labels_of(split), provenance, spread=deviations)


def _encode_part(
    model: TrainedModel,
    dataset: Dataset,
    split: SplitName,
    batch_size: int,
    report: Report,
    provenance: Mapping[str, Any],
) -> CodeBlocks:
    about, rows = provenance["part"], provenance["rows"]
    start, stop = about["start"], about["stop"]
    digest = dataset.digest_of(rows)
    batches = dataset.batches(split, whole_blocks(model, batch_size, rows), (start, stop))
    inputs = ((batch,) for batch in _summed(batches, digest.update))
    blocks = _in_batches(model.encode, model, inputs, report)
    labels = dataset.labels_of(split)
    return CodeBlocks(
        blocks,
        (rows, provenance["dimensions"]),
        None if labels is None else labels[start:stop],
        provenance,
        lambda: {
            "part": {**about, "pixels_sha256": digest.hexdigest(), "made_on": _made_on()},
        },
    )


def _made_on() -> str:
    """Return what the last bits of a code depend on: jax's version, and what computes."""
    device = compute_devices()[0]
    kind = device.device_kind
    if device.platform == "cpu":
        lines = processor()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        features = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGITS]
        kind = f"{models[0] if models else platform.machine()} ({features})"
    return f"jax {jax.__version__}, {kind}"


def _summed(batches: Iterable[Images], update: Callable[[Any], None]) -> Iterator[Images]:
    for batch in batches:
        update(np.ascontiguousarray(batch).data)
        yield batch


def encode_rows(model: TrainedModel, dataset: Dataset, split: SplitName) -> CodeArray:
    """Return the codes of a split, float32 (n, d), which is read some rows at a time."""
    return of_each_image(model.encode, model, dataset, split)


def row_errors(
    model: TrainedModel,
    dataset: Dataset,
    split: SplitName,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    report: Report = lambda rows: None,
) -> Floats:
    """Return the mean squared error of each image of a split, float32 (n,); see `image_errors`."""
    return of_each_image(model.errors, model, dataset, split, batch_size=batch_size, report=report)


def of_each_image(
    function: Callable[..., jax.Array],
    model: TrainedModel,
    dataset: Dataset,
    split: SplitName,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    report: Report = lambda rows: None,
) -> Floats:
    """Return what a function gives for each image of a split, float32 (n, ...).

    It takes what was learned, pixels (m, h, w, c), and features where the model is one
    `by_features`. Its name is part of the key of its compiled program.
    """
    batches = _batches(model, dataset, split, batch_size)
    return np.concatenate(list(_in_batches(function, model, batches, report)))


def image_errors(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    report: Report = lambda rows: None,
) -> Floats:
    """Return the mean squared error of the reconstruction of each image of a split, float32 (n,).

    Raises:
        InputError: the images or their features are not of the shape that the model was trained on.

    """
    _check_shape(checkpoint, dataset)
    check_features(checkpoint, dataset)
    return row_errors(load_model(checkpoint), dataset, split, batch_size=batch_size, report=report)


def reconstruct(
    checkpoint: Checkpoint, dataset: Dataset, count: int, split: SplitName = "test"
) -> tuple[Floats, Floats]:
    """Return the first images of a split and their reconstructions, float32 (n, h, w, c) in 0..1.

    Raises:
        InputError: `count` is not in 1..50, the images are not of the model's shape, or memory is
            too small for so many.

    """
    if not 1 <= count <= _MOST_RECONSTRUCTIONS:
        raise InputError(f"--count must lie in 1..{_MOST_RECONSTRUCTIONS}, got {count}")
    _check_shape(checkpoint, dataset)
    check_features(checkpoint, dataset)
    size = _BYTES_OF_A_RECONSTRUCTED_PIXEL * count * math.prod(dataset.image_shape)
    refuse_beyond_memory(size, f"a picture of {count} images and reconstructions", "lower --count")
    rows = rows_between(dataset.rows(split), 0, count)
    model = load_model(checkpoint)
    codes = encode(model, *encoder_inputs(model, dataset, rows))
    return unit_range(dataset.images[rows]), decode(model, codes)


def encode(
    model: TrainedModel,
    images: Images,
    features: Floats | None = None,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    report: Report = lambda rows: None,
) -> CodeArray:
    """Encode `images`, of any type of pixel, (n, h, w, c), to codes, float32 (n, d).

    `features`: float32 (n, f), of the images, for a model that is one `by_features`.

    A code depends on its image alone: not on the batch size, the order or the other images.
    `report` is called with the number of images done since its last call.
    """
    inputs = (images,) if features is None else (images, features)
    return np.concatenate(list(_in_parts(model.encode, model, inputs, batch_size, report)))


def reconstruct_batches(
    model: TrainedModel, batches: Iterable[Images], report: Report = lambda rows: None
) -> Iterator[Floats]:
    """Return what the decoder makes of the encoder's own codes, float32 (m, h, w, c) in 0..1.

    `batches`: images of any type of pixel; all but the last of `whole_blocks` of them.
    """
    return _in_batches(model.reconstruct, model, ((batch,) for batch in batches), report)


def encoder_inputs(model: TrainedModel, dataset: Dataset, rows: Rows) -> Batch:
    """Return what `encode` takes of some images of a data set: pixels, and features if need be."""
    features = dataset.features if model.by_features else None
    return (dataset.images[rows], *([] if features is None else [features[rows]]))


def decode(
    model: TrainedModel,
    codes: CodeArray,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    report: Report = lambda rows: None,
) -> Floats:
    """Decode `codes`, float32 (n, d), to images, float32 (n, h, w, c) in 0..1.

    Raises:
        InputError: the codes have another number of dimensions than the model's.

    """
    return np.concatenate(list(decode_blocks(model, codes, batch_size=batch_size, report=report)))


def decode_blocks(
    model: TrainedModel,
    codes: CodeArray,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    report: Report = lambda rows: None,
) -> Iterator[Floats]:
    """Return an iterator of what `decode` returns, some images at a time.

    Raises:
        InputError: the codes have another number of dimensions than the model's.

    """
    expected = model.config.latent
    if codes.shape[1] != expected:
        raise InputError(
            f"the codes have {codes.shape[1]} dimensions, the run's have {expected}: decode codes "
            "of that many numbers"
        )
    return _in_parts(model.decode, model, (codes,), batch_size, report)


def in_units(blocks: Iterable[Floats], columns: Columns) -> Iterator[Floats]:
    """Yield standardised vectors (m, 1, p, 1) in their own units, float32 (m, p)."""
    mean, deviation = np.array(columns)
    for block in blocks:
        values: Floats = (block.reshape(len(block), -1) * deviation + mean).astype(np.float32)
        yield values


def write_images(
    path: Path,
    blocks: Iterable[Floats],
    shape: tuple[int, ...],
    *,
    as_uint8: bool = False,
    replace: bool = False,
) -> None:
    """Write images that come in blocks, float32 (m, h, w, c) in 0..1, together of `shape`, `.npy`.

    The array is float32, or uint8 from 0 to 255.

    Raises:
        InputError: without `replace`, a file has come to be there meanwhile.
        AecliError: the operating system refused.

    """
    if not as_uint8:
        write_npy(path, np.float32, shape, blocks, replace=replace)
        return
    rounded = (np.rint(np.clip(block, 0, 1) * 255).astype(np.uint8) for block in blocks)
    write_npy(path, np.uint8, shape, rounded, replace=replace)


def _in_parts(
    function: Callable[..., jax.Array],
    model: TrainedModel,
    rows: Batch,
    batch_size: int,
    report: Report,
) -> Iterator[Floats]:
    count = len(rows[0])
    step = whole_blocks(model, batch_size, count)
    batches = (
        tuple(part[start : start + step] for part in rows) for start in range(0, count, step)
    )
    return _in_batches(function, model, batches, report)


def _batches(
    model: TrainedModel, dataset: Dataset, split: SplitName, batch_size: int
) -> Iterator[Batch]:
    """Return what `encode` takes of a split, in batches of whole blocks."""
    rows = whole_blocks(model, batch_size, dataset.count(split))
    inputs = [dataset.batches, *([dataset.feature_batches] if model.by_features else [])]
    return zip(*(one(split, rows) for one in inputs), strict=True)


def _block_rows(model: TrainedModel) -> int:
    compared = 0 if model.references is None else len(model.references.coordinates)
    row_bytes = 4 * max(network(model.config, model.image_shape).cost, compared)
    rows = max(1, min(_BLOCK, _BLOCK_BYTES // row_bytes))
    whole = _ROWS_OF_A_KERNEL
    while whole > rows:
        whole //= 2
    return rows // whole * whole


def whole_blocks(model: TrainedModel, batch_size: int, rows: int) -> int:
    """Return how many rows to compute at once, in whole blocks.

    Those computed at the same time on a device are about the batch size together, or fewer where
    images are large, and the rows fill all such parts evenly.
    """
    BATCH_SIZE.check("--batch-size", batch_size)
    largest = max(math.prod(model.image_shape), model.config.latent)
    batch_size = min(batch_size, max(1, _BATCH_NUMBERS // largest))
    block, calls = _block_rows(model), max_concurrent_calls()
    parts = max(1, -(-rows // (batch_size * batches_at_once()))) * calls
    return max(_fewest_blocks(model), -(-rows // (parts * block))) * block


def _fewest_blocks(model: TrainedModel) -> int:
    """Return how many blocks there are at least in a call.

    XLA compiles a loop that has one turn otherwise than one of several, and what it computes of
    neighbours is rounded otherwise then.
    """
    return 1 if model.references is None else 2


def _in_batches(
    function: Callable[..., jax.Array],
    model: TrainedModel,
    batches: Iterable[Batch],
    report: Report,
) -> Iterator[Floats]:
    """Apply `function` to batches of rows; all but the last are of one size, in whole blocks."""
    with out_of_memory_advice("try a smaller --batch-size"):
        batches = iter(batches)
        first = next(batches, None)
        if first is None:
            return
        block, calls = _block_rows(model), max_concurrent_calls()
        blocks = max(_fewest_blocks(model), -(-len(first[0]) // block))
        like = [
            jax.ShapeDtypeStruct((blocks, block, *part.shape[1:]), part.dtype) for part in first
        ]
        programs = [model.compiled(function, *like, device=one) for one in compute_devices()]

        def padded(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
            padding = [(0, blocks * block - len(part)), *[(0, 0)] * (part.ndim - 1)]
            whole = np.pad(part, padding) if padding[0][1] else part
            return whole.reshape(blocks, block, *part.shape[1:])

        def compute(batch: Batch, program: Program) -> Floats:
            values = np.asarray(program(*map(padded, batch)))
            return values.reshape(-1, *values.shape[2:])[: len(batch[0])]

        computing: deque[Future[Floats]] = deque()

        def first_done() -> Floats:
            values = computing.popleft().result()
            report(len(values))
            return values

        with ThreadPoolExecutor(calls, "aecli-compute") as pool:
            for batch, program in zip(chain([first], batches), cycle(programs), strict=False):
                computing.append(pool.submit(compute, batch, program))
                # One more than are computed: while it is read, none has to wait.
                if len(computing) > calls:
                    yield first_done()
            while computing:
                yield first_done()


def _check_shape(checkpoint: Checkpoint, dataset: Dataset) -> None:
    expected, got = ("x".join(map(str, data.image_shape)) for data in (checkpoint.data, dataset))
    if got != expected:
        raise InputError(
            f"{dataset.name} has images of {got}, the run was trained on {expected} "
            f"({checkpoint.data.name}): encode images of that shape, or train a run on these"
        )
