"""Images to codes and codes to images, in batches of any size with the same result."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from flax import nnx

from aecli.checkpoint import Checkpoint, unflatten
from aecli.codes import CodeArray, CodeBlocks
from aecli.config import DEFAULT_ROWS_AT_A_TIME, SplitName
from aecli.data import Dataset, count_of, rows_between
from aecli.device import enough_memory, remember_programs
from aecli.errors import InputError
from aecli.model import Autoencoder, abstract_autoencoder, to_unit_range
from aecli.pixels import Images, unit_range
from aecli.stream import prefetched

# Every product has this many rows, or as many as have so many bytes, whatever the batch size: a
# product of another shape may round differently, and a code must not depend on its neighbours.
_BLOCK = 256
_BLOCK_BYTES = 64_000_000
# More would not fit side by side.
_MOST_RECONSTRUCTIONS = 50

Report = Callable[[int], None]
Floats = npt.NDArray[np.float32]


def load_model(checkpoint: Checkpoint) -> Autoencoder:
    """Return the model with a checkpoint's parameters.

    Raises:
        InputError: the tensors do not fit the config.

    """
    remember_programs()
    structure, shapes = abstract_autoencoder(checkpoint.config, checkpoint.data.image_shape)
    parameters = unflatten(shapes, "parameters", checkpoint.tensors)
    model: Autoencoder = nnx.merge(structure, jax.device_put(parameters))
    return model


def encode_split(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    memory: int | None = None,
    report: Report = lambda rows: None,
) -> CodeBlocks:
    """Encode a split of a data set while it is read; the provenance names the model and the data.

    With `memory`, in bytes, large images are taken fewer at a time than `batch_size`.

    Raises:
        InputError: the images are not of the shape that the model was trained on.

    """
    _check_shape(checkpoint, dataset)
    rows = dataset.rows(split)
    shape = (count_of(rows), checkpoint.config.latent)
    provenance: Mapping[str, Any] = {
        "model_sha256": checkpoint.model_hash,
        "recipe": checkpoint.config.recipe,
        "epoch": checkpoint.epoch,
        "trained_on": checkpoint.data.name,
        "data": dataset.name,
        "source": dataset.source.to_json(),
        "split": split,
        "fingerprint": dataset.fingerprint,
        "rows": shape[0],
        "dimensions": shape[1],
        "class_names": dataset.class_names,
        "row_ids": dataset.row_ids_of(split),
    }
    if memory is not None:
        # Read ahead, being read, on the device, and being padded.
        batch_size = min(batch_size, max(1, memory // (4 * dataset.image_bytes)))
    model = load_model(checkpoint)
    batches = dataset.batches(split, _whole_blocks(model, batch_size, shape[0]))
    blocks = _in_batches(_encode_block, model, batches, report)
    return CodeBlocks(blocks, shape, dataset.labels_of(split), provenance)


def reconstruct(checkpoint: Checkpoint, dataset: Dataset, count: int) -> tuple[Floats, Floats]:
    """Return the first `count` test images and their reconstructions, float32 (n, h, w, c) in 0..1.

    Raises:
        InputError: `count` is not in 1..50, or the images are not of the model's shape.

    """
    if not 1 <= count <= _MOST_RECONSTRUCTIONS:
        raise InputError(f"--count must lie in 1..{_MOST_RECONSTRUCTIONS}, got {count}")
    _check_shape(checkpoint, dataset)
    images = dataset.images[rows_between(dataset.rows("test"), 0, count)]
    model = load_model(checkpoint)
    return unit_range(images), decode(model, encode(model, images))


def encode(
    model: Autoencoder,
    images: Images,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    report: Report = lambda rows: None,
) -> CodeArray:
    """Encode `images`, of any type of pixel, (n, h, w, c), to codes, float32 (n, d).

    A code depends on its image alone: not on the batch size, the order or the other images.
    `report` is called with the number of images done since its last call.
    """
    return _all_at_once(_encode_block, model, images, batch_size, report)


def decode(
    model: Autoencoder,
    codes: CodeArray,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    report: Report = lambda rows: None,
) -> Floats:
    """Decode `codes`, float32 (n, d), to images, float32 (n, h, w, c) in 0..1.

    Raises:
        InputError: the codes have another number of dimensions than the model's.

    """
    expected = model.encoder.layers[-1].out_features
    if codes.shape[1] != expected:
        raise InputError(
            f"the codes have {codes.shape[1]} dimensions, the run's have {expected}: decode codes "
            "of that many numbers"
        )
    return _all_at_once(_decode_block, model, codes, batch_size, report)


def _encode_block(model: Autoencoder, images: jax.Array) -> jax.Array:
    return model.encoder(to_unit_range(images))


def _decode_block(model: Autoencoder, codes: jax.Array) -> jax.Array:
    return jnp.clip(model.decoder(codes), 0, 1)


def _all_at_once(
    function: Callable[[Autoencoder, jax.Array], jax.Array],
    model: Autoencoder,
    rows: npt.NDArray[Any],
    batch_size: int,
    report: Report,
) -> Floats:
    step = _whole_blocks(model, batch_size, len(rows))
    batches = (rows[start : start + step] for start in range(0, len(rows), step))
    return np.concatenate(list(_in_batches(function, model, batches, report)))


def _block_rows(model: Autoencoder) -> int:
    image_bytes = 4 * model.encoder.layers[0].in_features
    return max(1, min(_BLOCK, _BLOCK_BYTES // image_bytes))


def _whole_blocks(model: Autoencoder, batch_size: int, rows: int) -> int:
    """Return the batch size, at most of so many rows, rounded up to whole blocks."""
    if batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, got {batch_size}")
    block = _block_rows(model)
    return -(-min(batch_size, rows) // block) * block


def _in_batches(
    function: Callable[[Autoencoder, jax.Array], jax.Array],
    model: Autoencoder,
    batches: Iterable[npt.NDArray[Any]],
    report: Report,
) -> Iterator[Floats]:
    """Apply `function` to batches of rows; all but the last are of one size, in whole blocks."""
    compiled = jax.jit(lambda model, batch: jax.lax.map(partial(function, model), batch))
    block = _block_rows(model)
    batch_rows = 0
    for batch in prefetched(batches):
        batch_rows = batch_rows or -(-len(batch) // block) * block
        padding = [(0, batch_rows - len(batch)), *[(0, 0)] * (batch.ndim - 1)]
        padded = np.pad(batch, padding) if len(batch) < batch_rows else batch
        with enough_memory("try a smaller --batch-size"):
            result = np.asarray(compiled(model, padded.reshape(-1, block, *batch.shape[1:])))
        yield result.reshape(batch_rows, *result.shape[2:])[: len(batch)]
        report(len(batch))


def _check_shape(checkpoint: Checkpoint, dataset: Dataset) -> None:
    expected, got = ("x".join(map(str, data.image_shape)) for data in (checkpoint.data, dataset))
    if got != expected:
        raise InputError(
            f"{dataset.name} has images of {got}, the run was trained on {expected} "
            f"({checkpoint.data.name}): encode images of that shape, or train a run on these"
        )
