"""The files that TensorBoard's projector opens: codes, what is known of each, and small images.

As <https://github.com/tensorflow/tensorboard/tree/master/tensorboard/plugins/projector> reads them.
"""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecli.csv_text import text_bytes
from aecli.data.rows import rows_at, rows_between
from aecli.export.options import MOST_POINTS, Exported, ExportOptions
from aecli.export.points import point_table, refuse_subject_files
from aecli.files import writing_together
from aecli.memory import refuse_beyond_memory
from aecli.pixels import unit_range
from aecli.plot.tiles import LINE_SHAPE, Bytes, tiles, vector_limits
from aecli.printable import plural, printable
from aecli.score.table import PointTable
from aecli.subject import Subject

TENSORS, METADATA, SPRITE = "tensors.tsv", "metadata.tsv", "sprite.png"
FILES = (TENSORS, METADATA, SPRITE, "projector_config.pbtxt")
# What browsers take as one picture for a graphics card.
MOST_SIDE = 8192
_LARGEST_TILE = 64
_BATCH_BYTES = 32_000_000
# A picture, and once more as a file.
_COPIES = 2

Positions = npt.NDArray[np.int64]


def write(source: Path, folder: Path, options: ExportOptions) -> Exported:
    """Write the codes of a run's split, or codes (`.npy`), for TensorBoard's projector.

    Raises:
        InputError: there is no such run or file, it cannot be read, memory is too small, or a file
            is in the way.
        AecliError: the operating system refused.

    """
    from aecli.subject import find_subject

    subject = find_subject(source, options.split, None, options.say, options.bar)
    paths = {name: folder / name for name in FILES}
    refuse_subject_files(list(paths.values()), subject)
    rows = _drawn(len(subject.codes.values), options)
    table = point_table(subject)
    tile, sprite = _sprite(subject, rows, options)
    config = _config(f"{subject.name} {subject.split}", tile)
    with writing_together(replace=options.replace) as together:
        if sprite is None:
            together.remove(paths[SPRITE])
        else:
            together.write(paths[SPRITE], sprite)
        together.write(paths[TENSORS], _tensors(subject.codes.values[rows]))
        together.write(paths[METADATA], _metadata(table, rows.tolist()))
        together.write(paths[FILES[-1]], config)
    written = tuple(path for name, path in paths.items() if sprite or name != SPRITE)
    pictures = "with their images" if sprite else "without images"
    line = (
        f"wrote {plural(len(rows), 'code')} of {subject.name}, {pictures}, to {folder}: "
        f"tensorboard --logdir {folder} opens them"
    )
    return Exported(written, line, {"rows": table.rows, "points": len(rows)})


def _drawn(count: int, options: ExportOptions) -> Positions:
    """Return which of the codes are written: all, or some at random in their order."""
    most = options.sample or MOST_POINTS
    if count <= most:
        return np.arange(count)
    seed = options.seed or 0
    options.say(f"{most:,} of the {count:,} codes, drawn at random with seed {seed}")
    drawn = np.random.default_rng(seed).choice(count, most, replace=False)
    return np.sort(drawn)


def _tensors(values: npt.NDArray[np.float32]) -> bytes:
    """Return codes as lines of numbers, with the digits of float32."""
    return "".join("\t".join(map(str, row)) + "\n" for row in values).encode()


def _metadata(table: PointTable, rows: Iterable[int]) -> bytes:
    """Return what is known of some codes, a line each; where it is one column it has no head."""
    columns = [name for name in table.known_columns if not name.startswith("code_")]
    lines = [columns] if len(columns) > 1 else []
    for row in rows:
        cells = table.row(row)
        lines.append([_cell(cells[name]) for name in columns])
    return text_bytes("".join("\t".join(line) + "\n" for line in lines))


def _cell(value: Any) -> str:
    return "" if value is None else printable(str(value))


def _sprite(
    subject: Subject, rows: Positions, options: ExportOptions
) -> tuple[tuple[int, int], bytes | None]:
    """Return the height and width of a small image, and all of them in one picture, PNG.

    None where the images are not at hand. They lie row by row, as many across as down.
    """
    dataset = subject.dataset
    if dataset is None:
        return (0, 0), None
    across = math.ceil(math.sqrt(len(rows)))
    shape = LINE_SHAPE if dataset.standardised else dataset.image_shape[:2]
    shrink = max(1.0, max(shape) / min(_LARGEST_TILE, MOST_SIDE // across))
    height, width = (max(1, int(side / shrink)) for side in shape)
    size = 3 * across**2 * height * width
    refuse_beyond_memory(_COPIES * size, SPRITE, "lower --sample")
    chosen = rows_at(dataset.rows(subject.split), rows)
    limits = None
    if dataset.standardised:
        limits = vector_limits(unit_range(dataset.images[rows_between(chosen, 0, 1_000)]))
    step = max(1, _BATCH_BYTES // dataset.image_bytes)
    batches = (
        dataset.images[rows_between(chosen, start, start + step)]
        for start in range(0, len(rows), step)
    )
    with options.bar("images", len(rows)) as advance:
        small = tiles(batches, (height, width), limits, advance)
        picture = _laid_out(small, across, (height, width))
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return (height, width), file.getvalue()


def _laid_out(small: Iterator[Bytes], across: int, shape: tuple[int, int]) -> Bytes:
    height, width = shape
    picture = np.zeros((across * height, across * width, 3), np.uint8)
    for place, image in enumerate(small):
        top, left = place // across * height, place % across * width
        picture[top : top + height, left : left + width] = image
    return picture


def _config(name: str, tile: Sequence[int]) -> bytes:
    """Return the config in the text format of protocol buffers."""
    lines = [
        f"tensor_name: {_quoted(name)}",
        f"tensor_path: {_quoted(TENSORS)}",
        f"metadata_path: {_quoted(METADATA)}",
    ]
    if all(tile):
        height, width = tile
        lines += [
            "sprite {",
            f"  image_path: {_quoted(SPRITE)}",
            f"  single_image_dim: {width}",
            f"  single_image_dim: {height}",
            "}",
        ]
    body = "".join(f"  {line}\n" for line in lines)
    return f"embeddings {{\n{body}}}\n".encode()


def _quoted(text: str) -> str:
    """Return a text as the format has it: printable, with quotes and backslashes escaped."""
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
