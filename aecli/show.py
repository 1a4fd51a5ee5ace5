"""What a run is: its settings, its losses, its files, and the shapes of its layers."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aecli.files import kind_of
from aecli.model.layers import encoder_inputs, encoder_widths
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import folder_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerShapes:
    """A layer at work on n rows: `input @ weight = product`, `product + bias = sum`.

    The bias is broadcast over the rows. `activation` is what the sum goes
    through, and whether a layer normalization follows. Of a conv encoder's patches the product is
    that of each patch of an image.
    """

    layer: str
    input: Shape
    weight: Shape
    product: Shape
    bias: Shape
    sum: Shape
    activation: str


def describe(run: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a run is, in JSON's types, without jax; `checkpoint` is the one to describe.

    Raises:
        InputError: another file of the run is damaged.

    """
    config, data = checkpoint.config, checkpoint.data
    folder = folder_of(run)
    epochs = load(folder.last).epoch if kind_of(folder.last) == "file" else checkpoint.epoch
    summary = folder.read_summary() or {}
    return {
        "run": str(run),
        "recipe": config.recipe,
        "layers": encoder_widths(config, data.image_shape),
        "parameters": checkpoint.parameter_count,
        "epochs": epochs,
        "best_epoch": checkpoint.best.epoch,
        "validation_loss": checkpoint.best.validation_loss,
        "test_mse": summary.get("test_mse"),
        "pca_mse": summary.get("pca_mse"),
        "config": config.to_json(),
        "data": data.to_json(),
        "files": folder.describe_files(),
    }


def layer_shapes(checkpoint: Checkpoint, rows: int) -> list[LayerShapes]:
    """Return the walk of `rows` images through the layers, from image to code and back."""
    walk = []
    config, image_shape = checkpoint.config, checkpoint.data.image_shape
    if config.encoder == "conv":
        features = (rows, *encoder_inputs(config, image_shape))
        walk.append(
            LayerShapes(
                layer="encoder patches",
                input=(rows, *image_shape),
                weight=checkpoint.parameters["parameters.encoder.patches.kernel"].shape,
                product=features,
                bias=features[-1:],
                sum=features,
                activation="relu",
            )
        )
    between = f"{config.activation}, normalized" if config.normalize else config.activation
    for part in ("encoder", "decoder"):
        depth = len(config.hidden) + 1
        for index in range(depth):
            name = f"{part}.layers.{index}"
            weight = checkpoint.parameters[f"parameters.{name}.kernel"].shape
            bias = checkpoint.parameters[f"parameters.{name}.bias"].shape
            last = "linear" if part == "encoder" else config.output
            walk.append(
                LayerShapes(
                    layer=f"{part} {index + 1}",
                    input=(rows, weight[0]),
                    weight=weight,
                    product=(rows, weight[1]),
                    bias=bias,
                    sum=(rows, weight[1]),
                    activation=between if index < depth - 1 else last,
                )
            )
    return walk


def shapes_to_json(walk: list[LayerShapes]) -> list[dict[str, Any]]:
    """Return the walk in JSON's types."""
    return [asdict(shapes) for shapes in walk]
