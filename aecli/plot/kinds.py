"""The kinds of plot: a row of `PLOTS` for each.

A new kind is a function and a row here; the choices of `aecli plot --kind`, their help and the
default names of pictures follow. Importing this module imports nothing heavy.
"""

import re
import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aecli.errors import InputError
from aecli.files import kind_of
from aecli.plot.options import BY_LABEL, LIMITS, PlotOptions, codes_path
from aecli.plot.pictures import (
    draw_grid,
    draw_thumbnails,
    draw_traverse,
    draw_walk,
    draw_worst,
)
from aecli.plot.values import read_values
from aecli.run.points import PER_POINT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aecli.plot.colors import Coloring
    from aecli.plot.maps import Background, MapStyle
    from aecli.run.codes import Codes

DEFAULT_KIND = "map"
# In inches, dots an inch, and points.
_SIZES, _DPI, _DOT_SIZES = (1.5, 60.0), (20, 1200), (0.1, 72.0)
_MOST_DOTS = 150_000_000


@dataclass(frozen=True)
class Plot:
    """One kind of plot.

    `help` is a phrase for the help of `--kind`. `draws` says what a source must be: codes, or a run
    whose codes are meant; or a run. `figure` draws a source. `reads`: the options that mean
    something to it; it refuses others.
    """

    name: str
    help: str
    draws: Literal["codes", "run"]
    figure: Callable[[Path, PlotOptions], "Figure"]
    reads: tuple[str, ...] = ()

    def refuse_unread(self, options: PlotOptions) -> None:
        """Raise `InputError` where an option is given that this kind of plot does not read."""
        for one in fields(options):
            name = one.name
            if name not in (*_OF_ALL_KINDS, *self.reads) and getattr(options, name) != one.default:
                readers = ", ".join(k for k, plot in PLOTS.items() if name in plot.reads)
                flag = _FLAGS.get(name, name.replace("_", "-"))
                raise InputError(
                    f"--{flag} means nothing to --kind {self.name}: leave it out, or choose --kind "
                    f"{readers}"
                )

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
            InputError: there is no such file or run, it cannot be drawn, a run is needed and
                `source` is a file, or an option is none of this kind.

        """
        options = options or PlotOptions()
        self.refuse_unread(options)
        self.input_path(source)
        return self.figure(source, options)


def read_codes_of(source: Path, labels: str | Path | None = None) -> "Codes":
    """Read codes (.npy), in parts too, or the codes of a run's folder.

    `labels` names another file of labels.

    Raises:
        InputError: a file is missing or cannot be used, or the codes are older than their run.

    """
    from aecli.run.part import codes_are_there, find_codes
    from aecli.run.parts import read_codes_or_parts

    path, source = codes_path(source), find_codes(source)
    if path == source:
        return read_codes_or_parts(path, labels)
    encode = f"aecli encode {shlex.quote(str(source))}"
    if not codes_are_there(path):
        raise InputError(f"{source} has no {path.name}: {encode} makes it")
    codes = read_codes_or_parts(path, labels)
    if not _made_by(source, codes):
        raise InputError(f"{path} is older than the run: {encode} --force replaces it")
    return codes


def draw_map(source: Path, options: PlotOptions) -> "Figure":
    """Draw codes as a map.

    Raises:
        InputError: as `read_codes_of`, there is nothing to colour the codes by, or an option is out
            of range.

    """
    from aecli.run.parts import parts_note

    style = _style(options)
    path, codes = codes_path(source), read_codes_of(source, options.labels)
    if (note := parts_note(path, codes)) is not None:
        options.say(note)
    for reason, count in codes.left_out.items():
        options.say(f"left out: {count:,} {reason}")
    coloring = _coloring(path, codes, options)
    over = None if options.over is None else _background(options.over, codes)

    from aecli.plot.maps import map_figure

    return map_figure(codes, path.name, coloring, over=over, style=style, say=options.say)


def _style(options: PlotOptions) -> "MapStyle":
    """Return how the map is drawn.

    Raises:
        InputError: an option is out of range.

    """
    from aecli.plot.maps import MapStyle

    if options.limits not in LIMITS:
        raise InputError(f"--limits {options.limits}: expected {' or '.join(LIMITS)}")
    size = None if options.size is None else _parse_size(options.size)
    dpi = MapStyle.dpi if options.dpi is None else options.dpi
    if not _DPI[0] <= dpi <= _DPI[1]:
        raise InputError(f"--dpi must lie in {_DPI[0]}..{_DPI[1]}, got {dpi}")
    if size is not None and size[0] * size[1] * dpi**2 > _MOST_DOTS:
        raise InputError(
            f"--size {options.size} of {dpi} dots an inch has more than {_MOST_DOTS:,} dots: lower "
            "--dpi or --size"
        )
    dot = options.dot_size
    if dot is not None and not _DOT_SIZES[0] <= dot <= _DOT_SIZES[1]:
        raise InputError(f"--dot-size must lie in {_DOT_SIZES[0]}..{_DOT_SIZES[1]:.0f}, got {dot}")
    return MapStyle(size, dpi, dot, not options.no_names, options.title, options.limits == "all")


def _parse_size(text: str) -> tuple[float, float]:
    """Parse the size of a picture, such as `8x7` or `8,7`."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)[x,](\d{1,3}(?:\.\d{1,6})?)", text, re.ASCII)
    size = tuple(map(float, found.groups())) if found else ()
    if not size or not all(_SIZES[0] <= length <= _SIZES[1] for length in size):
        raise InputError(
            f"--size {text!r}: expected WIDTHxHEIGHT in inches, each in {_SIZES[0]}.."
            f"{_SIZES[1]:.0f}, such as 8x7"
        )
    return size[0], size[1]


def _coloring(path: Path, codes: "Codes", options: PlotOptions) -> "Coloring | None":
    """Return what the codes at a path are coloured by; None where there is nothing."""
    from aecli.data.source import located
    from aecli.plot.colors import Classes, ContinuousColors
    from aecli.plot.names import shortened
    from aecli.run.codes import labels_path, read_point_values

    labels, names, all_names = codes.labels, codes.class_names, codes.all_class_names
    numbers = codes.numbers
    name = shortened(located(str(options.labels or labels_path(path)))[0].name)
    if options.color_by in PER_POINT:
        numbers = read_point_values(path, options.color_by, codes.values)
        name = PER_POINT[options.color_by].meaning
    elif options.color_by != BY_LABEL:
        found = read_values(codes, options.color_by, options.say)
        labels, names, all_names = found.labels, found.class_names, found.class_names
        numbers = found.numbers
        file, column = located(options.color_by)
        name = shortened(column or file.name)
    if numbers is not None:
        if options.highlight is not None:
            raise InputError(
                "--highlight names classes, and the codes are coloured by numbers: leave it or "
                "--color-by out"
            )
        return ContinuousColors(name, numbers)
    if labels is None:
        if options.highlight is not None:
            raise InputError(f"--highlight names classes, and {path} has no labels: add --labels")
        return None
    if options.highlight is None:
        return Classes(labels, names, all_names)
    chosen = _highlighted(options.highlight, Classes(labels, names).names)
    return Classes(labels, names, all_names, chosen)


def _highlighted(wanted: str, names: Collection[str]) -> set[str]:
    """Return the names of classes to show: one name, or several with commas between them."""
    if wanted in names:
        return {wanted}
    chosen = {name.strip() for name in wanted.split(",") if name.strip()}
    missing = sorted(chosen - set(names))
    if missing or not chosen:
        known = ", ".join(names)
        raise InputError(
            f"--highlight: no class {missing[0] if missing else wanted!r}: expected some of "
            f"{known if len(known) < 150 else known[:150] + '…'}"
        )
    return chosen


def _background(source: Path, codes: "Codes") -> "Background":
    """Return the codes that others are drawn over.

    Raises:
        InputError: as `read_codes_of`, or another model made them.

    """
    from aecli.plot.maps import Background

    path, beneath = codes_path(source), read_codes_of(source)
    made_by = [(one.provenance or {}).get("model_sha256") for one in (codes, beneath)]
    if None not in made_by and made_by[0] != made_by[1]:
        raise InputError(
            f"--over {path} was made by another model than the codes: the two share no map; "
            "encode both with one run"
        )
    return Background(beneath.values, path.name)


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

    originals, reconstructions = reconstruct(checkpoint, dataset, options.checked_count(10, 1, 50))
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
    return history_figure(checkpoint.history, checkpoint.config.validation_measure, title)


def _made_by(run: Path, codes: "Codes") -> bool:
    """Return whether a run's best or last parameters made codes; True where that is not known."""
    from aecli.run.checkpoint import load
    from aecli.run.folder import RunFolder

    folder = RunFolder(run)
    made_by = (codes.provenance or {}).get("model_sha256")
    if made_by is None or kind_of(folder.best) != "file":
        return True
    return any(load(path).model_hash == made_by for path in (folder.best, folder.last))


# The flags of options that are called otherwise here.
_FLAGS = {"start": "from", "end": "to"}
# No option of one kind alone.
_OF_ALL_KINDS = ("bar", "out", "say")
_MAP_OPTIONS = (
    "labels", "color_by", "over", "highlight", "limits", "size", "dpi", "dot_size", "no_names",
    "title",
)  # fmt: skip

_MOSAIC_OPTIONS = ("count", "title")
_WALK_OPTIONS = (*_MOSAIC_OPTIONS, "start", "end")

PLOTS: dict[str, Plot] = {
    plot.name: plot
    for plot in (
        Plot(DEFAULT_KIND, "a scatter or histograms", "codes", draw_map, _MAP_OPTIONS),
        Plot("thumbnails", "images in place of dots", "codes", draw_thumbnails, _MOSAIC_OPTIONS),
        Plot("grid", "what the decoder makes of the plane", "codes", draw_grid, _MOSAIC_OPTIONS),
        Plot("walk", "decoded images from a code to another", "codes", draw_walk, _WALK_OPTIONS),
        Plot("traverse", "each number of the code in turn", "codes", draw_traverse, _WALK_OPTIONS),
        Plot("worst", "the largest errors", "codes", draw_worst, _MOSAIC_OPTIONS),
        Plot("reconstructions", "below their images", "run", draw_reconstructions, ("count",)),
        Plot("history", "the losses by epoch", "run", draw_history),
    )
}
