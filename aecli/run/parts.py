"""Parts of codes on disk: whether one is whole, and all of them read as one."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aecli import files
from aecli.config import SplitName
from aecli.data import Dataset
from aecli.data.stored import blocks
from aecli.errors import InputError
from aecli.labels import Labels
from aecli.npy import Array, StoredArray, open_npy
from aecli.run.codes import (
    Codes,
    codes_files,
    labels_path,
    provenance_path,
    read_codes,
    read_provenance,
    with_labels,
)
from aecli.run.part import Part, count_of_parts, missing_line, parts_of

_HASHES = ("codes_sha256", "labels_sha256", "sha256")
# What differs between the parts of the same codes.
_OF_A_PART = ("rows", "row_ids", "part", *_HASHES)
# What is known of a part only once its images are read.
_LATE = ("pixels_sha256", "made_on")
_DIFFERENT = {"model_sha256": "another model", "part": "other rows"}


def read_codes_or_parts(path: Path, labels: str | Path | None = None) -> Codes:
    """Read codes as `read_codes`; where there is no such file, and its parts are there, those.

    Raises:
        InputError: as `read_codes`, or a part is missing or damaged, or they do not belong
            together.

    """
    if files.kind_of(path) == "file" or not parts_of(path):
        return read_codes(path, labels)
    read = [read_codes(part.path(path)) for part in complete_parts(path)]
    found = [codes.labels for codes in read if codes.labels is not None]
    left_out: Counter[str] = sum((Counter(codes.left_out) for codes in read), Counter())
    whole = Codes(
        np.concatenate([codes.values for codes in read]),
        np.concatenate(found) if found else None,
        joined([codes.provenance or {} for codes in read]),
        left_out=left_out,
    )
    return whole if labels is None else with_labels(replace(whole, labels=None), labels)


def complete_parts(codes: Path) -> list[Part]:
    """Return all parts of `codes`, in order, which are whole, of one model and of one data set.

    The images themselves are not looked at.

    Raises:
        InputError: parts are missing or damaged, or do not belong together.

    """
    count = count_of_parts(codes)
    parts = [Part(index, count) for index in range(count)]
    known = {part: told for part in parts if (told := _told(part.path(codes))) is not None}
    for part, told in known.items():
        about = told.get("part")
        if about is None or (about["index"], about["count"]) != (part.index, part.count):
            raise InputError(f"{part.path(codes)} is not part {part}: encode it again with --force")
    for part, told in known.items():
        first = next(iter(known))
        _refuse_others(part.path(codes), told, known[first], first.path(codes))
    wanted = [
        part.index
        for part in parts
        if part not in known or not bytes_match(part.path(codes), known[part])
    ]
    if wanted:
        raise InputError(missing_line(codes, wanted, count))
    return parts


def _told(path: Path) -> dict[str, Any] | None:
    """Return what a part says of itself; None where it is not there, or damaged."""
    try:
        return read_provenance(provenance_path(path))
    except InputError:
        return None


def _refuse_others(
    path: Path, provenance: Mapping[str, Any], first: Mapping[str, Any], first_path: Path
) -> None:
    """Raise `InputError` where a part is of another model or data set than the first."""
    for name in [*provenance, *first]:
        if name not in _OF_A_PART and provenance.get(name) != first.get(name):
            what = _DIFFERENT.get(name, f"other images ({name})")
            raise InputError(
                f"{path} is of {what} than {first_path.name}: encode one of them again with --force"
            )
    for name in ("rows", "data_fingerprint"):
        if provenance["part"][name] != first["part"][name]:
            raise InputError(
                f"{path} is of other images ({name}) than {first_path.name}: encode one of them "
                "again with --force"
            )


def joined(provenances: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the provenance of parts, in order, as one; the hashes of what they hold are gone.

    Its `fingerprint` is None, and `parts` has what each says of itself.
    """
    first = provenances[0]
    names = [provenance.get("row_ids") for provenance in provenances]
    whole = {name: value for name, value in first.items() if name not in ("part", *_HASHES)}
    whole["rows"] = first["part"]["rows"]
    if None not in names:
        whole["row_ids"] = [name for some in names for name in some or ()]
    return {**whole, "parts": [provenance["part"] for provenance in provenances]}


def are_of(provenance: Mapping[str, Any], dataset: Dataset, split: SplitName) -> bool:
    """Return whether codes, of which `provenance` tells, are of a split of a data set.

    The images of parts are compared part by part.
    """
    if (provenance["split"], provenance["rows"]) != (split, dataset.count(split)):
        return False
    return same_images(provenance, dataset)


def same_images(provenance: Mapping[str, Any], dataset: Dataset) -> bool:
    """Return whether the images that codes are of are those of a data set, pixel for pixel."""
    parts, split = provenance.get("parts"), provenance["split"]
    if parts is None:
        same: bool = provenance["fingerprint"] == dataset.fingerprint
        return same
    return dataset.count(split) == provenance["rows"] and all(
        pixels_sha256(dataset, split, (about["start"], about["stop"])) == about["pixels_sha256"]
        for about in parts
    )


def parts_note(path: Path, codes: Codes) -> str | None:
    """Return in a line that codes were read from parts; None where they were not."""
    parts = (codes.provenance or {}).get("parts")
    if parts is None:
        return None
    return "; ".join(
        filter(None, (f"{path}: {len(parts):,} parts read as one", made_on_note(parts)))
    )


def made_on_note(parts: Sequence[Mapping[str, Any]]) -> str | None:
    """Return in words that different machines made parts; None where it was one kind."""
    made_on = sorted({about["made_on"] for about in parts})
    if len(made_on) == 1:
        return None
    return (
        f"different machines made them ({', '.join(made_on)}): codes of equal images may differ in "
        "their last bits"
    )


def refuse_single_part(path: Path, codes: Codes) -> None:
    """Raise `InputError` where codes are one part of several, which their images do not fit."""
    about = (codes.provenance or {}).get("part")
    if about is not None:
        part = Part(about["index"], about["count"])
        raise InputError(
            f"{path} is part {part} of codes: name all of them, by their folder or without the "
            "numbers"
        )


def pixels_sha256(dataset: Dataset, split: SplitName, bounds: tuple[int, int]) -> str:
    """Return the SHA-256 over type, shape and pixels of some images of a split, in hex."""
    start, stop = bounds
    digest = dataset.digest_of(stop - start)
    for batch in dataset.batches(split, dataset.rows_at_a_time, bounds):
        digest.update(np.ascontiguousarray(batch).data)
    return digest.hexdigest()


def is_whole(
    path: Path,
    expected: Mapping[str, Any],
    labels: Labels | None,
    pixels: Callable[[], str],
    *,
    force: bool = False,
) -> bool:
    """Return whether the part at `path` is there already, whole; a damaged one counts as missing.

    `expected` is what `origin` says of the part, `labels` those of its images, and `pixels` gives
    their `pixels_sha256`.

    Raises:
        InputError: without `force`, something else is there, such as a part of another model.

    """
    try:
        provenance = read_provenance(provenance_path(path))
    except InputError:
        # Damaged, which is said by making it anew.
        return False
    if provenance is None:
        _refuse_foreign(path, expected, force=force)
        return False
    if force:
        return False
    refused = _difference(provenance, expected, labels, pixels)
    if refused is not None:
        raise InputError(
            f"{path} exists already, of {refused}: --force replaces it, -o names another file"
        )
    return bytes_match(path, provenance)


def _difference(
    provenance: Mapping[str, Any],
    expected: Mapping[str, Any],
    labels: Labels | None,
    pixels: Callable[[], str],
) -> str | None:
    """Return what a part is of, where that is not what is expected; None where it is."""
    wanted = json.loads(json.dumps(expected))
    about = provenance.get("part") or {}
    found = {**provenance, "part": {n: value for n, value in about.items() if n not in _LATE}}
    for name, value in wanted.items():
        if found.get(name) != value:
            return _DIFFERENT.get(name, f"other images ({name})")
    if provenance["labels_sha256"] != (None if labels is None else _sha256(labels)):
        return "images with other labels"
    return None if about["pixels_sha256"] == pixels() else "other images (pixels)"


def _refuse_foreign(path: Path, expected: Mapping[str, Any], *, force: bool) -> None:
    """Raise `InputError` where files without provenance cannot be what a kill left of this part."""
    files.refuse_existing(*codes_files(path), force=True)
    beside = provenance_path(path)
    if files.kind_of(beside) == "file":
        raise InputError(f"{beside} is not the provenance of codes: give the codes another name")
    if force or files.kind_of(path) != "file":
        return
    try:
        stored = open_npy(path)
    except InputError:
        return
    shape = expected["rows"], expected["dimensions"]
    if stored.shape != shape or stored.dtype != np.float32:
        raise InputError(f"{path} exists already: --force replaces it, -o names another file")


def bytes_match(path: Path, provenance: Mapping[str, Any]) -> bool:
    """Return whether codes, and the labels beside them, have the hashes that they are to have."""
    try:
        codes = open_npy(path)
        shape = provenance["rows"], provenance["dimensions"]
        if codes.shape != shape or codes.dtype != np.float32:
            return False
        if _sha256(codes) != provenance["codes_sha256"]:
            return False
        beside = labels_path(path)
        if files.kind_of(beside) != "file":
            return provenance["labels_sha256"] is None
        return bool(_sha256(open_npy(beside)) == provenance["labels_sha256"])
    except InputError:
        return False


def _sha256(values: Array | StoredArray) -> str:
    digest = hashlib.sha256()
    for block in blocks(values):
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()


def refuse_other_count(codes: Path, part: Part) -> None:
    """Raise `InputError` where parts of another count lie beside one that is to be made."""
    for other in parts_of(codes):
        if other.count != part.count:
            raise InputError(
                f"{other.path(codes)} is there, this would be one of {part.count}: expected --part "
                f"I/{other.count} or auto/{other.count}, or another -o; or move the older parts "
                "away"
            )


def part_files(codes: Path) -> Iterator[Path]:
    """Yield the files of the parts of `codes` that are there, which are read in their place."""
    for part in parts_of(codes):
        yield from codes_files(part.path(codes))
