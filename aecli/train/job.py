"""What to train and from where: a new run, or one to resume. Importing this imports no jax."""

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aecli.background_import import importing
from aecli.config import (
    DEFAULT_DATASET,
    DEFAULT_RECIPE,
    RECIPES,
    SETTINGS,
    Config,
    choose_recipe,
    fit_to_data,
    resume_config,
    with_settings,
)
from aecli.data import (
    Bar,
    Dataset,
    Source,
    choose_source,
    no_bar,
    open_dataset,
    option_words,
    refuse_data_files,
    reopen_dataset,
)
from aecli.errors import InputError
from aecli.features import order_note
from aecli.files import kind_of, refuse_file
from aecli.model import network
from aecli.noise import NO_NOISE, parse_noise
from aecli.printable import plural
from aecli.run.by_features import check_same_features
from aecli.run.checkpoint import Checkpoint, load, to_bytes
from aecli.run.folder import RunFolder
from aecli.run.reopen import check_same_data, reopen
from aecli.train.supervision import labelled_count, training_labels

if TYPE_CHECKING:
    from aecli.processes.group import Processes

# What is imported while the data are read.
_TRAINING = "aecli.train.loop"
# Of a SHA-256 in hex, as many as tell data sets apart.
_DIGITS = 16


@dataclass(frozen=True)
class TrainJob:
    """A training to run: its settings, its data, and the checkpoint that it resumes from."""

    folder: RunFolder
    config: Config
    dataset: Dataset
    checkpoint: Checkpoint | None = None

    @property
    def epochs_done(self) -> int:
        """How many epochs the run has."""
        return self.checkpoint.epoch if self.checkpoint else 0

    @property
    def headline(self) -> str:
        """What is about to be trained, in a line."""
        config, dataset = self.config, self.dataset
        start = ""
        if self.checkpoint:
            start = f", resumed after epoch {self.epochs_done}"
            if self.epochs_done == config.epochs:
                start += ": it has them all, --epochs raises them"
            elif config.ended(self.epochs_done, self.checkpoint.best.epoch):
                start += f": its patience of {config.patience} has run out, --patience raises it"
        kind = "vector" if dataset.vectors else "image"
        encoder = f" with a {config.encoder} encoder" if dataset.vectors else ""
        few, rows = "", dataset.count("train")
        if config.batch_size > rows:
            few = ", all in one batch"
        if config.neighbor_weight and config.neighbors < RECIPES[config.recipe].neighbors:
            few += f", each with {plural(config.neighbors, 'neighbour')}"
        if dataset.source.features is not None:
            few += f", neighbours by {Path(dataset.source.features).name}"
        if (labels := training_labels(dataset, config)) is not None:
            few += f", {labelled_count(labels):,} of them pulled together by their labels"
        if config.noise != NO_NOISE:
            few += f", which the encoder sees with {config.noise} noise"
        layers = str(network(config, dataset.image_shape))
        if config.sparsity is not None:
            layers += f" (at most {config.sparsity} of them not 0)"
        variational = ", variational" if config.kind == "vae" else ""
        return (
            f"{config.recipe} recipe{encoder}{variational}, {layers}, on {plural(rows, kind)} of "
            f"{dataset.name}{few}{start}"
        )

    @property
    def facts(self) -> dict[str, str]:
        """What has to be the same in all processes that train together, by names for people."""
        settings = {one.flag: one.show(getattr(self.config, one.name)) for one in SETTINGS.values()}
        data = self.dataset
        return {
            **settings,
            "images of the shape": str(data.images.shape),
            "pixels with the digest": data.fingerprint[:_DIGITS],
            "splits with the digest": data.splits_digest[:_DIGITS],
            "labels with the digest": data.labels_digest[:_DIGITS],
        }

    @property
    def note(self) -> str | None:
        """What the user should know before the training, in a line; None where there is nothing.

        What differs here from where a run was trained, that features seem to be of other images, or
        that a coarser precision gains nothing.
        """
        if self.checkpoint is None:
            return order_note(self.dataset) or self._precision_note()
        from aecli.train.environment import differences, environment

        before = self.checkpoint.environment
        return differences(before, environment()) if before else None

    def _precision_note(self) -> str | None:
        if self.config.precision != "bf16":
            return None
        from aecli.train.environment import multiplies_bf16

        if multiplies_bf16():
            return None
        return "this processor does not multiply bf16 by itself: --precision float32 is quicker"

    def check_unchanged(self, *, force: bool) -> None:
        """Raise `InputError` where another process has trained here while the data were read."""
        if self.checkpoint is None:
            self.folder.refuse_existing(force=force)
            return
        now, before = (
            (last.config, last.epoch, last.partial, last.model_hash)
            for last in (load(self.folder.last), self.checkpoint)
        )
        if now != before:
            raise InputError(
                f"{self.folder.path} was trained meanwhile: look at it and start again"
            )


def new_job(
    folder: RunFolder,
    settings: Mapping[str, Any],
    source: Source | None = None,
    bar: Bar = no_bar,
    *,
    force: bool = False,
    writes: bool = True,
) -> TrainJob:
    """Return the job of a new run; the cheap checks come before the data are read.

    Args:
        folder: where the run goes; `force` replaces one that is there.
        settings: fields of `Config`; the others come from the recipe, and from the data.
        source: the data; None for the embedded digits.
        bar: shows the reading.
        force: whether to replace a run.
        writes: whether this process is the one that writes it.

    Raises:
        InputError: a setting is wrong, the folder holds a run, the data cannot be read, or memory
            is too small for the model.

    """
    _chosen_config(settings)
    if writes:
        refuse_file(folder.path, "-o expects the folder of a run")
        folder.refuse_existing(force=force)
    with importing(_TRAINING):
        data = open_dataset(source, bar) if source else reopen_dataset(Source(DEFAULT_DATASET))
    refuse_data_files(folder.files, data)
    return job_on(data, folder, settings)


def job_on(data: Dataset, folder: RunFolder, settings: Mapping[str, Any]) -> TrainJob:
    """Return the job of a new run on data that are read; the arguments are those of `new_job`.

    Raises:
        InputError: a setting is wrong or does not fit the data, there are too few images, or memory
            is too small for the model.

    """
    config = _chosen_config(settings)
    data.check_splits("train", "validation", "test")
    config = fit_to_data(
        config,
        data.count("train"),
        settings,
        vectors=data.vectors,
        standardised=data.standardised,
    )
    training_labels(data, config)
    _check_features(config, data)
    _check_noise(config, data)
    _refuse_beyond_memory(config, data)
    return TrainJob(folder, config, data)


def _chosen_config(settings: Mapping[str, Any]) -> Config:
    """Return the settings that are asked for, with those of their recipe."""
    recipe = settings.get("recipe", DEFAULT_RECIPE)
    if not isinstance(recipe, str):
        raise InputError(f"--recipe has a value of the wrong type: {recipe!r}")
    return with_settings(choose_recipe(recipe), settings)


def _check_noise(config: Config, data: Dataset) -> None:
    noise = parse_noise(config.noise)
    if noise is not None and noise.kind == "salt" and data.standardised:
        raise InputError(
            f"--noise {config.noise} puts black and white pixels, and {data.name} has vectors "
            "whose columns are standardised: choose gaussian or mask"
        )


def _check_features(config: Config, data: Dataset) -> None:
    """Raise `InputError` where features cannot be read, say nothing, or are not asked for."""
    features = data.features_of("train")
    if features is None:
        return
    if (features == features[0]).all():
        raise InputError(
            f"--features {data.source.features} has the same numbers for all training images: "
            "expected numbers that tell them apart"
        )
    if not config.neighbor_weight and config.placing == "encoder":
        raise InputError(
            f"--features say which images are neighbours, and the {config.recipe} recipe asks for "
            "none: expected --recipe map, a --neighbor-weight above 0, or --placing neighbors"
        )


def resume_job(
    folder: RunFolder,
    settings: Mapping[str, Any],
    location: str | None = None,
    options: Mapping[str, Any] | None = None,
    bar: Bar = no_bar,
    checkpoint: Checkpoint | None = None,
) -> TrainJob:
    """Return the job that resumes a run from its last checkpoint.

    Args:
        folder: of the run.
        settings: fields of `Config`; only those that say when to stop may differ from the run's.
        location: where the data are now; None for where they were.
        options: fields of `Source`; the others are as the run has them.
        bar: shows the reading.
        checkpoint: the last one, where it was read already.

    Raises:
        InputError: there is no run, a setting differs from its own, the data do, or memory is too
            small for the model.

    """
    if checkpoint is None:
        checkpoint = last_checkpoint(folder, location, options)
    config = resume_config(checkpoint.config, settings, checkpoint.epoch)
    source = choose_source(location, options or {}, like=checkpoint.data.source, as_split=True)
    with importing(_TRAINING):
        if source is None:
            data = reopen(checkpoint, bar)
        else:
            data = open_dataset(source, bar)
            check_same_data(checkpoint, data)
    check_same_features(checkpoint, data)
    _refuse_beyond_memory(config, data)
    return TrainJob(folder, config, data, checkpoint)


def last_checkpoint(
    folder: RunFolder, location: str | None = None, options: Mapping[str, Any] | None = None
) -> Checkpoint:
    """Return the checkpoint that a run is resumed from.

    Raises:
        InputError: there is none, or it is damaged; the message says how the run would begin.

    """
    if kind_of(folder.last) != "file":
        named = [] if location is None else [location, *option_words(options or {})]
        raise InputError(
            f"nothing to resume: {folder.path} has no {folder.last.name}; "
            f"{shlex.join(['aecli', 'train', *named, '-o', str(folder.path)])} begins a run"
        )
    return load(folder.last)


def checkpoint_of_first(
    processes: "Processes",
    folder: RunFolder,
    location: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Return the first process's `last_checkpoint`: the others may not see its folder.

    Involves all processes.

    Raises:
        InputError: in the first process as `last_checkpoint` does.

    """
    if processes.first:
        checkpoint = last_checkpoint(folder, location, options)
        processes.share({"checkpoint": np.frombuffer(to_bytes(checkpoint), np.uint8)})
        return checkpoint
    data = processes.share(None)["checkpoint"]
    with tempfile.TemporaryDirectory(prefix="aecli-") as temporary:
        copy = Path(temporary) / folder.last.name
        copy.write_bytes(data.tobytes())
        return load(copy)


def _refuse_beyond_memory(config: Config, data: Dataset) -> None:
    """Raise `InputError` for a training that cannot be; the search for neighbours takes longer."""
    from aecli.train.step import TrainStep

    TrainStep(config, data.image_shape, data.count("train")).refuse_beyond_memory()
