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


def pictures_at_the_end(folder: RunFolder) -> list[Path]:
    """Return where `draw_end` puts the map of the test images and the history of a run."""
    return [folder.path / "map.png", folder.path / "history.png"]


def growth_picture(folder: RunFolder, epoch: int) -> Path:
    """Return where `draw_growth` puts the map after an epoch."""
    return folder.path / "growth" / f"epoch-{epoch:04}.png"


def draw_end(folder: RunFolder, dataset: Dataset) -> list[Path]:
    """Draw the test images on the map of a run's best model, and its history; return the pictures.

    Raises:
        AecliError: the operating system refused.

    """
    map_path, history_path = pictures_at_the_end(folder)
    _draw_map(load(folder.best), dataset, "test", map_path)
    save_figure(PLOTS["history"].draw(folder.path), history_path, replace=True)
    return [map_path, history_path]


def draw_growth(model: Checkpoint, dataset: Dataset, folder: RunFolder) -> None:
    """Draw the validation images on the map of a model that is being trained; raises as `draw_end`.

    The test images stay out of view.
    """
    _draw_map(model, dataset, "validation", growth_picture(folder, model.epoch))


def _draw_map(model: Checkpoint, dataset: Dataset, split: SplitName, out: Path) -> None:
    codes = encode_split(model, dataset, split).gather()
    style = MapStyle(title=f"{dataset.name} {split}, epoch {model.epoch}")
    save_figure(map_figure(codes, out.name, style=style), out, replace=True)
