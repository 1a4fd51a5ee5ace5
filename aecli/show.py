"""What a run is: its settings, its losses, its files, and the shapes of its layers."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aecli.config import SETTINGS, Config
from aecli.files import kind_of
from aecli.model import network
from aecli.model.layers import Shape
from aecli.model.references import references_of
from aecli.printable import significant
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import folder_of


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
        "layers": network(config, data.image_shape).widths,
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


def facts(run: Path, checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """Return what a run is, as names and values for people.

    Raises:
        InputError: another file of the run is damaged.

    """
    values = describe(run, checkpoint)
    config, data, best = checkpoint.config, checkpoint.data, checkpoint.best
    counts = ", ".join(f"{rows:,} {split}" for split, rows in data.rows.items())
    widths = network(config, data.image_shape)
    rows = [
        ("run", str(run)),
        ("data", f"{data.name}: {counts}, images of {'x'.join(map(str, data.image_shape))}"),
        *_labels_used(config),
        ("layers", f"{widths}; the decoder mirrors the hidden ones"),
        ("parameters", f"{checkpoint.parameter_count:,}"),
        (
            "epochs",
            f"{values['epochs']} of {config.epochs}, the best is {best.epoch}",
        ),
        (f"validation {config.validation_measure}", significant(best.validation_loss)),
    ]
    references = references_of(checkpoint.tensors)
    if references is not None:
        count = len(references.coordinates)
        near = "features" if checkpoint.places_by_features else "pixels"
        rows.append(("images placed", f"among {count:,} training images, near by their {near}"))
    elif checkpoint.lacks_references:
        rows.append(("images placed", "by the encoder alone until the training has ended"))
    test_mse, pca_mse = values["test_mse"], values["pca_mse"]
    if isinstance(test_mse, float) and isinstance(pca_mse, float):
        rows.append(("test mse", f"{significant(test_mse)} (PCA: {significant(pca_mse)})"))
    settings = {
        name.replace("_", " "): one.show(getattr(config, name)) for name, one in SETTINGS.items()
    }
    # How many epochs there are is said with how many there are to be.
    rows += [(name, value) for name, value in settings.items() if name != "epochs"]
    return rows + [(name, f"{size:,} bytes") for name, size in values["files"].items()]


def _labels_used(config: Config) -> list[tuple[str, str]]:
    """Return that labels were used in training, where they were."""
    if not config.label_weight:
        return []
    return [("labels used", "in training: that the map parts the classes is no discovery")]


def layer_shapes(checkpoint: Checkpoint, rows: int) -> list[LayerShapes]:
    """Return the walk of `rows` images through the layers, from image to code and back."""
    layers = network(checkpoint.config, checkpoint.data.image_shape)
    walk = []
    for layer in layers.layers:
        product = (rows, *layer.output)
        walk.append(
            LayerShapes(
                layer=layer.title,
                input=(rows, *layer.input),
                weight=layer.kernel,
                product=product,
                bias=layer.bias,
                sum=product,
                activation=layer.ending,
            )
        )
    return walk


def shapes_to_json(walk: list[LayerShapes]) -> list[dict[str, Any]]:
    """Return the walk in JSON's types."""
    return [asdict(shapes) for shapes in walk]
