"""The history of a run: its losses by epoch.

`draw_history` and `draw_term` draw on axes that they are given; `history_figure` lays out a whole
picture.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aecli.plot import library  # noqa: F401

# isort: split
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aecli.plot.colors import PALETTE
from aecli.plot.save import default_style, new_figure
from aecli.printable import printable
from aecli.run.states import DIVERGENCE, RECONSTRUCTION, EpochMetrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# With so few epochs each is marked.
_FEW_EPOCHS = 20
# Those of training, validation and the best epoch.
_COLORS_OF_LOSSES = 3


@default_style()
def history_figure(history: Sequence[EpochMetrics], loss: str, title: str) -> Figure:
    """Draw the losses of a run by epoch, and mark the best epoch; `loss` is what they are called.

    Below them is each other term of the training loss, without its weight. `history` has at least
    one epoch.
    """
    terms = _other_terms(history)
    figure = new_figure(8, 4.5 + 1.6 * len(terms))
    rows = figure.subplots(
        1 + len(terms), 1, sharex=True, squeeze=False, height_ratios=[3, *(1 for _ in terms)]
    )[:, 0]
    draw_history(rows[0], history)
    rows[0].set_title(printable(title))
    rows[0].set_ylabel(f"{loss} {'an image' if loss.endswith('nats') else 'a pixel'}")
    for axes, term, color in zip(rows[1:], terms, PALETTE[_COLORS_OF_LOSSES:], strict=False):
        draw_term(axes, history, term, color)
    for axes in rows:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    rows[-1].set_xlabel("epoch")
    return figure


def _other_terms(history: Sequence[EpochMetrics]) -> list[str]:
    """Return the terms of the training loss besides the reconstruction that are ever above 0."""
    names = {name: None for metrics in history for name in metrics.losses}
    return [
        name
        for name in names
        if name != RECONSTRUCTION and any(metrics.losses.get(name, 0) for metrics in history)
    ]


def draw_term(axes: "Axes", history: Sequence[EpochMetrics], name: str, color: str) -> None:
    """Draw one term of the training loss by epoch, where it was known."""
    known = [metrics for metrics in history if name in metrics.losses]
    epochs = [metrics.epoch for metrics in known]
    axes.plot(epochs, [m.losses[name] for m in known], color=color, marker=_marker(known))
    axes.set_ylabel(f"{name} loss")
    axes.yaxis.set_major_formatter("{x:.3g}")


def _marker(history: Sequence[EpochMetrics]) -> str:
    """Return the marker of an epoch: a line of one has no length."""
    return "." if len(history) <= _FEW_EPOCHS else ""


def draw_history(axes: "Axes", history: Sequence[EpochMetrics]) -> None:
    """Draw the reconstruction loss of training and validation by epoch, on a logarithmic scale."""
    epochs = [metrics.epoch for metrics in history]
    alone = ", reconstruction alone" if DIVERGENCE in history[0].losses else ""
    losses = {
        f"train{alone}": [metrics.losses[RECONSTRUCTION] for metrics in history],
        "validation": [metrics.validation_loss for metrics in history],
    }
    for (name, values), color in zip(losses.items(), PALETTE, strict=False):
        axes.plot(epochs, values, label=name, color=color, marker=_marker(history))
    best = min(history, key=lambda metrics: metrics.validation_loss)
    axes.plot(
        best.epoch,
        best.validation_loss,
        "o",
        color=PALETTE[len(losses)],
        label=f"best: {best.validation_loss:.4f}, epoch {best.epoch}",
    )
    # A model of images that are all the same has no error at all.
    if max(max(values) for values in losses.values()) > 0:
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.legend(frameon=False)
