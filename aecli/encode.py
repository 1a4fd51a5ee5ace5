"""Images to codes and codes to images, in batches of any size with the same result."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from flax import nnx

from aecli.checkpoint import Checkpoint, unflatten
from aecli.codes import CodeArray, Codes
from aecli.config import DEFAULT_ROWS_AT_A_TIME, SplitName
from aecli.data import Dataset, Images
from aecli.errors import InputError
from aecli.model import Autoencoder, abstract_autoencoder, to_unit_range
from aecli.pixels import unit_range

# Every product has this many rows, whatever the batch size: a product of another shape may round
# differently, and a code must not depend on its neighbours.
_BLOCK = 256
# More would not fit side by side.
_MOST_RECONSTRUCTIONS = 50

Report = Callable[[int], None]
Floats = npt.NDArray[np.float32]


def load_model(checkpoint: Checkpoint) -> Autoencoder:
    """Return the model with a checkpoint's parameters.

    Raises:
        InputError: the tensors do not fit the config.

    """
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
    report: Report = lambda rows: None,
) -> Codes:
    """Encode a split of a data set; the provenance names the model and the data.

    Raises:
        InputError: the images are not of the shape that the model was trained on.

    """
    _check_shape(checkpoint, dataset)
    rows = dataset.split(split)
    values = encode(load_model(checkpoint), rows.images, batch_size=batch_size, report=report)
    provenance: Mapping[str, Any] = {
        "model_sha256": checkpoint.model_hash,
        "recipe": checkpoint.config.recipe,
        "epoch": checkpoint.epoch,
        "trained_on": checkpoint.data.name,
        "data": dataset.name,
        "source": dataset.source.to_json(),
        "split": split,
        "fingerprint": dataset.fingerprint,
        "rows": len(values),
        "dimensions": values.shape[1],
        "class_names": dataset.class_names,
        "row_ids": rows.row_ids,
    }
    return Codes(values, rows.labels, provenance)


def reconstruct(checkpoint: Checkpoint, dataset: Dataset, count: int) -> tuple[Floats, Floats]:
    """Return the first `count` test images and their reconstructions, float32 (n, h, w, c) in 0..1.

    Raises:
        InputError: `count` is not in 1..50, or the images are not of the model's shape.

    """
    if not 1 <= count <= _MOST_RECONSTRUCTIONS:
        raise InputError(f"--count must lie in 1..{_MOST_RECONSTRUCTIONS}, got {count}")
    _check_shape(checkpoint, dataset)
    images = dataset.split("test").images[:count]
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
    return _in_batches(_encode_block, model, images, batch_size, report)


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
    return _in_batches(_decode_block, model, codes, batch_size, report)


def _encode_block(model: Autoencoder, images: jax.Array) -> jax.Array:
    return model.encoder(to_unit_range(images))


def _decode_block(model: Autoencoder, codes: jax.Array) -> jax.Array:
    return jnp.clip(model.decoder(codes), 0, 1)


def _in_batches(
    function: Callable[[Autoencoder, jax.Array], jax.Array],
    model: Autoencoder,
    rows: npt.NDArray[Any],
    batch_size: int,
    report: Report,
) -> Floats:
    """Apply `function` to `rows`, at most `batch_size`, rounded up to whole blocks, at a time."""
    if batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, got {batch_size}")
    blocks = -(-min(batch_size, len(rows)) // _BLOCK)
    batch_rows = blocks * _BLOCK
    compiled = jax.jit(lambda model, batch: jax.lax.map(partial(function, model), batch))
    results = []
    for start in range(0, len(rows), batch_rows):
        batch = rows[start : start + batch_rows]
        padding = [(0, batch_rows - len(batch)), *[(0, 0)] * (rows.ndim - 1)]
        padded = np.pad(batch, padding) if len(batch) < batch_rows else batch
        result = compiled(model, padded.reshape(blocks, _BLOCK, *rows.shape[1:]))
        results.append(np.asarray(result).reshape(batch_rows, *result.shape[2:])[: len(batch)])
        report(len(batch))
    return np.concatenate(results)


def _check_shape(checkpoint: Checkpoint, dataset: Dataset) -> None:
    expected, got = ("x".join(map(str, data.image_shape)) for data in (checkpoint.data, dataset))
    if got != expected:
        raise InputError(
            f"{dataset.name} has images of {got}, the run was trained on {expected} "
            f"({checkpoint.data.name}): encode images of that shape, or train a run on these"
        )
