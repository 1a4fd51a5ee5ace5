"""A map of plain arrays on axes of the user's."""

from typing import TYPE_CHECKING, Any

import numpy as np

from aecli.errors import InputError
from aecli.labels import Labelling, labels_of_array
from aecli.python_errors import python_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from aecli.plot.colors import Coloring

_SIZE = (8.0, 7.0)


def plot_map(codes: Any, labels: Any = None, ax: "Axes | None" = None) -> "Axes":
    """Draw codes as `aecli plot` draws them, and return the axes.

    Args:
        codes: (n, d). d = 1 gives a histogram for each label, d = 2 and 3 a scatter, d > 3 a
            scatter of the first two principal components.
        labels: (n,), by which the codes are coloured: whole numbers or texts are classes, whose
            names stand on the map; -1, NaN and an empty text are unknown. Other numbers are a
            colour each. None for one colour.
        ax: axes to draw on, of projection `3d` for d = 3; None for those of a new figure.

    Raises:
        ValueError: codes or labels are of another shape, the codes are not finite, or the axes are
            not of the projection.

    """
    # First of all, so that the user's settings and windows are as Matplotlib finds them.
    from matplotlib import pyplot, rc_context

    with python_errors(), rc_context({"text.parse_math": False}):
        from aecli.plot.maps import draw_map
        from aecli.run.codes import as_matrix

        values = as_matrix(np.asarray(codes), "codes")
        coloring = None if labels is None else _coloring(labels, len(values))
        in_space = values.shape[1] == 3
        if ax is None:
            figure = pyplot.figure(figsize=_SIZE)
            ax = figure.add_subplot(projection="3d" if in_space else None)
        elif in_space != (ax.name == "3d"):
            raise InputError(
                f"codes of {values.shape[1]} numbers do not fit axes of the projection {ax.name}: "
                "expected 3d for codes of 3 numbers, and for no others"
            )
        draw_map(ax, values, coloring)
    return ax


def _coloring(labels: Any, rows: int) -> "Coloring":
    from aecli.plot.colors import Classes, ContinuousColors

    found: Labelling = labels_of_array(np.asarray(labels), rows, "labels")
    if found.numbers is not None and not np.isnan(found.numbers).all():
        return ContinuousColors("label", found.numbers)
    if found.labels is None:
        raise InputError(f"labels are no classes: got {', '.join(found.left_out)}")
    return Classes(found.labels, found.class_names)
