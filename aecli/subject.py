"""Codes, and the model and the images that belong to them. Importing this imports no jax."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aecli.background_import import importing
from aecli.config import SplitName
from aecli.data import Bar, Dataset, Source, no_bar, reopen_dataset
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.codes import Codes, default_codes_path, is_codes
from aecli.run.folder import RunFolder, find_checkpoint, folder_of
from aecli.run.part import codes_are_there, find_codes
from aecli.run.parts import are_of, parts_note, read_codes_or_parts, refuse_single_part
from aecli.run.reopen import reopen

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Subject:
    """Codes, and the model and the images that belong to them.

    `path`: where the codes lie, or would. `checkpoint`: of the model that made them, None where it
    is not known. `dataset` and `split`: the images, None where they are not at hand.
    """

    codes: Codes
    path: Path
    checkpoint: Checkpoint | None
    dataset: Dataset | None
    split: SplitName

    @property
    def name(self) -> str:
        """What the codes are of, for people."""
        if self.dataset is not None:
            return self.dataset.name
        return self.checkpoint.data.name if self.checkpoint else self.path.name


def find_subject(
    source: Path,
    split: SplitName | None = None,
    labels: Path | None = None,
    say: Say = lambda line: None,
    bar: Bar = no_bar,
) -> Subject:
    """Return what is to be shown of a run (its folder or a checkpoint), or of codes (`.npy`).

    Codes may be in parts: a folder that holds them means them too.
    A run's images are encoded where it has no codes of them yet. `labels` names a file of labels
    for CODES that takes the place of their own. What is missing is said.

    Raises:
        InputError: there is no such run or file, or it cannot be read.
        AecliError: the images could not be fetched.

    """
    source = find_codes(source)
    if is_codes(source):
        if split is not None:
            raise InputError("--split goes with a RUN: codes are of the split they were made of")
        return _subject_of_codes(source, labels, say, bar)
    if labels is not None:
        raise InputError("--labels goes with CODES: a run has the labels of its data set")
    return _subject_of_run(source, split or "test", say, bar)


def _subject_of_run(source: Path, split: SplitName, say: Say, bar: Bar) -> Subject:
    checkpoint = load(find_checkpoint(source))
    path = default_codes_path(folder_of(source).path, split)
    codes = read_codes_or_parts(path) if codes_are_there(path) else None
    if codes is not None:
        _say_parts(path, codes, say)
    if codes is not None and (codes.provenance or {}).get("model_sha256") != checkpoint.model_hash:
        say(f"{path} was made by another model: encoding the images again")
        codes = None
    if codes is None:
        with importing("aecli.encode"):
            data = reopen(checkpoint, bar)
        return Subject(_encode(checkpoint, data, split, bar), path, checkpoint, data, split)
    dataset: Dataset | None = None
    try:
        dataset = reopen(checkpoint, bar)
    except InputError as error:
        say(f"without images: {error}")
    if dataset is not None and not _belong(codes, dataset, split):
        raise InputError(f"{path} is not of the {split} images of this run: encode them anew")
    return Subject(codes, path, checkpoint, dataset, split)


def _say_parts(path: Path, codes: Codes, say: Say) -> None:
    note = parts_note(path, codes)
    if note is not None:
        say(note)


def _encode(checkpoint: Checkpoint, dataset: Dataset, split: SplitName, bar: Bar) -> Codes:
    from aecli.encode import encode_split

    with bar("encoding", dataset.count(split)) as advance:
        return encode_split(checkpoint, dataset, split, report=advance).gather()


def _subject_of_codes(path: Path, labels: Path | None, say: Say, bar: Bar) -> Subject:
    codes = read_codes_or_parts(path, labels)
    refuse_single_part(path, codes)
    _say_parts(path, codes, say)
    for reason, count in codes.left_out.items():
        say(f"left out: {count:,} {reason}")
    provenance = codes.provenance
    if provenance is None:
        say(f"{path} does not say what images it is of: there are dots alone")
        return Subject(codes, path, None, None, "all")
    split: SplitName = provenance["split"]
    dataset: Dataset | None = None
    try:
        dataset = reopen_dataset(Source.from_json(provenance["source"]), bar)
        if not _belong(codes, dataset, split):
            say(f"without images: {dataset.source.location} has changed since {path} was made")
            dataset = None
    except InputError as error:
        say(f"without images: {error}")
    checkpoint = _model_beside(path, provenance["model_sha256"])
    if checkpoint is None:
        say(f"without a decoder: the run that made {path} is not in its folder")
    return Subject(codes, path, checkpoint, dataset, split)


def _belong(codes: Codes, dataset: Dataset, split: SplitName) -> bool:
    """Return whether codes say that they are of a split of a data set."""
    return are_of(codes.provenance or {}, dataset, split)


def _model_beside(path: Path, model_sha256: str) -> Checkpoint | None:
    """Return the checkpoint of a model in the folder of its codes; None where there is none."""
    folder = RunFolder(path.parent)
    for place in (folder.best, folder.last):
        if kind_of(place) == "file":
            checkpoint = load(place)
            if checkpoint.model_hash == model_sha256:
                return checkpoint
    return None
