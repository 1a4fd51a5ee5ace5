"""`encoder.onnx` and `decoder.onnx`: made, described, and proven before they take their names."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecli import __version__
from aecli.background_import import importing
from aecli.data import Dataset, refuse_data_files
from aecli.errors import InputError
from aecli.export.interface import Interface, interface_of
from aecli.export.options import Exported, ExportOptions
from aecli.files import writing_together
from aecli.model.sizes import gigabytes
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import find_checkpoint, folder_of
from aecli.run.reopen import reopen

if TYPE_CHECKING:
    from aecli.export.proof import Proof

FILES = ("encoder.onnx", "decoder.onnx")
# What a file of protobuf, in which ONNX is written, holds at most.
_MOST_BYTES = 2_000_000_000


@dataclass(frozen=True, eq=False)
class OnnxModels:
    """Proven models: the bytes of `FILES` in order, and what is known of them."""

    contents: tuple[bytes, bytes]
    interface: Interface
    proof: "Proof"
    facts: Mapping[str, Any]

    @property
    def words(self) -> str:
        """What goes in and out, and how near the models come to aecli's own, in words."""
        facts = self.facts
        dimensions = facts["dimensions"]
        outside = self.interface.outside_words
        before = f"; what aecli encode does before, they do not: {outside}" if outside else ""
        return (
            f"opset {facts['opset']}; {self.interface.input_words}, to codes (n, {dimensions}) and "
            f"back; {self.proof.words}{before}"
        )


def write(source: Path, folder: Path, options: ExportOptions) -> Exported:
    """Write the encoder and the decoder of a run as ONNX.

    Raises:
        InputError: there is no such run, it does not fit into the format, or the option `input` not
            the run.
        AecliError: the models differ from aecli's own, or the operating system refused.

    """
    checkpoint = load(find_checkpoint(source))
    interface = interface_of(checkpoint, options.input)
    with importing("aecli.export.proof"):
        dataset = reopened(checkpoint, options)
    paths = tuple(folder / name for name in FILES)
    if dataset is not None:
        refuse_data_files(paths, dataset)
    models = onnx_models(checkpoint, interface, folder_of(source).path.resolve().name, dataset)
    with writing_together(replace=options.replace) as together:
        for path, content in zip(paths, models.contents, strict=True):
            together.write(path, content)
    sizes = " and ".join(
        f"{path.name} ({len(content) / 1e6:.1f} MB)"
        for path, content in zip(paths, models.contents, strict=True)
    )
    return Exported(paths, f"wrote {sizes} to {folder}: {models.words}", models.facts)


def reopened(checkpoint: Checkpoint, options: ExportOptions) -> Dataset | None:
    """Return the data set of a run; None where it is gone or has changed, which is said."""
    try:
        return reopen(checkpoint, options.bar)
    except InputError as error:
        options.say(f"without the run's images: {error}")
        return None


def onnx_models(
    checkpoint: Checkpoint, interface: Interface, run: str, dataset: Dataset | None
) -> OnnxModels:
    """Return the models of a checkpoint, proven; `run` is what the run is called.

    Raises:
        InputError: they are too large for the format.
        AecliError: they differ from aecli's own.

    """
    from aecli.export.graph import OPSET, decoder_graph, encoder_graph
    from aecli.export.proof import prove

    _refuse_too_large(checkpoint)
    about = _about(checkpoint, interface, run) | {"opset": str(OPSET)}
    encoder = encoder_graph(
        checkpoint,
        interface,
        about | {"output": f"codes: float32 (n, {checkpoint.config.latent})"},
    )
    decoder = decoder_graph(
        checkpoint,
        interface,
        about
        | {
            "input": f"codes: float32 (n, {checkpoint.config.latent})",
            "output": interface.output_words,
        },
    )
    proof = prove(checkpoint, interface, encoder, decoder, dataset)
    facts = {
        "opset": OPSET,
        "input": interface.input_words,
        "output": interface.output_words,
        "before": interface.outside_words,
        "dimensions": checkpoint.config.latent,
        **asdict(proof),
    }
    contents = encoder.SerializeToString(), decoder.SerializeToString()
    return OnnxModels(contents, interface, proof, facts)


def _about(checkpoint: Checkpoint, interface: Interface, run: str) -> dict[str, str]:
    """Return what a model says of itself, as ONNX's `metadata_props`."""
    names = checkpoint.data.all_class_names
    return {
        "run": run,
        "data": checkpoint.data.name,
        "recipe": checkpoint.config.recipe,
        "epoch": str(checkpoint.epoch),
        "model_sha256": checkpoint.model_hash,
        "aecli_version": __version__,
        "input": interface.input_words,
        "before": interface.outside_words,
        "class_names": json.dumps(names),
    }


def _refuse_too_large(checkpoint: Checkpoint) -> None:
    size = sum(tensor.nbytes for tensor in checkpoint.encodes.values())
    if size > _MOST_BYTES:
        raise InputError(
            f"the model has {gigabytes(size)}, and a file of ONNX holds {gigabytes(_MOST_BYTES)}: "
            "take --format torch, or train a smaller one"
        )
