"""Put the parts of codes together, once they are proven to be of one model and one data set."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aecli.data import Bar, Dataset, Source, no_bar, refuse_data_files, reopen_dataset
from aecli.data.rows import Rows
from aecli.data.stored import blocks
from aecli.errors import InputError
from aecli.files import refuse_inputs, require_suffix
from aecli.labels import Labels
from aecli.npy import Array, open_npy
from aecli.run.codes import (
    CodeArray,
    CodeBlocks,
    codes_files,
    provenance_path,
    read_provenance,
    refuse_existing_codes,
    sha256_of,
    write_codes,
)
from aecli.run.parts import complete_parts, joined, made_on_note, part_files


@dataclass(frozen=True)
class Merged:
    """Codes that were put together: how many parts and rows, of how many numbers, which files.

    `note` says what is to be known of them; None for nothing.
    """

    parts: int
    rows: int
    dimensions: int
    written: tuple[Path, ...]
    note: str | None


def merge_codes(
    codes: Path, out: Path | None = None, bar: Bar = no_bar, *, replace: bool = False
) -> Merged:
    """Write the parts of `codes` as one file, with labels and provenance, as one process would.

    The images are read once more: that proves that all parts are of one data set, and gives its
    fingerprint. The parts stay.

    Args:
        codes: the name of the whole, such as `codes.npy` for `codes-00003-of-00016.npy`.
        out: where it goes; None for `codes`.
        bar: shows the reading.
        replace: whether to replace codes that exist.

    Raises:
        InputError: a part is missing or damaged, parts do not belong together, the images are not
            at hand or have changed, or without `replace`, the codes exist.
        AecliError: the operating system refused.

    """
    out = out or codes
    require_suffix(codes, ".npy")
    require_suffix(out, ".npy")
    refuse_existing_codes(out, force=replace)
    refuse_inputs(codes_files(out), part_files(codes))
    parts = complete_parts(codes)
    paths = [part.path(codes) for part in parts]
    told = [read_provenance(provenance_path(path)) or {} for path in paths]
    whole = joined(told)
    abouts: Sequence[Mapping[str, Any]] = whole.pop("parts")
    dataset = reopen_dataset(Source.from_json(whole["source"]), bar)
    refuse_data_files(codes_files(out), dataset)
    labels = _labels(paths, told, dataset, whole)
    whole["fingerprint"] = _prove(paths, abouts, dataset, dataset.rows(whole["split"]), bar)
    shape = whole["rows"], whole["dimensions"]
    written = write_codes(out, CodeBlocks(_blocks(paths), shape, labels, whole), replace=replace)
    return Merged(len(parts), *shape, tuple(written), made_on_note(abouts))


def _blocks(paths: Iterable[Path]) -> Iterator[CodeArray]:
    for path in paths:
        yield from blocks(open_npy(path))


def _labels(
    paths: Sequence[Path],
    told: Sequence[Mapping[str, Any]],
    dataset: Dataset,
    whole: Mapping[str, Any],
) -> Labels | None:
    """Return the labels of all rows.

    Raises:
        InputError: the data set has other rows or other labels than the parts.

    """
    if dataset.count(whole["split"]) != whole["rows"]:
        raise _changed(dataset, paths[0])
    labels = dataset.labels_of(whole["split"])
    for path, provenance in zip(paths, told, strict=True):
        about = provenance["part"]
        mine = None if labels is None else labels[about["start"] : about["stop"]]
        if provenance["labels_sha256"] != (None if mine is None else sha256_of(mine)):
            raise InputError(
                f"the labels of {dataset.source.location} have changed since {path} was made: "
                "encode the parts again with --force"
            )
    return labels


def _prove(
    paths: Sequence[Path],
    abouts: Sequence[Mapping[str, Any]],
    dataset: Dataset,
    rows: Rows,
    bar: Bar,
) -> str:
    """Return the fingerprint of a data set, of whose `rows` the parts are proven to be.

    Raises:
        InputError: the images of a part, or those of the run, were others.

    """
    count = len(dataset.images)
    fingerprint = dataset.digest_of(count)
    digests = [dataset.digest_of(about["stop"] - about["start"]) for about in abouts]
    stops = np.array([about["stop"] for about in abouts])

    def update_parts(start: int, block: Array) -> None:
        place, chosen = _selected(rows, start, block)
        while len(chosen):
            part = int(np.searchsorted(stops, place, "right"))
            mine = chosen[: stops[part] - place]
            digests[part].update(np.ascontiguousarray(mine).data)
            place, chosen = place + len(mine), chosen[len(mine) :]

    # All images are read once. While both sums take up a block the next one is read.
    with bar("comparing images", count) as advance, ThreadPoolExecutor(2, "aecli-sum") as pool:
        start = 0
        running: list[Future[None]] = []
        for block in blocks(dataset.images):
            for future in running:
                future.result()
            running = [
                pool.submit(fingerprint.update, np.ascontiguousarray(block).data),
                pool.submit(update_parts, start, block),
            ]
            start += len(block)
            advance(len(block))
        for future in running:
            future.result()
    for path, about, digest in zip(paths, abouts, digests, strict=True):
        if digest.hexdigest() != about["pixels_sha256"]:
            raise _changed(dataset, path)
    if abouts[0]["data_fingerprint"] not in (None, fingerprint.hexdigest()):
        raise InputError(
            f"{dataset.source.location} is not the data that the run was trained on, its pixels "
            "differ: encode the parts with the DATASET named, and --force, to take it all the same"
        )
    return fingerprint.hexdigest()


def _selected(rows: Rows, start: int, block: Array) -> tuple[int, Array]:
    """Return those images of a block, which begins at `start`, that are among `rows`.

    And the place of the first of them among the rows.
    """
    stop = start + len(block)
    if isinstance(rows, slice):
        first, end = max(rows.start, start), min(rows.stop, stop)
        return first - rows.start, block[first - start : max(first, end) - start]
    first, end = np.searchsorted(rows, [start, stop]).tolist()
    return first, block[rows[first:end] - start]


def _changed(dataset: Dataset, path: Path) -> InputError:
    return InputError(
        f"{dataset.source.location} has changed since {path} was made: encode its parts again; "
        "those of older images need --force"
    )
