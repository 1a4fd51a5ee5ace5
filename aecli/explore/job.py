"""Make the living map of a run or of codes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli import __version__
from aecli.data import Bar, Dataset, no_bar, spread_evenly
from aecli.data.rows import Rows, rows_at, rows_between
from aecli.data.source import located
from aecli.errors import InputError
from aecli.explore.blocks import UNKNOWN_LEVEL, Blocks, Facts
from aecli.explore.drawing import drawing_facts
from aecli.explore.html import page
from aecli.explore.network import network_facts
from aecli.explore.sheets import add_sheets, plan_sheets
from aecli.files import writing
from aecli.labels import UNKNOWN, Labelling, Labels
from aecli.memory import refuse_beyond_memory
from aecli.pca import fit_pca
from aecli.pixels import unit_range
from aecli.plot.tiles import vector_limits
from aecli.plot.values import read_values
from aecli.run.codes import Codes, known_points
from aecli.run.points import PER_POINT
from aecli.subject import Subject

MOST_THUMBNAILS = 100_000
# Codes of more numbers than are shown go into the page too where all of them take at most this.
_MOST_CODE_BYTES = 8_000_000
_BATCH_BYTES = 32_000_000
# Of an image that is on its way to a sheet.
_COPIES = 4
# What a page may take in a browser: more, and phones run out of memory.
_MOST_CODES = 5_000_000

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PageOptions:
    """What the user decides about a page.

    `thumbnails`: at most how many images have a small picture; 0 for none. `title`: None for one
    that says what the codes are of. `color_by`: files, also `FILE:COLUMN`, with a number or a class
    for each code. `say` is called with what was left out of them.
    """

    thumbnails: int = MOST_THUMBNAILS
    title: str | None = None
    color_by: Sequence[str] = ()
    bar: Bar = no_bar
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Written:
    """What a page has: how many codes, how many of them with pictures, and its size in bytes."""

    codes: int
    thumbnails: int
    decodes: bool
    size: int
    notes: tuple[str, ...]


def write_page(
    subject: Subject, out: Path, options: PageOptions | None = None, *, replace: bool = False
) -> Written:
    """Write the living map of codes, one HTML file, whole or not at all.

    Raises:
        InputError: there are too many codes, or without `replace`, a file has come to be there.
        AecliError: the operating system refused.

    """
    options = options or PageOptions()
    count = len(subject.codes.values)
    if count > _MOST_CODES:
        raise InputError(
            f"{subject.path} has {count:,} codes: a page holds at most {_MOST_CODES:,}; encode "
            "fewer images"
        )
    notes: list[str] = []
    blocks = Blocks()
    tables = {
        _table_name(location): read_values(subject.codes, location, options.say)
        for location in options.color_by
    }
    facts = {
        "title": options.title or _title(subject),
        "data": subject.name,
        "split": subject.split,
        "version": __version__,
        "count": count,
        **_code_facts(subject, blocks),
        **_class_facts(subject.codes.labels, subject.codes, blocks, "labels"),
        "names": _names(subject, blocks),
        "values": _value_facts(subject, tables, blocks),
        "tables": _table_facts(tables, blocks),
        "colormap": blocks.array("colormap", _colormap()),
        "image": _image_facts(subject),
        "drawing": drawing_facts(subject.dataset, subject.split) if subject.dataset else None,
        "thumbnails": _thumbnails(subject, options, blocks, notes),
        "model": None if subject.checkpoint is None else network_facts(subject.checkpoint, blocks),
    }
    if facts["model"] is not None and facts["projection"] is not None:
        notes.append(
            "the page shows the first two principal components of the codes: nothing is decoded "
            "between dots"
        )
    if subject.checkpoint is not None and subject.checkpoint.places_by_features:
        notes.append("the page places no new images: it has no features of them")
    with writing(out, replace=replace) as file:
        for part in page(facts, blocks):
            file.write(part)
        size = file.tell()
    shown = facts["thumbnails"]["count"] if facts["thumbnails"] else 0
    return Written(count, shown, facts["model"] is not None, size, tuple(notes))


def _title(subject: Subject) -> str:
    return f"{subject.name}, {subject.split}" if subject.dataset else subject.name


def _code_facts(subject: Subject, blocks: Blocks) -> Facts:
    """Return the facts of the codes, and of the places on the map that they have.

    Codes of two or three numbers are places; those of one number lie in heaps, as in a histogram;
    those of more are shown by their first principal components, which `projection` gives.
    """
    values = subject.codes.values
    rows, dimensions = values.shape
    if dimensions in (2, 3):
        return {"codes": blocks.levels("codes", values), "places": None, "projection": None}
    if dimensions == 1:
        places = blocks.levels("places", _heaps(values[:, 0]))
        codes = blocks.levels("codes", values)
        return {"codes": codes, "places": places, "projection": None}
    components = fit_pca(values, 2)
    directions = np.zeros((2, dimensions), np.float32)
    directions[: len(components.directions)] = components.directions
    places = blocks.levels("places", (values - components.mean) @ directions.T)
    fits = 2 * rows * dimensions <= _MOST_CODE_BYTES
    return {
        "codes": blocks.levels("codes", values) if fits else None,
        "places": places,
        "projection": {"mean": components.mean.tolist(), "directions": directions.tolist()},
    }


def _heaps(values: Floats) -> Floats:
    """Return places (n, 2) of numbers (n,): each in a heap of those near to it."""
    bins = max(2, round(np.sqrt(len(values))))
    edges = np.linspace(values.min(), values.max(), bins + 1)
    place = np.clip(np.searchsorted(edges, values, "right") - 1, 0, bins - 1)
    order = np.lexsort((values, place))
    starts = np.searchsorted(place[order], place[order], "left")
    heights = np.empty(len(values), np.float64)
    heights[order] = np.arange(len(values)) - starts
    width = float(edges[-1] - edges[0]) or 1.0
    scale = 0.5 * width / max(1.0, heights.max())
    return np.stack([values, heights * scale], axis=1).astype(np.float32)


def _table_name(location: str) -> str:
    """Return what a file, or a column of one, is called in the page."""
    file, column = located(location)
    return column or file.stem


def _table_facts(tables: Mapping[str, Labelling], blocks: Blocks) -> list[Facts]:
    """Return the classes that tables have for each code, in their order."""
    return [
        {"name": name} | _class_facts(found.labels, found, blocks, f"table.{name}")
        for name, found in tables.items()
        if found.labels is not None
    ]


def _class_facts(
    labels: Labels | None, named: Codes | Labelling, blocks: Blocks, block: str
) -> Facts:
    """Return the classes of labels (n,), whose names `named` has, and the class of each code."""
    from aecli.plot.colors import Classes

    if labels is None or (labels == UNKNOWN).all():
        return {"classes": [], "labels": None}
    names = named.class_names
    classes = Classes(labels, names, named.all_class_names if isinstance(named, Codes) else names)
    counts = np.bincount(classes.index[classes.known], minlength=len(classes)).tolist()
    index = np.where(classes.known, classes.index, UNKNOWN_LEVEL).astype(np.uint16)
    if len(classes) >= UNKNOWN_LEVEL:
        return {"classes": [], "labels": None}
    described = [
        {"name": _class_name(int(value), names), "color": classes.color(i), "count": counts[i]}
        for i, value in enumerate(classes.values)
    ]
    return {"classes": described, "labels": blocks.array(block, index)}


def _class_name(value: int, names: Sequence[str] | None) -> str:
    return names[value] if names is not None and 0 <= value < len(names) else str(value)


def _names(subject: Subject, blocks: Blocks) -> Facts | None:
    names: Sequence[str] | None = (subject.codes.provenance or {}).get("row_ids")
    return blocks.texts("names", names) if names else None


def _value_facts(subject: Subject, tables: Mapping[str, Labelling], blocks: Blocks) -> list[Facts]:
    """Return the numbers that are known of each code.

    What `aecli score --per-point` wrote, and what tables have.
    """
    found: dict[str, tuple[str, Floats]] = {
        name: (PER_POINT[name].meaning, values)
        for name, values in known_points(subject.path, subject.codes.values).items()
    }
    if subject.codes.numbers is not None:
        found["number"] = ("the number of each image", subject.codes.numbers)
    for column, table in tables.items():
        if table.numbers is not None:
            found[column] = ("from a table", table.numbers)
    return [
        {"name": name, "meaning": meaning} | blocks.levels(f"value.{name}", values[:, np.newaxis])
        for name, (meaning, values) in found.items()
    ]


def _colormap() -> npt.NDArray[np.uint8]:
    """Return the colours of numbers from low to high, uint8 (256, 3)."""
    from aecli.plot.colors import colormap_bytes

    return colormap_bytes()


def _image_facts(subject: Subject) -> Facts | None:
    """Return how images are shaped, and how new ones are converted; None without a model."""
    if subject.checkpoint is None:
        return None
    data = subject.checkpoint.data
    height, width, channels = data.image_shape
    rescale = data.source.rescale
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "lines": data.source.columns is not None,
        "ground": data.source.ground or "black",
        "rescale": list(rescale) if isinstance(rescale, tuple) else None,
    }


def _thumbnails(
    subject: Subject, options: PageOptions, blocks: Blocks, notes: list[str]
) -> Facts | None:
    dataset, count = subject.dataset, len(subject.codes.values)
    shown = min(count, options.thumbnails)
    if dataset is None or shown == 0:
        return None
    refuse_beyond_memory(
        _COPIES * min(_BATCH_BYTES, dataset.nbytes), "small images", "use --thumbnails none"
    )
    rows: Rows = dataset.rows(subject.split)
    chosen = None
    if shown < count:
        chosen = spread_evenly(count, shown)
        rows = rows_at(rows, chosen)
        notes.append(f"{shown:,} of the {count:,} images, evenly spread, have a picture")
    limits = _limits(dataset, rows) if dataset.standardised else None
    plan = plan_sheets(shown, dataset.image_shape, lines=limits is not None)
    step = max(1, _BATCH_BYTES // dataset.image_bytes)
    with options.bar("images", shown) as advance:
        batches = (
            dataset.images[rows_between(rows, start, start + step)]
            for start in range(0, shown, step)
        )
        facts: Mapping[str, Any] = add_sheets(blocks, plan, batches, advance, limits)
    which = None if chosen is None else blocks.array("pictured", chosen.astype(np.uint32))
    return {**facts, "count": shown, "rows": which, "lines": limits}


def _limits(dataset: Dataset, rows: Rows) -> tuple[float, float]:
    """Return the values between which vectors are drawn: those of a sample of them."""
    return vector_limits(unit_range(dataset.images[rows_between(rows, 0, 1_000)]))
