"""The history of a run: its losses by epoch.

`draw_history` draws on axes that it is given; `history_figure` lays out a whole picture.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from aecli.plot.colors import PALETTE
from aecli.plot.save import default_style, new_figure
from aecli.run.states import RECONSTRUCTION, EpochMetrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@default_style()
def history_figure(history: Sequence[EpochMetrics], loss: str, title: str) -> Figure:
    """Draw the losses of a run by epoch, and mark the best epoch; `loss` is what they are called.

    `history` has at least one epoch.
    """
    figure = new_figure(8, 4.5)
    axes = figure.add_subplot()
    draw_history(axes, history)
    axes.set_title(title)
    axes.set_ylabel(f"{loss} a pixel")
    return figure


def draw_history(axes: "Axes", history: Sequence[EpochMetrics]) -> None:
    """Draw the reconstruction loss of training and validation by epoch, on a logarithmic scale."""
    epochs = [metrics.epoch for metrics in history]
    losses = {
        "train": [metrics.losses[RECONSTRUCTION] for metrics in history],
        "validation": [metrics.validation_loss for metrics in history],
    }
    for (name, values), color in zip(losses.items(), PALETTE, strict=False):
        axes.plot(epochs, values, label=name, color=color)
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
    axes.set_xlabel("epoch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
