"""What to encode, and into which file. Importing this imports no jax."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aecli.background_import import importing
from aecli.config import SplitName
from aecli.data import Bar, Dataset, choose_source, no_bar, refuse_data_files
from aecli.data.source import located
from aecli.files import refuse_inputs, require_suffix
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.codes import (
    codes_files,
    default_codes_path,
    refuse_existing_codes,
    refuse_foreign_labels,
)
from aecli.run.folder import find_checkpoint, folder_of
from aecli.run.reopen import default_split, open_for


@dataclass(frozen=True, eq=False)
class EncodeJob:
    """A run's checkpoint, the images to encode with it, and where their codes go."""

    checkpoint: Checkpoint
    dataset: Dataset
    split: SplitName
    out: Path


def encode_job(
    run: Path,
    location: str | None = None,
    options: Mapping[str, Any] | None = None,
    split: SplitName | None = None,
    out: Path | None = None,
    bar: Bar = no_bar,
    *,
    force: bool = False,
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

    Raises:
        InputError: there is no such run, the codes cannot go there, or the data cannot be read or
            have changed.

    """
    out = out or default_codes_path(folder_of(run).path, split)
    require_suffix(out, ".npy")
    checkpoint = load(find_checkpoint(run))
    refuse_existing_codes(out, force=force)
    source = choose_source(location, options or {}, like=checkpoint.data.source)
    read = source or checkpoint.data.source
    named = [located(name)[0] for name in (read.location, read.labels, read.features) if name]
    refuse_inputs(codes_files(out), [*named, *folder_of(run).files])
    with importing("aecli.encode"):
        data = open_for(checkpoint, source, bar)
        refuse_data_files(codes_files(out), data)
        split = split or default_split(data, named=source is not None)
        refuse_foreign_labels(out, data.labels_of(split))
    return EncodeJob(checkpoint, data, split, out)
