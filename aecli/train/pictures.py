"""Pictures of a training: its map and its history at the end, and the map as it grows."""

from pathlib import Path

from aecli.config import SplitName
from aecli.data import Dataset
from aecli.encode import encode_split
from aecli.plot.kinds import PLOTS
from aecli.plot.maps import MapStyle, map_figure
from aecli.plot.save import save_figure
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import RunFolder


def draw_end(folder: RunFolder, dataset: Dataset) -> None:
    """Draw the test images on the map of a run's best model, and its history: its `pictures`.

    Raises:
        AecliError: the operating system refused.

    """
    map_path, history_path = folder.pictures
    _draw_map(load(folder.best), dataset, "test", map_path)
    save_figure(PLOTS["history"].draw(folder.path), history_path, replace=True)


def draw_growth(model: Checkpoint, dataset: Dataset, folder: RunFolder) -> None:
    """Draw the validation images on the map of a model that is being trained; raises as `draw_end`.

    Into the run's `growth/epoch-0012.png`. The test images stay out of view.
    """
    out = folder.path / "growth" / f"epoch-{model.epoch:04}.png"
    _draw_map(model, dataset, "validation", out)


def _draw_map(model: Checkpoint, dataset: Dataset, split: SplitName, out: Path) -> None:
    codes = encode_split(model, dataset, split).gather()
    style = MapStyle(title=f"{dataset.name} {split}, epoch {model.epoch}")
    save_figure(map_figure(codes, out.name, style=style), out, replace=True)
