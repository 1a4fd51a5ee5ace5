"""`aecli show`."""

from typing import Annotated, Any

import typer

from aecli.cli.options import DEFAULT_RUN, JsonOption, RunArgument
from aecli.config import BATCH_SIZE


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
    from aecli.run.checkpoint import load
    from aecli.run.folder import find_checkpoint
    from aecli.show import describe, facts, layer_shapes, shapes_to_json

    BATCH_SIZE.check("--rows", rows)
    checkpoint = load(find_checkpoint(run))
    walk = shapes_to_json(layer_shapes(checkpoint, rows)) if shapes else []
    if as_json:
        values = describe(run, checkpoint)
        Reporter(json=True).result([], values | ({"shapes": walk} if shapes else {}))
    elif shapes:
        print_table(list(walk[0]), [_shape_row(layer) for layer in walk])
    else:
        print_facts(facts(run, checkpoint))


def _shape_row(shapes: dict[str, Any]) -> list[str]:
    return [cell if isinstance(cell, str) else "x".join(map(str, cell)) for cell in shapes.values()]
