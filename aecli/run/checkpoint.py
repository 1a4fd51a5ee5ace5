"""A run's state in one safetensors file: tensors by name, everything else in its metadata."""

import math
import shlex
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from aecli import __version__, files, tensor_file
from aecli.config import SETTINGS, Config, from_json
from aecli.data import DataDescription
from aecli.errors import AecliError, InputError
from aecli.model import network
from aecli.model.references import (
    COMPONENTS,
    COORDINATES,
    reference_shapes,
    reference_tensors,
)
from aecli.printable import printable
from aecli.run.folder import RunFolder
from aecli.run.states import (
    RECONSTRUCTION,
    Best,
    EpochMetrics,
    PartialEpoch,
    ShuffleLayout,
)
from aecli.tensor_file import Tensors, check_digest, first_not_finite
from aecli.validated import Count, Finite, NotNegative, Positive, Text, read_as

# 1: without a checksum and, at first, a layout. 2: with both. 3: with a neighbour loss.
# 4: with conv encoders, and a weight of neighbours that falls. 5: losses by name.
# 6: with a digest of the labels, and the environment; no infinity in its JSON.
# 7: with the weight of labels. 8: with references. 9: with kinds of codes, noise and conv decoders.
FORMAT_VERSION = 9
_METADATA = "its metadata"
_UNFIT = "the checkpoint does not fit its own config"

Tree = TypeVar("Tree")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after `epoch` epochs.

    `tensors` maps names such as `parameters.encoder.layers.0.kernel` to arrays. Batch order needs
    no state of its own: it follows from the seed in `config`, the epoch and `layout`, which is how
    the data were streamed, or None where they were in memory. `partial` is what the state has of
    the next epoch, where that was stopped. `history` has one entry per epoch; it is empty in the
    checkpoint of the best parameters. `environment` is what the bits of the last training depend
    on besides, or None where that is not known.
    """

    config: Config
    data: DataDescription
    epoch: int
    best: Best
    tensors: Tensors
    layout: ShuffleLayout | None = None
    partial: PartialEpoch | None = None
    history: tuple[EpochMetrics, ...] = ()
    environment: Mapping[str, str] | None = None

    @property
    def encodes(self) -> Tensors:
        """The tensors that make codes of images: `parameters`, and what images are placed among."""
        return {**self.parameters, **reference_tensors(self.tensors)}

    @property
    def parameters(self) -> Tensors:
        """The tensors that the model has learned, without the optimizer's."""
        return {k: v for k, v in self.tensors.items() if k.startswith("parameters.")}

    @property
    def lacks_references(self) -> bool:
        """Whether the encoder alone places images until the training has ended."""
        return self.config.placing == "neighbors" and COORDINATES not in self.tensors

    @property
    def places_by_features(self) -> bool:
        """Whether an image is placed by its features, in place of its pixels."""
        return COORDINATES in self.tensors and self.data.source.features is not None

    @property
    def parameter_count(self) -> int:
        """How many numbers the model has learned."""
        return sum(tensor.size for tensor in self.parameters.values())

    @property
    def model_hash(self) -> str:
        """SHA-256 over names, shapes and bytes of all that makes codes, as hexadecimal digits."""
        return tensor_file.digest({}, self.encodes)


@dataclass(frozen=True)
class _Best:
    """`Best` as it is stored: no loss before the first epoch."""

    epoch: Count
    validation_loss: Finite | None


@dataclass(frozen=True)
class _Metadata:
    """What a checkpoint of format 5 or later says besides its tensors; settings in JSON's types."""

    format_version: int
    aecli_version: Text
    config: dict[str, Any]
    data: DataDescription
    epoch: Count
    best: _Best
    layout: ShuffleLayout | None
    partial: PartialEpoch | None
    history: tuple[EpochMetrics, ...]
    sha256: str | None = None
    environment: dict[Text, Text] | None = None


@dataclass(frozen=True)
class _OldLayout:
    block_rows: Positive
    window_blocks: Positive


@dataclass(frozen=True)
class _OldPartial:
    windows: Count
    loss: Finite
    finite_steps: Count
    neighbor_loss: Finite = 0.0


@dataclass(frozen=True)
class _OldMetrics:
    epoch: Positive
    train_loss: Finite
    validation_loss: Finite
    learning_rate: Finite
    images_per_second: NotNegative
    seconds: NotNegative
    neighbor_loss: Finite = 0.0


@dataclass(frozen=True)
class _OldMetadata:
    """What a checkpoint before format 5 says besides its tensors."""

    format_version: int
    aecli_version: Text
    config: dict[str, Any]
    data: DataDescription
    epoch: Count
    best: _Best
    history: tuple[_OldMetrics, ...]
    layout: _OldLayout | None = None
    begun: _OldPartial | None = None


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as the bytes of its file.

    Raises:
        AecliError: a number in it is not finite.

    """
    non_finite = first_not_finite(checkpoint.tensors)
    if non_finite is not None:
        raise AecliError(
            f"{non_finite} is not finite after epoch {checkpoint.epoch}: the training diverged; "
            "what was saved before stays as it is; try a lower --learning-rate"
        )
    best = checkpoint.best
    metadata = {
        "format_version": FORMAT_VERSION,
        "aecli_version": __version__,
        "config": checkpoint.config.to_json(),
        "data": checkpoint.data.to_json(),
        "epoch": checkpoint.epoch,
        "best": asdict(_Best(best.epoch, best.validation_loss if best.epoch else None)),
        "layout": None if checkpoint.layout is None else asdict(checkpoint.layout),
        "partial": None if checkpoint.partial is None else asdict(checkpoint.partial),
        "history": [asdict(metrics) for metrics in checkpoint.history],
        "environment": checkpoint.environment,
    }
    return tensor_file.to_bytes(checkpoint.tensors, metadata)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint without jax, and without running anything of it.

    Raises:
        InputError: there is no such file, it is not a whole checkpoint of a known format, or the
            best and the last one of a run are of two trainings; the message names a checkpoint
            beside it that is whole.

    """
    try:
        checkpoint = _load(path)
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
    _refuse_mixture(path, checkpoint)
    return checkpoint


def _refuse_mixture(path: Path, checkpoint: Checkpoint) -> None:
    """Raise `InputError` where a checkpoint is the best of another training than the last one's.

    That is left by a process that was killed while its run replaced another one.
    """
    folder = RunFolder(path.parent)
    if path.name != folder.best.name or files.kind_of(folder.last) != "file":
        return
    try:
        _, about = tensor_file.read(folder.last, with_tensors=False)
        data = read_as(_Identity, about.get("data"), _METADATA, others=True)
        config = read_as(dict[str, Any], about.get("config"), _METADATA)
        same = _begins_alike(from_json(config), checkpoint.config)
    except InputError:
        # It is damaged, as whoever reads it will say.
        return
    if not same or data.fingerprint != checkpoint.data.fingerprint:
        place = shlex.quote(str(folder.path))
        raise InputError(
            f"{path} is of another training than {folder.last.name}, which it was to replace: "
            f"aecli train --resume -o {place} takes up the older one, --force begins again"
        )


@dataclass(frozen=True)
class _Identity:
    """What of the data must be the same in a run's two checkpoints."""

    fingerprint: str


def _begins_alike(one: Config, other: Config) -> bool:
    """Return whether two configs differ at most in what says when to stop."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name, setting in SETTINGS.items()
        if "stopping" not in setting.affects
    )


def _load(path: Path) -> Checkpoint:
    tensors, metadata = tensor_file.read(path)
    try:
        checkpoint = _parse(metadata, tensors)
        _check(checkpoint)
    except InputError as error:
        raise InputError(f"the checkpoint {path} cannot be used: {error}") from error
    return checkpoint


def _parse(metadata: dict[str, Any], tensors: Tensors) -> Checkpoint:
    """Return the checkpoint of these metadata, of any known format, and tensors.

    Raises:
        InputError: they are damaged or of a newer format.

    """
    version = metadata.get("format_version")
    if type(version) is not int or version not in range(1, FORMAT_VERSION + 1):
        by = printable(str(metadata.get("aecli_version")))
        raise InputError(
            f"its format version is {version!r}, this aecli reads up to {FORMAT_VERSION}; "
            f"install the aecli that wrote it, {by}"
        )
    # At first the first format had no checksum.
    if version > 1 or "sha256" in metadata:
        check_digest(metadata, tensors)
    if any(name.startswith("smoother.") for name in tensors):
        raise InputError(
            "its encoder sees means of images, as no released version did: train the run anew"
        )
    non_finite = first_not_finite(tensors)
    if non_finite is not None:
        raise InputError(f"{non_finite} holds numbers that are not finite")
    if version < 6:
        metadata = _without_infinity(metadata)
    if version < 5:
        old = read_as(_OldMetadata, metadata, _METADATA, others=True)
        config = from_json(old.config)
        about = _upgrade(old, config)
    else:
        about = read_as(_Metadata, metadata, _METADATA)
        config = from_json(about.config)
    loss = about.best.validation_loss
    return Checkpoint(
        config=config,
        data=about.data,
        epoch=about.epoch,
        best=Best(about.best.epoch, math.inf if loss is None else loss),
        tensors=tensors,
        layout=about.layout,
        partial=about.partial,
        history=about.history,
        environment=about.environment,
    )


def _check(checkpoint: Checkpoint) -> None:
    """Raise `InputError` where the parts of a checkpoint contradict each other."""
    config, data, epoch, best = (
        checkpoint.config,
        checkpoint.data,
        checkpoint.epoch,
        checkpoint.best,
    )
    _check_parameters(checkpoint)
    _check_references(checkpoint)
    if not (best.epoch <= epoch <= config.epochs and (best.epoch > 0) == (epoch > 0)):
        raise InputError(
            f"it has {epoch} epochs of {config.epochs}, and the best is {best.epoch}: expected no "
            "more than there are"
        )
    if math.isfinite(best.validation_loss) != (epoch > 0):
        raise InputError("its best epoch has no validation loss, or there is one without an epoch")
    history = checkpoint.history
    # The checkpoint of the best parameters has none.
    if history or len(checkpoint.encodes) < len(checkpoint.tensors):
        if [metrics.epoch for metrics in history] != list(range(1, epoch + 1)):
            raise InputError(f"its history is not that of the {epoch} epochs that it has")
        if any(RECONSTRUCTION not in metrics.losses for metrics in history):
            raise InputError(f"its history has epochs without a {RECONSTRUCTION} loss")
        if history and history[best.epoch - 1].validation_loss != best.validation_loss:
            raise InputError("its best validation loss is not that of its history")
    layout, partial = checkpoint.layout, checkpoint.partial
    if layout and layout.buffer_rows > sum(data.rows.values()):
        raise InputError(
            f"its shuffle buffers have {layout.buffer_rows:,} images, more than the data have"
        )
    if partial and not (layout and partial.buffers * layout.buffer_rows < data.rows["train"]):
        raise InputError("its partial epoch has more shuffle buffers than there are")


def _check_parameters(checkpoint: Checkpoint) -> None:
    """Raise `InputError` where the parameters are not those of a model of the config."""
    expected = {
        ".".join(["parameters", *map(str, layer.path), name]): shape
        for layer in network(checkpoint.config, checkpoint.data.image_shape).layers
        for name, shape in layer.parameters.items()
    }
    found = checkpoint.parameters
    _check_names(expected, found)
    for name, shape in expected.items():
        _check_tensor(name, found[name], shape, np.float32)


def _check_references(checkpoint: Checkpoint) -> None:
    """Raise `InputError` where the references are not what the config says.

    A training that has not ended has none yet.
    """
    found = reference_tensors(checkpoint.tensors)
    if not found:
        return
    config, coordinates = checkpoint.config, found.get(COORDINATES)
    if config.placing != "neighbors" or coordinates is None or coordinates.ndim != 2:
        raise InputError(f"{_UNFIT}: {COORDINATES} is missing, or images are placed without it")
    numbers = math.prod(checkpoint.data.image_shape)
    if checkpoint.places_by_features:
        numbers = found[COMPONENTS].shape[-1] if COMPONENTS in found else 0
    rows, components = coordinates.shape
    expected = reference_shapes(numbers, rows, components, config.latent)
    _check_names(expected, found)
    for name, (shape, dtype) in expected.items():
        _check_tensor(name, found[name], shape, dtype)
        if shape == () and not found[name] > 0:
            raise InputError(f"{_UNFIT}: {name} is not positive")
    if 0 in coordinates.shape:
        raise InputError(f"{_UNFIT}: {COORDINATES} has no rows")


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
    _check_names(names, [name for name in tensors if name.startswith(f"{prefix}.")])
    for name, (_, leaf) in zip(names, leaves, strict=True):
        _check_tensor(name, tensors[name], leaf.shape, leaf.dtype)
    filled: Tree = jax.tree_util.tree_unflatten(structure, [tensors[name] for name in names])
    return filled


def _check_names(expected: Collection[str], found: Collection[str]) -> None:
    differing = sorted(set(expected) ^ set(found))
    if differing:
        raise InputError(f"{_UNFIT}: {printable(', '.join(differing[:3]))}")


def _check_tensor(
    name: str, tensor: npt.NDArray[Any], shape: tuple[int, ...], dtype: npt.DTypeLike
) -> None:
    if tensor.shape != shape or tensor.dtype != dtype:
        raise InputError(
            f"{_UNFIT}: {name} is {tensor.dtype} {tensor.shape}, expected {np.dtype(dtype)} {shape}"
        )


def _without_infinity(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata of a format before 6, whose loss was infinite before the first epoch."""
    best = metadata.get("best")
    if isinstance(best, dict) and best.get("validation_loss") == math.inf:
        return {**metadata, "best": {**best, "validation_loss": None}}
    return metadata


def _upgrade(old: _OldMetadata, config: Config) -> _Metadata:
    """Return metadata of a format before 5 as those of format 5."""

    def losses(reconstruction: float, neighbor: float) -> dict[str, float]:
        """Return the two losses that there were, by the names of their terms."""
        named = {RECONSTRUCTION: reconstruction}
        return named | ({"neighbor": neighbor} if config.neighbor_weight else {})

    layout, begun = old.layout, old.begun
    return _Metadata(
        format_version=5,
        aecli_version=old.aecli_version,
        config=old.config,
        data=old.data,
        epoch=old.epoch,
        best=old.best,
        layout=ShuffleLayout(layout.block_rows, layout.window_blocks) if layout else None,
        partial=PartialEpoch(
            begun.windows, losses(begun.loss, begun.neighbor_loss), begun.finite_steps
        )
        if begun
        else None,
        history=tuple(
            EpochMetrics(
                epoch=line.epoch,
                losses=losses(line.train_loss, line.neighbor_loss),
                validation_loss=line.validation_loss,
                learning_rate=line.learning_rate,
                images_per_second=line.images_per_second,
                seconds=line.seconds,
            )
            for line in old.history
        ),
    )


def _name(prefix: str, path: Any) -> str:
    from jax.tree_util import keystr

    return f"{prefix}.{keystr(path, simple=True, separator='.')}"
