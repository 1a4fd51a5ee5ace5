"""Pictures that need a run's decoder or its images besides codes.

Importing this module imports nothing heavy.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from aecli.errors import InputError
from aecli.plot.options import PlotOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from aecli.data import Dataset
    from aecli.run.checkpoint import Checkpoint
    from aecli.subject import Subject

    Floats = npt.NDArray[np.float32]

# How many images, where --count does not say it: along a side, or in a row.
_GRID, _THUMBNAILS, _WALK, _WORST = 24, 30, 10, 20
_MOST_ALONG_A_SIDE, _MOST_IN_A_ROW, _MOST_WORST, _MOST_TRAVERSED = 100, 50, 200, 64


def draw_grid(source: Path, options: PlotOptions) -> "Figure":
    """Draw what the decoder makes of the plane, on a grid over the region where codes lie.

    That of a vae also reaches where its prior draws codes.

    Raises:
        InputError: there is no run or no codes, or they are not of 2 numbers.

    """
    subject, checkpoint = _with_decoder(source, options)
    codes = subject.codes.values
    if codes.shape[1] != 2:
        raise InputError(
            f"--kind grid decodes a plane: expected codes of 2 numbers, got {codes.shape[1]}; "
            "--kind traverse shows each number"
        )
    along = options.checked_count(_GRID, 2, _MOST_ALONG_A_SIDE)
    import numpy as np

    from aecli.plot.mosaics import plane_figure
    from aecli.plot.planes import plan_plane

    if checkpoint.config.kind == "vae":
        from aecli.model.vae import prior_codes

        codes = np.concatenate([codes, prior_codes(checkpoint.config, len(codes))])
    height, width, _ = checkpoint.data.image_shape
    lines = checkpoint.data.source.columns is not None
    plane = plan_plane(codes, along, 2 / 3 if lines else height / width)
    images = _decode(checkpoint, plane.codes.reshape(-1, 2))
    title = options.title or f"{subject.name}: what the decoder makes of the plane"
    return plane_figure(plane, images, title, lines=lines)


def draw_thumbnails(source: Path, options: PlotOptions) -> "Figure":
    """Draw images in place of dots, one for each cell that holds some.

    Raises:
        InputError: the codes are of 1 number, or their images are not at hand.

    """
    subject = _subject(source, options)
    dataset = _images_of(subject)
    codes = subject.codes.values
    if codes.shape[1] == 1:
        raise InputError("--kind thumbnails needs codes of at least 2 numbers: these have 1")
    along = options.checked_count(_THUMBNAILS, 2, _MOST_ALONG_A_SIDE)
    from aecli.pca import pca_projection
    from aecli.pixels import unit_range
    from aecli.plot.colors import Classes
    from aecli.plot.mosaics import thumbnails_figure
    from aecli.plot.planes import one_for_each_cell

    places = codes if codes.shape[1] == 2 else pca_projection(codes, 2)[0].astype("float32")
    rows = one_for_each_cell(places, along)
    images = unit_range(_rows_of(dataset, subject, rows))
    labels = subject.codes.labels
    classes = None
    if labels is not None:
        names = subject.codes.class_names
        classes = Classes(labels[rows], names, subject.codes.all_class_names)
    options.say(f"drew {len(rows):,} of {len(codes):,} images, one for each cell that holds some")
    title = options.title or f"{subject.name}, {subject.split}: {len(rows):,} images"
    return thumbnails_figure(
        places[rows], images, classes, along, title, lines=dataset.standardised
    )


def draw_walk(source: Path, options: PlotOptions) -> "Figure":
    """Draw the decoded images along the straight line between two codes.

    Raises:
        InputError: an end is not named or not known, or there is no run or no codes.

    """
    if options.start is None or options.end is None:
        raise InputError(
            "--kind walk needs --from and --to: a row of the codes, a file name, or a code"
        )
    subject, checkpoint = _with_decoder(source, options)
    count = options.checked_count(_WALK, 2, _MOST_IN_A_ROW)
    from aecli.plot.mosaics import strips_figure
    from aecli.plot.planes import line_of_codes

    start, end = _code(subject, options.start, "--from"), _code(subject, options.end, "--to")
    images = _decode(checkpoint, line_of_codes(start, end, count))
    title = options.title or f"{subject.name}: from {options.start} to {options.end}"
    lines = checkpoint.data.source.columns is not None
    return strips_figure([images], [""], title, lines=lines)


def draw_traverse(source: Path, options: PlotOptions) -> "Figure":
    """Draw what each number of a code does: each in turn goes its way, the others stay.

    They stay at their medians, or at the code that `--from` names.

    Raises:
        InputError: the code is not known, or there is no run or no codes.

    """
    subject, checkpoint = _with_decoder(source, options)
    codes = subject.codes.values
    count = options.checked_count(_WALK, 2, _MOST_IN_A_ROW)
    if codes.shape[1] > _MOST_TRAVERSED:
        options.say(f"drew the first {_MOST_TRAVERSED} of {codes.shape[1]:,} numbers")
    import numpy as np

    from aecli.plot.mosaics import strips_figure
    from aecli.plot.planes import traversals

    start = np.median(codes, axis=0).astype(np.float32)
    if options.start is not None:
        start = _code(subject, options.start, "--from")
    ways = traversals(codes, start, count)[:_MOST_TRAVERSED]
    images = _decode(checkpoint, ways.reshape(-1, codes.shape[1]))
    strips = images.reshape(len(ways), count, *images.shape[1:])
    at = "their medians" if options.start is None else options.start
    title = options.title or f"{subject.name}: each number of the code, the others at {at}"
    names = [f"code {i + 1}" for i in range(len(ways))]
    lines = checkpoint.data.source.columns is not None
    return strips_figure(list(strips), names, title, lines=lines)


def draw_worst(source: Path, options: PlotOptions) -> "Figure":
    """Draw the images with the largest errors beside their reconstructions.

    Raises:
        InputError: there is no such run, or its images are gone or have changed.

    """
    subject, checkpoint = _with_decoder(source, options)
    dataset = _images_of(subject)
    count = options.checked_count(_WORST, 1, _MOST_WORST)
    import numpy as np

    from aecli.encode import image_errors
    from aecli.pixels import unit_range
    from aecli.plot.mosaics import worst_figure

    errors = image_errors(checkpoint, dataset, subject.split)
    worst = np.argsort(-errors, kind="stable")[:count]
    # Rows are read in their order.
    rows = np.sort(worst)
    images = unit_range(_rows_of(dataset, subject, rows))[np.searchsorted(rows, worst)]
    decoded = _decode(checkpoint, subject.codes.values[worst])
    ids = dataset.row_ids_of(subject.split)
    names = [f"{ids[row] if ids else f'row {row}'}\n{errors[row]:.3g}" for row in worst.tolist()]
    title = options.title or f"{subject.name}, {subject.split}: the largest errors"
    return worst_figure(images, decoded, names, title, lines=dataset.standardised)


def _subject(source: Path, options: PlotOptions) -> "Subject":
    from aecli.data import no_bar, refuse_data_files
    from aecli.subject import find_subject

    subject = find_subject(source, say=options.say, bar=options.bar or no_bar)
    if options.out is not None and subject.dataset is not None:
        refuse_data_files([options.out], subject.dataset)
    return subject


def _with_decoder(source: Path, options: PlotOptions) -> "tuple[Subject, Checkpoint]":
    from aecli.background_import import importing

    with importing("aecli.encode"):
        subject = _subject(source, options)
    if subject.checkpoint is None:
        raise InputError(f"{source} has no decoder: expected a run, or codes in the folder of one")
    return subject, subject.checkpoint


def _images_of(subject: "Subject") -> "Dataset":
    if subject.dataset is None:
        raise InputError(f"the images of {subject.path} are not at hand: expected those it is of")
    return subject.dataset


def _rows_of(dataset: "Dataset", subject: "Subject", rows: "npt.NDArray[np.intp]") -> "Floats":
    from aecli.data import rows_at

    images: Floats = dataset.images[rows_at(dataset.rows(subject.split), rows)]
    return images


def _code(subject: "Subject", text: str, flag: str) -> "Floats":
    from aecli.plot.planes import code_of

    names = (subject.codes.provenance or {}).get("row_ids")
    return code_of(text, subject.codes.values, names, flag)


def _decode(checkpoint: "Checkpoint", codes: "Floats") -> "Floats":
    import math

    from aecli.encode import decode, load_model
    from aecli.memory import refuse_beyond_memory

    # As float32, and once more while they are drawn.
    size = 8 * len(codes) * math.prod(checkpoint.data.image_shape)
    refuse_beyond_memory(size, f"{len(codes):,} decoded images", "lower --count")
    return decode(load_model(checkpoint), codes)
