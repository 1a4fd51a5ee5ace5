"""The kinds of plot: a row of `PLOTS` for each.

A new kind is a function and a row here; the choices of `aecli plot --kind`, their help and the
default names of pictures follow. Importing this module imports nothing heavy.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aecli.errors import InputError
from aecli.files import kind_of
from aecli.run.points import PER_POINT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aecli.data import Bar
    from aecli.run.codes import Codes
    from aecli.run.points import PerPointMetric

    ColorBy = Literal["label"] | PerPointMetric

DEFAULT_KIND = "map"

if not TYPE_CHECKING:
    ColorBy = Literal["label", *PER_POINT]


@dataclass(frozen=True)
class PlotOptions:
    """The options of all kinds of plot; each kind reads those that it needs.

    `labels`: a file of labels that takes the place of the codes' own. `color_by`: what codes are
    coloured by. `count`: how many reconstructions. `bar` shows the reading of images. `out`: the
    picture, which must be none of the images. `say` is called with what is to be known of it.
    """

    labels: str | Path | None = None
    color_by: ColorBy = "label"
    count: int = 10
    bar: "Bar | None" = None
    out: Path | None = None
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Plot:
    """One kind of plot.

    `help` is a phrase for the help of `--kind`. `draws` says what a source must be: codes, or a run
    whose codes are meant; or a run. `figure` draws a source.
    """

    name: str
    help: str
    draws: Literal["codes", "run"]
    figure: Callable[[Path, PlotOptions], "Figure"]

    def input_path(self, source: Path) -> Path:
        """Return the file or folder that is drawn: the codes of a source, or its run.

        Raises:
            InputError: a run is needed, and `source` is a file.

        """
        if self.draws == "codes":
            return codes_path(source)
        if kind_of(source) == "file":
            raise InputError(f"--kind {self.name} draws a run: expected its folder, got {source}")
        return source

    def inputs(self, source: Path) -> list[Path]:
        """Return the files of a run or of codes that may be read to draw a source.

        Raises:
            InputError: a run is needed, and `source` is a file.

        """
        from aecli.run.codes import codes_files, point_files
        from aecli.run.folder import RunFolder

        drawn = self.input_path(source)
        run = RunFolder(source).files
        return run if self.draws == "run" else [*run, *codes_files(drawn), *point_files(drawn)]

    def default_picture(self, source: Path) -> Path:
        """Return where the picture goes by default: next to the codes, or into the run's folder.

        Raises:
            InputError: a run is needed, and `source` is a file.

        """
        path = self.input_path(source)
        if self.draws == "run":
            return path / f"{self.name}.png"
        return path.with_suffix(".png" if self.name == DEFAULT_KIND else f".{self.name}.png")

    def draw(self, source: Path, options: PlotOptions | None = None) -> "Figure":
        """Draw codes (.npy) or a run's folder.

        Raises:
            InputError: there is no such file or run, it cannot be drawn, or a run is needed and
                `source` is a file.

        """
        self.input_path(source)
        return self.figure(source, options or PlotOptions())


def codes_path(source: Path) -> Path:
    """Return the codes that a source means: a file itself, or those in a run's folder."""
    from aecli.run.codes import default_codes_path

    return default_codes_path(source) if kind_of(source) == "folder" else source


def read_codes_of(source: Path, labels: str | Path | None = None) -> "Codes":
    """Read codes (.npy), or the codes of a run's folder; `labels` names another file of labels.

    Raises:
        InputError: a file is missing or cannot be used, or the codes are older than their run.

    """
    from aecli.run.codes import read_codes

    path = codes_path(source)
    if path == source:
        return read_codes(path, labels)
    encode = f"aecli encode {shlex.quote(str(source))}"
    if kind_of(path) != "file":
        raise InputError(f"{source} has no {path.name}: {encode} makes it")
    codes = read_codes(path, labels)
    if not _made_by(source, codes):
        raise InputError(f"{path} is older than the run: {encode} --force replaces it")
    return codes


def draw_map(source: Path, options: PlotOptions) -> "Figure":
    """Draw codes as a map.

    Raises:
        InputError: as `read_codes_of`, or there are no numbers to colour the codes by.

    """
    from aecli.data.source import located
    from aecli.plot.colors import ContinuousColors, shortened
    from aecli.plot.maps import map_figure
    from aecli.run.codes import labels_path, read_point_values

    path, codes = codes_path(source), read_codes_of(source, options.labels)
    for reason, count in codes.left_out.items():
        options.say(f"left out: {count:,} {reason}")
    if options.color_by == "label":
        if codes.numbers is None:
            return map_figure(codes, path.name)
        own = options.labels or labels_path(path)
        name = shortened(located(str(own))[0].name)
        return map_figure(codes, path.name, ContinuousColors(name, codes.numbers))
    name = PER_POINT[options.color_by].meaning
    values = read_point_values(path, options.color_by, codes.values)
    return map_figure(codes, path.name, ContinuousColors(name, values))


def draw_reconstructions(source: Path, options: PlotOptions) -> "Figure":
    """Draw the first test images of a run and their reconstructions.

    Raises:
        InputError: there is no such run, its images are gone or have changed, or the count is not
            in 1..50.
        AecliError: the images could not be fetched.

    """
    from aecli.data import no_bar, refuse_data_files
    from aecli.run.checkpoint import load
    from aecli.run.folder import find_checkpoint
    from aecli.run.reopen import reopen

    checkpoint = load(find_checkpoint(source))
    dataset = reopen(checkpoint, options.bar or no_bar)
    if options.out is not None:
        refuse_data_files([options.out], dataset)

    # Imports jax: after the reading, or bad input would take seconds to report.
    from aecli.encode import reconstruct
    from aecli.plot.images import reconstructions_figure

    originals, reconstructions = reconstruct(checkpoint, dataset, options.count)
    title = (
        f"{dataset.name} test: the first {len(originals)} "
        f"{'vectors' if dataset.standardised else 'images'} and their reconstructions from "
        f"{checkpoint.config.latent} numbers"
    )
    return reconstructions_figure(originals, reconstructions, title, lines=dataset.standardised)


def draw_history(source: Path, options: PlotOptions) -> "Figure":
    """Draw the losses of a run by epoch.

    Raises:
        InputError: there is no such run, or it has no whole epoch.

    """
    from aecli.plot.history import history_figure
    from aecli.run.checkpoint import load
    from aecli.run.folder import RunFolder, find_checkpoint

    # Says in a line what is wrong with a folder that is not a run.
    find_checkpoint(source)
    checkpoint = load(RunFolder(source).last)
    if not checkpoint.history:
        raise InputError(f"{RunFolder(source).last} has no history: expected one of whole epochs")
    title = f"{checkpoint.data.name}, {checkpoint.config.recipe} recipe: loss by epoch"
    return history_figure(checkpoint.history, checkpoint.config.loss, title)


def _made_by(run: Path, codes: "Codes") -> bool:
    """Return whether a run's best or last parameters made codes; True where that is not known."""
    from aecli.run.checkpoint import load
    from aecli.run.folder import RunFolder

    folder = RunFolder(run)
    made_by = (codes.provenance or {}).get("model_sha256")
    if made_by is None or kind_of(folder.best) != "file":
        return True
    return any(load(path).model_hash == made_by for path in (folder.best, folder.last))


PLOTS: dict[str, Plot] = {
    plot.name: plot
    for plot in (
        Plot(DEFAULT_KIND, "a scatter or histograms", "codes", draw_map),
        Plot("reconstructions", "below their images", "run", draw_reconstructions),
        Plot("history", "the losses by epoch", "run", draw_history),
    )
}
