"""A run's state in one safetensors file: tensors by name, everything else in its metadata."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from aecli import __version__, files
from aecli.config import Config, from_json
from aecli.data import DataDescription
from aecli.errors import AecliError, InputError
from aecli.run.folder import RunFolder
from aecli.run.states import (
    RECONSTRUCTION,
    Best,
    EpochMetrics,
    PartialEpoch,
    ShuffleLayout,
)

# 1: without a checksum and, at first, a layout. 2: with both. 3: with a neighbour loss.
# 4: with conv encoders, and a weight of neighbours that falls. 5: losses by name.
FORMAT_VERSION = 5
_METADATA_KEY = "aecli"

Tensors = Mapping[str, npt.NDArray[Any]]
Tree = TypeVar("Tree")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after `epoch` epochs.

    `tensors` maps names such as `parameters.encoder.layers.0.kernel` to arrays. Batch order needs
    no state of its own: it follows from the seed in `config`, the epoch and `layout`, which is how
    the data were streamed, or None where they were in memory. `partial` is what the state has of
    the next epoch, where that was stopped. `history` has one entry per epoch; it is empty in the
    checkpoint of the best parameters.
    """

    config: Config
    data: DataDescription
    epoch: int
    best: Best
    tensors: Tensors
    layout: ShuffleLayout | None = None
    partial: PartialEpoch | None = None
    history: tuple[EpochMetrics, ...] = ()

    @property
    def parameters(self) -> Tensors:
        """The tensors of the model, without the optimizer's."""
        return {k: v for k, v in self.tensors.items() if k.startswith("parameters.")}

    @property
    def parameter_count(self) -> int:
        """How many numbers the model has learned."""
        return sum(tensor.size for tensor in self.parameters.values())

    @property
    def model_hash(self) -> str:
        """SHA-256 over names, shapes and bytes of the parameters, as hexadecimal digits."""
        return _digest({}, self.parameters)


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as the bytes of its file.

    Raises:
        AecliError: a number in it is not finite.

    """
    from safetensors.numpy import save

    non_finite = _first_not_finite(checkpoint.tensors)
    if non_finite is not None:
        raise AecliError(
            f"{non_finite} is not finite after epoch {checkpoint.epoch}: the training diverged; "
            "what was saved before stays as it is; try a lower --learning-rate"
        )
    metadata = {
        "format_version": FORMAT_VERSION,
        "aecli_version": __version__,
        "config": checkpoint.config.to_json(),
        "data": checkpoint.data.to_json(),
        "epoch": checkpoint.epoch,
        "best": asdict(checkpoint.best),
        "layout": None if checkpoint.layout is None else asdict(checkpoint.layout),
        "partial": None if checkpoint.partial is None else asdict(checkpoint.partial),
        "history": [asdict(metrics) for metrics in checkpoint.history],
    }
    # One key: safetensors writes several in any order, and the same run gives the same bytes.
    text = json.dumps({"sha256": _digest(metadata, checkpoint.tensors), **metadata})
    return save(dict(checkpoint.tensors), metadata={_METADATA_KEY: text})


def load(path: Path) -> Checkpoint:
    """Read a checkpoint without jax, and without running anything of it.

    Raises:
        InputError: there is no such file, or it is not a whole checkpoint of a known format; the
            message names a checkpoint beside it that is whole.

    """
    try:
        return _load(path)
    except InputError as error:
        folder = RunFolder(path.parent)
        for other in (folder.best, folder.last):
            if path.name == other.name or files.kind_of(other) != "file":
                continue
            try:
                epoch = _load(other).epoch
            except InputError:
                continue
            use = "can be resumed" if other == folder.last else "can encode, but not be resumed"
            raise InputError(f"{error}; {other}, epoch {epoch}, is whole and {use}") from error
        raise


def _load(path: Path) -> Checkpoint:
    tensors, text = _read(path)
    try:
        return _parse(json.loads(text), tensors)
    except InputError as error:
        raise InputError(f"the checkpoint {path} cannot be used: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the metadata of the checkpoint {path} is damaged: {error!r}") from error


def _read(path: Path) -> tuple[Tensors, str]:
    """Return the tensors of a safetensors file, and aecli's metadata as text."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise InputError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file: {error}") from error
    if text is None:
        raise InputError(f"{path} is a safetensors file, but not a checkpoint of aecli")
    return tensors, text


def _parse(metadata: dict[str, Any], tensors: Tensors) -> Checkpoint:
    """Return the checkpoint of these metadata, of any known format, and tensors.

    Raises:
        InputError: they are damaged or of a newer format.
        ValueError, KeyError, TypeError, AttributeError: a field is missing or of another type.

    """
    version = metadata["format_version"]
    if version not in range(1, FORMAT_VERSION + 1):
        raise InputError(
            f"its format version is {version}, this aecli reads up to {FORMAT_VERSION}; "
            f"install the aecli that wrote it, {metadata.get('aecli_version')}"
        )
    # At first the first format had no checksum.
    has_checksum = version > 1 or "sha256" in metadata
    if has_checksum and metadata.pop("sha256") != _digest(metadata, tensors):
        raise InputError("it is damaged: its content is not that of its checksum")
    non_finite = _first_not_finite(tensors)
    if non_finite is not None:
        raise InputError(f"{non_finite} holds numbers that are not finite")
    config = from_json(metadata["config"])
    if version < 5:
        metadata = _upgrade(metadata, config)
    layout, partial = metadata["layout"], metadata["partial"]
    return Checkpoint(
        config=config,
        data=DataDescription.from_json(metadata["data"]),
        epoch=int(metadata["epoch"]),
        best=Best(int(metadata["best"]["epoch"]), float(metadata["best"]["validation_loss"])),
        tensors=tensors,
        layout=None if layout is None else _layout(layout),
        partial=None if partial is None else _partial(partial),
        history=tuple(_epoch_metrics(line) for line in metadata["history"]),
    )


def flatten(tree: Any, prefix: str) -> dict[str, npt.NDArray[Any]]:
    """Return the leaves of a jax tree as numpy arrays, by names that start with `prefix`."""
    import jax

    leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))
    return {_name(prefix, path): np.asarray(leaf) for path, leaf in leaves}


def unflatten(like: Tree, prefix: str, tensors: Tensors) -> Tree:
    """Fill a tree of the structure of `like` (arrays or shapes) with the tensors of its names.

    Raises:
        InputError: a tensor is missing or has another shape or dtype, or one is left over.

    """
    import jax

    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    names = [_name(prefix, path) for path, _ in leaves]
    found = {name for name in tensors if name.startswith(f"{prefix}.")}
    if found != set(names):
        differing = ", ".join(sorted(found ^ set(names))[:3])
        raise InputError(f"the checkpoint does not fit its own config: {differing}")
    for name, (_, leaf) in zip(names, leaves, strict=True):
        tensor = tensors[name]
        if tensor.shape != leaf.shape or tensor.dtype != leaf.dtype:
            raise InputError(
                f"the checkpoint does not fit its own config: {name} is {tensor.dtype} "
                f"{tensor.shape}, expected {leaf.dtype} {leaf.shape}"
            )
    filled: Tree = jax.tree_util.tree_unflatten(structure, [tensors[name] for name in names])
    return filled


def _digest(metadata: Mapping[str, Any], tensors: Tensors) -> str:
    """Return the SHA-256 over metadata and names, types, shapes and bytes of tensors, in hex."""
    digest = hashlib.sha256(json.dumps(metadata).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def _first_not_finite(tensors: Tensors) -> str | None:
    """Return the name of the first tensor that holds NaN or infinity."""
    return next((name for name, values in tensors.items() if not np.isfinite(values).all()), None)


def _upgrade(metadata: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Return metadata of a format before 5 as those of format 5."""

    def losses(values: Mapping[str, Any], reconstruction: str) -> dict[str, Any]:
        """Return the two losses that there were, by the names of their terms."""
        named = {RECONSTRUCTION: values[reconstruction]}
        return named | ({"neighbor": values["neighbor_loss"]} if config.neighbor_weight else {})

    layout, partial = metadata.get("layout"), metadata.get("begun")
    return {
        **metadata,
        "layout": layout and {**layout, "buffer_blocks": layout["window_blocks"]},
        "partial": partial
        and {**partial, "buffers": partial["windows"], "losses": losses(partial, "loss")},
        "history": [{**line, "losses": losses(line, "train_loss")} for line in metadata["history"]],
    }


def _layout(values: Mapping[str, Any]) -> ShuffleLayout:
    return ShuffleLayout(int(values["block_rows"]), int(values["buffer_blocks"]))


def _partial(values: Mapping[str, Any]) -> PartialEpoch:
    return PartialEpoch(
        int(values["buffers"]), _losses(values["losses"]), int(values["finite_steps"])
    )


def _epoch_metrics(line: Mapping[str, Any]) -> EpochMetrics:
    return EpochMetrics(
        epoch=int(line["epoch"]),
        losses=_losses(line["losses"]),
        validation_loss=float(line["validation_loss"]),
        learning_rate=float(line["learning_rate"]),
        images_per_second=float(line["images_per_second"]),
        seconds=float(line["seconds"]),
    )


def _losses(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(loss) for name, loss in values.items()}


def _name(prefix: str, path: Any) -> str:
    from jax.tree_util import keystr

    return f"{prefix}.{keystr(path, simple=True, separator='.')}"
