"""`aecli show`."""

from typing import Annotated, Any

import typer

from aecli.cli.options import DEFAULT_RUN, JsonOption, RunArgument
from aecli.errors import InputError


def show(
    run: RunArgument = DEFAULT_RUN,
    shapes: Annotated[
        bool, typer.Option("--shapes", help="Walk through the shapes of each layer.")
    ] = False,
    rows: Annotated[int, typer.Option("--rows", "-n", help="Images in the walk.")] = 256,
    as_json: JsonOption = False,
) -> None:
    """Show what a run is: settings, data, losses, parameters, files.

    With --shapes, walk through the layers: input (n, i) times weight (i, o) is the product
    (n, o); the bias (o,) is broadcast over its n rows; the sum goes through the activation. A conv
    encoder first does the same with each patch of an image.

    [bold]Examples[/bold]

      aecli show runs/mnist

      aecli show runs/mnist --shapes -n 1
    """
    from aecli.cli.console import Reporter, print_facts, print_table
    from aecli.model.layers import describe_encoder
    from aecli.run.checkpoint import load
    from aecli.run.folder import find_checkpoint
    from aecli.show import describe, layer_shapes, shapes_to_json

    if rows < 1:
        raise InputError(f"--rows must be at least 1, got {rows}")
    checkpoint = load(find_checkpoint(run))
    walk = shapes_to_json(layer_shapes(checkpoint, rows)) if shapes else []
    if as_json:
        about = describe(run, checkpoint)
        Reporter(json=True).result([], about | ({"shapes": walk} if shapes else {}))
    elif shapes:
        print_table(("layer", *_WALK), [_shape_row(layer) for layer in walk])
    else:
        widths = describe_encoder(checkpoint.config, checkpoint.data.image_shape)
        print_facts(_facts(describe(run, checkpoint), widths))


# The settings that the other facts do not tell.
_SETTINGS = (
    "recipe",
    "encoder",
    "activation",
    "normalize",
    "output",
    "init",
    "batch_size",
    "learning_rate",
    "schedule",
    "shuffle",
    "loss",
    "code_penalty",
    "neighbor_weight",
    "neighbor_final",
    "neighbors",
    "seed",
    "patience",
)
_WALK = ("input", "weight", "product", "bias", "sum", "activation")


def _shape_row(shapes: dict[str, Any]) -> list[str]:
    cells = (shapes[name] for name in ("layer", *_WALK))
    return [cell if isinstance(cell, str) else "x".join(map(str, cell)) for cell in cells]


def _facts(about: dict[str, Any], widths: str) -> list[tuple[str, str]]:
    data, config = about["data"], about["config"]
    counts = ", ".join(f"{rows:,} {split}" for split, rows in data["rows"].items())
    facts = [
        ("run", about["run"]),
        ("data", f"{data['name']}: {counts}, images of {'x'.join(map(str, data['image_shape']))}"),
        ("layers", f"{widths}; the decoder mirrors the hidden ones"),
        ("parameters", f"{about['parameters']:,}"),
        ("epochs", f"{about['epochs']} of {config['epochs']}, the best is {about['best_epoch']}"),
        (f"validation {config['loss']}", f"{about['validation_loss']:.4f}"),
    ]
    if isinstance(about["test_mse"], float) and isinstance(about["pca_mse"], float):
        facts.append(("test mse", f"{about['test_mse']:.4f} (PCA: {about['pca_mse']:.4f})"))
    facts += [(name.replace("_", " "), str(config[name])) for name in _SETTINGS]
    facts += [(name, f"{size:,} bytes") for name, size in about["files"].items()]
    return facts
