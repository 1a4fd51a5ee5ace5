"""What to encode, and into which file. Importing this imports no jax."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aecli.background_import import importing
from aecli.config import SplitName
from aecli.data import Bar, Dataset, no_bar
from aecli.errors import InputError
from aecli.files import kind_of, require_suffix
from aecli.model.vae import refuse_points
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.codes import (
    codes_and_spread_files,
    codes_files,
    default_codes_path,
    refuse_existing_codes,
    refuse_foreign_labels,
)
from aecli.run.folder import find_checkpoint, folder_of
from aecli.run.origin import origin
from aecli.run.part import Part
from aecli.run.parts import is_whole, pixels_sha256, refuse_other_count
from aecli.run.reopen import default_split, open_beside


@dataclass(frozen=True, eq=False)
class EncodeJob:
    """A run's checkpoint, the images to encode with it, and where their codes go.

    `replace`: whether they may replace others. Where it is only a `part` of the images,
    `provenance` is what `origin` says of it, and `done` is whether it is there already.
    """

    checkpoint: Checkpoint
    dataset: Dataset
    split: SplitName
    out: Path
    replace: bool = False
    part: Part | None = None
    provenance: Mapping[str, Any] | None = None
    done: bool = False

    @property
    def rows(self) -> int:
        """How many images there are to encode."""
        start, stop = self.bounds
        return stop - start

    @property
    def bounds(self) -> tuple[int, int]:
        """The first of the images of the split to encode, and the one after the last."""
        count = self.dataset.count(self.split)
        return (0, count) if self.part is None else self.part.bounds(count)


def encode_job(
    run: Path,
    location: str | None = None,
    options: Mapping[str, Any] | None = None,
    split: SplitName | None = None,
    out: Path | None = None,
    bar: Bar = no_bar,
    *,
    force: bool = False,
    part: Part | None = None,
    spread: bool = False,
) -> EncodeJob:
    """Return the job that encodes images; the cheap checks come before the data are read.

    Args:
        run: its folder, or one of its checkpoints.
        location: name, folder or file of the images; None for those that it was trained on.
        options: fields of `Source`; the images are treated as the run's where these leave it open.
        split: of the images; None for `default_split`.
        out: where the codes go, `.npy`; None for `default_codes_path`.
        bar: shows the reading.
        force: whether to replace codes that exist.
        part: of the images, whose codes get a name of their own beside `out`; None for all. One
            that is there already is not made again, unless by `force`; a damaged one is.
        spread: whether the standard deviations of the codes go beside them.

    Raises:
        InputError: there is no such run, the codes cannot go there, or the data cannot be read or
            have changed.

    """
    out = out or default_codes_path(folder_of(run).path, split)
    require_suffix(out, ".npy")
    checkpoint = load(find_checkpoint(run))
    if spread:
        _check_spread(checkpoint, part)
    if part is not None:
        refuse_other_count(out, part)
        out = part.path(out)
    else:
        refuse_existing_codes(out, force=force, spread=spread)
    written = codes_and_spread_files(out) if spread else codes_files(out)
    with importing("aecli.encode"):
        # A part reads its own images alone: the merge looks at all of them.
        data, named = open_beside(
            checkpoint, run, location, options, written, bar, pixels=part is None
        )
        split = split or default_split(data, named=named)
        if part is not None:
            job = EncodeJob(checkpoint, data, split, out)
            return _part_job(job, part, named=named, force=force)
        refuse_foreign_labels(out, data.labels_of(split))
    return EncodeJob(checkpoint, data, split, out, replace=force)


def _check_spread(checkpoint: Checkpoint, part: Part | None) -> None:
    """Raise `InputError` where codes have no standard deviations, or these no place."""
    refuse_points(checkpoint.config, "--spread")
    if part is not None:
        raise InputError("--spread is not made of parts: encode all at once, without --part")
    if checkpoint.config.placing == "neighbors":
        raise InputError(
            "--spread is of what the encoder gives, and this run places codes among neighbours: "
            "train with --placing encoder"
        )


def _part_job(job: EncodeJob, part: Part, *, named: bool, force: bool) -> EncodeJob:
    if job.checkpoint.places_by_features:
        raise InputError(
            f"--part {part}: the run places images by features, of which parts say nothing: encode "
            "all of them at once, without --part"
        )
    provenance = origin(job.checkpoint, job.dataset, job.split, part, named=named)
    bounds = part.bounds(job.dataset.count(job.split))
    labels = job.dataset.labels_of(job.split)
    if labels is not None:
        labels = labels[slice(*bounds)]
    done = is_whole(
        job.out,
        provenance,
        labels,
        lambda: pixels_sha256(job.dataset, job.split, bounds),
        force=force,
    )
    # What is there is damaged, if it is not done.
    damaged = any(kind_of(path) == "file" for path in codes_files(job.out))
    return replace(job, replace=force or damaged, part=part, provenance=provenance, done=done)
