from pathlib import Path

import numpy as np
import pytest

from aecli.plot.history import history_figure
from aecli.plot.save import save_figure
from aecli.run.states import EpochMetrics


def test_the_history_shows_both_losses_and_the_best_epoch() -> None:
    history = [
        EpochMetrics(
            epoch,
            {"neighbor": 9.0, "reconstruction": 1 / epoch},
            validation_loss=abs(epoch - 3) + 0.5,
            learning_rate=1e-3,
            images_per_second=100.0,
            seconds=1.0,
        )
        for epoch in (1, 2, 3, 4)
    ]
    axes = history_figure(history, "mse", "title").axes[0]
    train, validation, best = (np.asarray(line.get_xydata()).tolist() for line in axes.lines)
    assert train == [[1, 1], [2, 1 / 2], [3, 1 / 3], [4, 1 / 4]]
    assert validation == [[1, 2.5], [2, 1.5], [3, 0.5], [4, 1.5]]
    assert best == [[3, 0.5]]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "train", "validation", "best: 0.5000, epoch 3",
    ]  # fmt: skip
    assert len({str(line.get_color()) for line in axes.lines}) == 3
    assert axes.get_yscale() == "log"
    assert (axes.get_title(), axes.get_ylabel()) == ("title", "mse a pixel")


@pytest.mark.parametrize("loss", [0, 1e-42, 3e38])
@pytest.mark.filterwarnings("error")
def test_losses_of_any_size_are_drawn(tmp_path: Path, loss: float) -> None:
    history = [EpochMetrics(1, {"reconstruction": loss}, loss, 1e-3, 100.0, 1.0)]
    save_figure(history_figure(history, "mse", "title"), tmp_path / "history.png")


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_each_term_has_its_own_axes_and_few_epochs_are_marked(epochs: int) -> None:
    history = [
        EpochMetrics(
            epoch,
            {"reconstruction": 0.1, "neighbor": 5 / epoch, "unused": 0.0},
            0.2,
            1e-3,
            9.0,
            1.0,
        )
        for epoch in range(1, epochs + 1)
    ]
    losses, term = history_figure(history, "mse", "title").axes
    (line,) = term.lines
    assert np.asarray(line.get_ydata()).tolist() == [5 / epoch for epoch in range(1, epochs + 1)]
    assert term.get_ylabel() == "neighbor loss"
    assert term.get_xlabel() == "epoch"
    assert (losses.lines[0].get_marker() == ".") == (epochs <= 20)
    ticks = [tick for tick in term.get_xticks() if 1 <= tick <= epochs]
    assert all(tick == round(tick) for tick in ticks)
