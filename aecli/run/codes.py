"""Codes on disk: `NAME.npy`, and beside it `NAME.labels.npy` and `NAME.json`."""

import hashlib
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli import files
from aecli.config import SplitName
from aecli.errors import InputError
from aecli.labels import Labelling, Labels
from aecli.npy import add_npy, finite_float32, read_npy
from aecli.run.points import PER_POINT, PerPointMetric
from aecli.run.provenance import Provenance
from aecli.validated import read_as

CodeArray = npt.NDArray[np.float32]

# What provenance says of the classes of a data set.
_CLASSES = ("class_names", "run_classes")


@dataclass(frozen=True, eq=False)
class Codes:
    """A code matrix and what is known about it.

    `values`: float32 (n, d), rows in the data set's order. `labels`: int64 (n,) or None.
    `provenance`: the contents of `NAME.json`, with the fields of `Provenance`; None for codes from
    elsewhere. `names`: what the labels index, where their own file says it. `numbers`: float32
    (n,), where there are numbers in place of labels, NaN where one is missing. `left_out`: how many
    labels were set aside, by reason.
    """

    values: CodeArray
    labels: Labels | None = None
    provenance: Mapping[str, Any] | None = None
    names: tuple[str, ...] | None = None
    numbers: CodeArray | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 over the values, as hexadecimal digits."""
        return sha256_of(self.values)

    def refuse_other_model(self, path: Path, model_sha256: str) -> None:
        """Raise `InputError` where codes, which lie at `path`, say that another model made them."""
        made_by = (self.provenance or {}).get("model_sha256")
        if made_by not in (None, model_sha256):
            raise InputError(
                f"{path} was made by another model: name the run that made it, or move "
                f"{provenance_path(path).name} away to take the numbers alone"
            )

    @property
    def class_names(self) -> Sequence[str] | None:
        """The names that the labels index, where they are known."""
        if self.names is not None:
            return self.names
        return self.provenance.get("class_names") if self.provenance else None

    @property
    def all_class_names(self) -> Sequence[str] | None:
        """The names of all classes of the run that made the codes, in order, where they are known.

        Those of labels from a file of their own are their `names`.
        """
        if self.names is not None or self.provenance is None:
            return self.names
        return self.provenance.get("run_classes")


@dataclass(frozen=True, eq=False)
class CodeBlocks:
    """Codes on their way to a file.

    `blocks`: float32 (m, d) each, together of the shape `shape`, (n, d). `labels` and `provenance`
    as of `Codes`. `late` gives the fields of the provenance that are known once all blocks are.
    `spread`: the standard deviations of codes that are Gaussians, blocks as of the codes; None
    where they are not asked for.
    """

    blocks: Iterable[CodeArray]
    shape: tuple[int, int]
    labels: Labels | None
    provenance: Mapping[str, Any]
    late: Callable[[], Mapping[str, Any]] = dict
    spread: Iterable[CodeArray] | None = None

    def gather(self) -> Codes:
        """Return all of them, in memory."""
        return Codes(np.concatenate(list(self.blocks)), self.labels, self.provenance)


def is_codes(path: Path) -> bool:
    """Return whether a path means codes, not a run: all but folders called `.npy` do."""
    return files.kind_of(path) != "folder" and path.suffix == ".npy"


def default_codes_path(folder: Path, split: SplitName | None = None) -> Path:
    """Return where a run's folder keeps the codes of a split: `codes.npy` for the test split."""
    return folder / ("codes.npy" if split in (None, "test") else f"codes-{split}.npy")


def labels_path(codes: Path) -> Path:
    """Return where the labels of `codes` lie: `codes.npy` -> `codes.labels.npy`."""
    return codes.with_suffix(".labels.npy")


def spread_path(codes: Path) -> Path:
    """Return where the standard deviations of `codes` lie: `codes.npy` -> `codes.spread.npy`."""
    return codes.with_suffix(".spread.npy")


def spread_files(codes: Path) -> list[Path]:
    """Return the files that `write_codes` writes for the standard deviations of `codes`."""
    return [spread_path(codes), spread_path(codes).with_suffix(".json")]


def provenance_path(codes: Path) -> Path:
    """Return where the provenance of `codes` lies: `codes.npy` -> `codes.json`."""
    return codes.with_suffix(".json")


def point_path(codes: Path, what: PerPointMetric) -> Path:
    """Return where a number for each of `codes` lies: `codes.npy` -> `codes.trust.npy`."""
    return codes.with_suffix(f".{what}.npy")


def point_table_path(codes: Path) -> Path:
    """Return where the table of all that is known of each of `codes` lies: `codes.points.csv`."""
    return codes.with_suffix(".points.csv")


def read_point_values(codes: Path, what: PerPointMetric, values: CodeArray) -> CodeArray:
    """Read a number for each of the codes `values`, which lie at `codes`; float32 (n,).

    Raises:
        InputError: the file is missing, belongs to other codes, or has not one finite number for
            each code.

    """
    path, note = point_path(codes, what), point_path(codes, what).with_suffix(".json")
    made_by = _made_by(codes, what)
    for needed in (path, note):
        if files.kind_of(needed) != "file":
            raise InputError(f"{needed} does not exist: {made_by} makes it")
    numbers = read_npy(path)
    if numbers.shape != (len(values),) or numbers.dtype.kind != "f":
        raise InputError(
            f"{path} is {numbers.dtype} {numbers.shape}: expected a finite number for each of the "
            f"{len(values):,} codes of {codes}; {made_by} --force makes it anew"
        )
    if files.read_json(note) != _point_note(sha256_of(values), numbers):
        raise InputError(
            f"{path} belongs to other codes than {codes}: {made_by} --force makes it anew"
        )
    if not np.isfinite(numbers).all():
        raise InputError(
            f"{path} holds numbers that are not finite: {made_by} --force makes it anew"
        )
    return numbers.astype(np.float32)


def known_points(codes: Path, values: CodeArray) -> dict[PerPointMetric, CodeArray]:
    """Return all numbers that lie beside the codes `values`; raises as `read_point_values`."""
    there = [what for what in PER_POINT if files.kind_of(point_path(codes, what)) == "file"]
    return {what: read_point_values(codes, what, values) for what in there}


def _made_by(codes: Path, what: PerPointMetric) -> str:
    """Return the command that makes a number for each of `codes`: of its run where it is known."""
    run, (command, *options) = codes.parent, PER_POINT[what].made_by
    splits: tuple[SplitName, ...] = ("test", "train", "validation", "all")
    split = next((s for s in splits if default_codes_path(run, s) == codes), None)
    if split is None or files.kind_of(run / "best.safetensors") != "file":
        return f"{command} RUN {shlex.join(options)}"
    named = [] if split == "test" else ["--split", split]
    return f"{command} {shlex.join([str(run), *named, *options])}"


def write_point_values(
    codes: Path,
    codes_sha256: str,
    points: Mapping[PerPointMetric, CodeArray],
    *,
    replace: bool,
    table: bytes | None = None,
) -> list[Path]:
    """Write numbers for each of `codes`, float32 (n,), and beside each whose they are.

    `table` is the CSV file at `point_table_path`. Returns the files of the numbers, and that one.

    Raises:
        InputError: without `replace`, a file has come to be there meanwhile.
        AecliError: the operating system refused.

    """
    written = []
    with files.writing_together(replace=replace) as together:
        for what, numbers in points.items():
            path = point_path(codes, what)
            add_npy(together, path, np.float32, numbers.shape, [numbers])
            note = _point_note(codes_sha256, numbers.astype(np.float32))
            together.write(path.with_suffix(".json"), files.json_bytes(note))
            written.append(path)
        if table is not None:
            together.write(point_table_path(codes), table)
            written.append(point_table_path(codes))
    return written


def point_files(codes: Path, metrics: Iterable[PerPointMetric] = PER_POINT) -> list[Path]:
    """Return all files that `write_point_values` writes for these numbers."""
    paths = [point_path(codes, what) for what in metrics]
    return [*paths, *[path.with_suffix(".json") for path in paths], point_table_path(codes)]


def _point_note(codes_sha256: str, numbers: npt.NDArray[Any]) -> dict[str, str]:
    return {"codes_sha256": codes_sha256, "values_sha256": sha256_of(numbers)}


def _add_spread(
    together: files.FileSet,
    path: Path,
    shape: tuple[int, int],
    spread: Iterable[CodeArray],
    codes_sha256: str,
) -> list[Path]:
    """Write the standard deviations of codes, and beside them whose they are."""
    digest = hashlib.sha256()
    beside, note = spread_files(path)
    add_npy(together, beside, np.float32, shape, _hashed(spread, digest.update))
    hashes = {"codes_sha256": codes_sha256, "values_sha256": digest.hexdigest()}
    together.write(note, files.json_bytes(hashes))
    return [beside]


def codes_files(path: Path) -> list[Path]:
    """Return all files that `write_codes` may write of codes without their spread."""
    return [path, labels_path(path), provenance_path(path)]


def codes_and_spread_files(path: Path) -> list[Path]:
    """Return all files that `write_codes` may write; the provenance is the last one."""
    return [*spread_files(path), *codes_files(path)]


def refuse_existing_codes(path: Path, *, force: bool, spread: bool = False) -> None:
    """Raise `InputError` where codes cannot be written at `path`, as `files.refuse_existing` does.

    A JSON file of another kind next to them, such as a run's summary, is refused in any case.
    """
    besides = spread_files(path) if spread else []
    files.refuse_existing(*codes_files(path), *besides, force=force)
    beside = provenance_path(path)
    if files.kind_of(beside) == "file" and read_provenance(beside) is None:
        raise InputError(f"{beside} is not the provenance of codes: give the codes another name")


def refuse_foreign_labels(path: Path, labels: Labels | None) -> None:
    """Raise `InputError` where new codes at `path` have no labels, and others' would be removed.

    Those of older codes may go: their provenance names them.
    """
    beside = labels_path(path)
    if labels is not None or files.kind_of(beside) == "nothing":
        return
    older = read_provenance(provenance_path(path)) or {}
    if older.get("labels_sha256") != sha256_of(read_npy(beside)):
        raise InputError(
            f"{beside} is not known to be of older codes, and the new ones have no labels: move "
            "it, or give the codes another name"
        )


def write_codes(path: Path, codes: CodeBlocks, *, replace: bool = False) -> list[Path]:
    """Write codes, their labels and their provenance; return the paths written.

    They take their names together. The provenance, which carries the hashes of the others, comes
    last.

    Raises:
        InputError: a code is not finite, or without `replace`, a file has come to be there
            meanwhile.
        AecliError: the operating system refused.

    """
    digest = hashlib.sha256()
    labels = codes.labels
    refuse_foreign_labels(path, labels)
    with files.writing_together(replace=replace) as together:
        blocks = _hashed(codes.blocks, digest.update)
        add_npy(together, path, np.float32, codes.shape, blocks)
        if labels is None:
            # Labels of older codes of this name.
            together.remove(labels_path(path))
        else:
            add_npy(together, labels_path(path), labels.dtype, labels.shape, [labels])
        codes_sha256 = digest.hexdigest()
        hashes = {
            "codes_sha256": codes_sha256,
            "labels_sha256": None if labels is None else sha256_of(labels),
        }
        besides = []
        if codes.spread is not None:
            besides = _add_spread(together, path, codes.shape, codes.spread, codes_sha256)
        provenance = {**codes.provenance, **codes.late(), **hashes}
        signed = provenance | {"sha256": _hash_of_json(provenance)}
        together.write(provenance_path(path), files.json_bytes(signed))
    labelled = [] if labels is None else [labels_path(path)]
    return [path, *labelled, *besides, provenance_path(path)]


def read_codes(path: Path, labels: str | Path | None = None) -> Codes:
    """Read a code matrix with its labels and provenance, where they lie beside it.

    `labels` names another file of labels, as `label_files.read_labels` reads it. A vector (n,) is
    taken as n codes of 1 number.

    Raises:
        InputError: a file is missing, is not a code matrix, or does not belong to the codes.

    """
    try:
        return _read_codes(path, labels)
    except InputError:
        # They may have been just replaced: once they all have their names they are read again.
        if files.kind_of(path.parent) != "folder":
            raise
        with files.unchanging(path.parent):
            return _read_codes(path, labels)


def _read_codes(path: Path, labels: str | Path | None) -> Codes:
    values = read_matrix(path)
    provenance = read_provenance(provenance_path(path))
    if provenance is not None and provenance["codes_sha256"] != sha256_of(values):
        raise InputError(
            f"{provenance_path(path)} belongs to other codes than {path}: encode again"
        )
    if provenance is not None and (provenance["rows"], provenance["dimensions"]) != values.shape:
        raise InputError(
            f"{provenance_path(path)} is of codes of another shape than {path}: encode again"
        )
    if labels is not None:
        return with_labels(Codes(values, None, provenance), labels)
    if files.kind_of(labels_path(path)) != "file":
        return Codes(values, None, provenance)
    found = _read_labels(labels_path(path), len(values))
    if provenance is not None and (
        found.labels is None or provenance["labels_sha256"] != sha256_of(found.labels)
    ):
        raise InputError(f"{labels_path(path)} belongs to other codes than {path}: encode again")
    return Codes(values, found.labels, provenance, found.class_names, found.numbers, found.left_out)


def with_labels(codes: Codes, labels: str | Path) -> Codes:
    """Return codes with the labels of another file, as `label_files.read_labels` reads it.

    Raises:
        InputError: the file is missing, or has no label for each of the codes.

    """
    row_ids = codes.provenance.get("row_ids") if codes.provenance else None
    found = _read_labels(labels, len(codes.values), row_ids)
    # They may be anything, clusters for example: the data set's names are not theirs.
    provenance = {**codes.provenance, **dict.fromkeys(_CLASSES)} if codes.provenance else None
    values = codes.values
    return Codes(values, found.labels, provenance, found.class_names, found.numbers, found.left_out)


def _read_labels(path: str | Path, rows: int, row_ids: Sequence[str] | None = None) -> Labelling:
    from aecli.data.label_files import read_labels

    found = read_labels(str(path), rows, row_ids)
    if found.labels is None and found.numbers is None:
        raise InputError(
            f"{path} has no classes: expected one label for each row, got "
            f"{', '.join(found.left_out)}"
        )
    return found


def read_matrix(path: Path) -> CodeArray:
    """Read a code matrix, float32 (n, d), alone; a vector (n,) is n codes of 1 number.

    Raises:
        InputError: the file is missing or is not a code matrix.

    """
    return as_matrix(read_npy(path), str(path))


def as_matrix(values: npt.NDArray[Any], where: str) -> CodeArray:
    """Return numbers as a code matrix, float32 (n, d); `where` is what errors call them.

    Raises:
        InputError: they are not one.

    """
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2 or values.dtype.kind not in "fiu" or 0 in values.shape:
        raise InputError(
            f"{where} is not a code matrix: expected numbers of shape (n, d), got {values.dtype} "
            f"{values.shape}"
        )
    return finite_float32(values, f"{where} holds numbers that are not finite as float32")


def read_provenance(path: Path) -> dict[str, Any] | None:
    """Return what `write_codes` wrote, or None where there is none; others have JSON files too.

    Raises:
        InputError: the file is damaged.

    """
    if files.kind_of(path) != "file":
        return None
    provenance = files.read_json(path)
    if not isinstance(provenance, dict) or "codes_sha256" not in provenance:
        return None
    content = {name: value for name, value in provenance.items() if name != "sha256"}
    if provenance.get("sha256") != _hash_of_json(content):
        raise InputError(f"{path} is damaged or was changed: encode again")
    read_as(Provenance, provenance, str(path))
    return provenance


def _hashed(blocks: Iterable[CodeArray], update: Callable[[Any], None]) -> Iterator[CodeArray]:
    for block in blocks:
        if not np.isfinite(block).all():
            raise InputError("the model makes codes that are not finite: train it again")
        update(np.ascontiguousarray(block).data)
        yield block


def _hash_of_json(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def sha256_of(values: npt.NDArray[Any]) -> str:
    """Return SHA-256 over the bytes of an array, as hexadecimal digits: what provenance has."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
