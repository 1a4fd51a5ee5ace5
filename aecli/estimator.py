"""The autoencoder as an estimator of scikit-learn: fit, transform, inverse_transform."""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from aecli.config import DEFAULT_RECIPE, DEFAULT_SHARE, DEFAULT_SPLIT_SEED, SETTINGS
from aecli.data import (
    IN_MEMORY,
    DataDescription,
    Dataset,
    Source,
    choose_source,
    dataset_of,
    open_dataset,
)
from aecli.data.describe import first_facts
from aecli.encode import TrainedModel, decode, encode_rows, in_units, load_model, row_errors
from aecli.errors import InputError
from aecli.files import kind_of
from aecli.interactive import epoch_bar, interruptible, say
from aecli.pixels import is_pixel, scale_of
from aecli.python_errors import python_errors, with_keywords
from aecli.run.by_features import check_features
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.run.in_memory import RunInMemory, read_run
from aecli.run.reopen import notes, open_for
from aecli.run.states import EpochMetrics
from aecli.train.job import TrainJob, job_on
from aecli.train.loop import Stopped, Summary, train

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

# Keywords that are no settings, and are options of `aecli train` too.
_OPTIONS = ("validation", "split_seed", "rescale")


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A learned map of images: each becomes a code, and each code an image.

    The settings are those of `aecli train`; None stands for what the recipe says, fitted to the
    number of training images. The same settings and the same data give the same parameters, bit for
    bit, as the command `aecli train X.npy --test 0`.

    X is images (n, h, w) or (n, h, w, c), vectors (n, p), or the path or the name of a data set, as
    the shell takes it: of this all images are transformed, in their order. Pixels are taken as
    0..1 by their type (uint8, uint16, floats in 0..1), or else by the range of the training images;
    vectors that are no pixels are standardised by column. Later X have the same unit.

    Parameters:
        recipe: the set of defaults to start from: `map`, `plain` or `classic`.
        kind: what an image is: a code (`plain`), or a Gaussian of codes (`vae`).
        encoder: what the encoder's hidden layers see: `dense` (pixels) or `conv` (patches).
        hidden: widths of the hidden layers from image to code; the decoder mirrors them.
        latent: numbers in a code.
        sparsity: how many of these differ from 0 at most; None for all.
        activation: function after each hidden layer.
        normalize: layer normalization after each hidden layer.
        output: function after the last layer: `sigmoid` or `linear`.
        init: how the initial weights are drawn.
        epochs: how often training sees each image.
        batch_size: images of a training step.
        learning_rate: of Adam, at its highest.
        schedule: how the learning rate changes over the steps.
        shuffle: whether to shuffle the images each epoch.
        loss: of the reconstruction: `mse` or `bce`.
        beta: weight of a vae's KL divergence; 1 is the bound.
        beta_warmup: share of the steps in which it rises from 0.
        code_penalty: weight of the mean fourth power of the codes' length.
        neighbor_weight: weight of the loss that keeps neighbours together.
        neighbor_final: share of the neighbour weight that is left at the end.
        placing: what gives images their codes: `encoder`, or also their `neighbors`.
        neighbors: how many of each image the neighbour loss uses.
        label_weight: weight of the loss that pulls images of one class together; y has the classes.
        noise: what spoils the images that the encoder sees in training, such as `gaussian:0.3`.
        precision: what training multiplies: `float32`, or coarser `bf16`.
        seed: of the initial weights, of the order and of the noise.
        patience: stop after this many epochs without a better validation loss.
        validation: share of X to validate on, where it has no splits of its own: the best epoch is
            the one with the lowest loss there.
        split_seed: seed of the draw of these.
        rescale: (low, high), the pixel values that become 0 and 1; `auto` finds them.
        verbose: whether to say on stderr what is done, with a bar of the epochs.

    Attributes:
        config_: dict, the resolved settings.
        history_: a dict for each epoch: its losses, its validation loss, its seconds.
        model_hash_: SHA-256 over all that makes codes, as `aecli show` prints it.
        n_features_in_: how many numbers an image has.
        feature_names_in_: the names of columns, where X has such.

    """

    def __init__(
        self,
        recipe: str = DEFAULT_RECIPE,
        *,
        kind: Literal["plain", "vae"] | None = None,
        encoder: Literal["dense", "conv"] | None = None,
        hidden: Sequence[int] | None = None,
        latent: int | None = None,
        sparsity: int | None = None,
        activation: str | None = None,
        normalize: bool | None = None,
        output: Literal["sigmoid", "linear"] | None = None,
        init: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        schedule: str | None = None,
        shuffle: bool | None = None,
        loss: Literal["mse", "bce"] | None = None,
        beta: float | None = None,
        beta_warmup: float | None = None,
        code_penalty: float | None = None,
        neighbor_weight: float | None = None,
        neighbor_final: float | None = None,
        placing: Literal["encoder", "neighbors"] | None = None,
        neighbors: int | None = None,
        label_weight: float | None = None,
        noise: str | None = None,
        precision: Literal["float32", "bf16"] | None = None,
        seed: int | None = None,
        patience: int | None = None,
        validation: float = DEFAULT_SHARE,
        split_seed: int = DEFAULT_SPLIT_SEED,
        rescale: tuple[float, float] | Literal["auto"] | None = "auto",
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.kind = kind
        self.encoder = encoder
        self.hidden = hidden
        self.latent = latent
        self.sparsity = sparsity
        self.activation = activation
        self.normalize = normalize
        self.output = output
        self.init = init
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.shuffle = shuffle
        self.loss = loss
        self.beta = beta
        self.beta_warmup = beta_warmup
        self.code_penalty = code_penalty
        self.neighbor_weight = neighbor_weight
        self.neighbor_final = neighbor_final
        self.placing = placing
        self.neighbors = neighbors
        self.label_weight = label_weight
        self.noise = noise
        self.precision = precision
        self.seed = seed
        self.patience = patience
        self.validation = validation
        self.split_seed = split_seed
        self.rescale = rescale
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> "Autoencoder":
        """Learn from X, see the class; y (n,) are class labels, read where `label_weight` is set.

        Ctrl-C ends the training after the epoch in hand, with a warning; the best epoch so far is
        the model.

        Raises:
            ValueError: a setting is wrong, or X cannot be read or trained on.
            RuntimeError: the training diverged, or the operating system refused.
            KeyboardInterrupt: it came before the first epoch was done, or twice.

        """
        with python_errors():
            settings = self._settings()
            if _is_named(X):
                source = Source(os.fspath(X), **self._options())
                dataset, axes, unit = open_dataset(source), 4, None
                self._forget_columns(dataset.image_shape)
            else:
                values = self._checked(X, fit=True)
                labels = self._class_labels(y)
                source = Source(IN_MEMORY, **self._options())
                dataset = dataset_of(values, source, labels)
                axes, unit = values.ndim, (0.0, 1.0) if values.dtype.kind == "b" else None
            run = self._train(dataset, settings)
        self._take(_Fitted(run, axes, unit or dataset.range))
        return self

    def transform(self, X: Any) -> Floats:
        """Return the code of each image, float32 (n, d).

        Raises:
            ValueError: X cannot be read, or is of another shape than in `fit`.

        """
        with python_errors():
            fitted = self._fitted_or_error()
            return encode_rows(fitted.model, self._dataset(X), "all")

    def inverse_transform(self, X: Any) -> Floats:
        """Return the images that codes (n, d) stand for, float32, in the shape and unit of `fit`'s.

        Those of a data set, or of a run that was loaded, are (n, h, w, c); standardised vectors are
        (n, p).

        Raises:
            ValueError: the codes have another number of dimensions, or are not finite.

        """
        with python_errors():
            fitted = self._fitted_or_error()
            codes = check_array(X, dtype=np.float32, estimator=self, input_name="X")
            return fitted.in_unit(decode(fitted.model, codes))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the negative mean squared error of the reconstruction of X, as `aecli score` does.

        It is over the pixels in 0..1, or over standardised columns; y is not used.

        Raises:
            ValueError: as `transform`.

        """
        with python_errors():
            fitted = self._fitted_or_error()
            return -float(row_errors(fitted.model, self._dataset(X), "all").mean())

    def save(self, folder: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write a run, which the commands of the shell read, into a folder.

        Raises:
            ValueError: a run is there, and `force` does not allow replacing it.
            RuntimeError: the operating system refused.

        """
        with python_errors():
            self._fitted_or_error().run.write(RunFolder(Path(folder)), force=force)

    @classmethod
    def load(cls, run: str | os.PathLike[str]) -> "Autoencoder":
        """Return the fitted estimator of a run's folder, whoever wrote it.

        Raises:
            ValueError: there is no run, or it is damaged.

        """
        with python_errors():
            read = read_run(Path(run))
            config, data = read.checkpoint.config, read.checkpoint.data
            settings = {name: getattr(config, name) for name in SETTINGS}
            source = {name: getattr(data.source, name) for name in _OPTIONS}
            loaded = cls(**settings, **source)
            loaded.n_features_in_ = math.prod(data.image_shape)
            limits = data.source.rescale
            unit = limits if isinstance(limits, tuple) else (0.0, scale_of(data.pixels))
            loaded._take(_Fitted(read, 4, unit))
            return loaded

    def _take(self, fitted: "_Fitted") -> None:
        checkpoint = fitted.run.checkpoint
        self._fitted = fitted
        self.config_ = checkpoint.config.to_json()
        self.history_ = [asdict(metrics) for metrics in fitted.run.history]
        self.model_hash_ = checkpoint.model_hash
        self._n_features_out = checkpoint.config.latent

    def _settings(self) -> dict[str, Any]:
        """Return the settings that are not left to the recipe."""
        given = {name: getattr(self, name) for name in SETTINGS}
        return {name: _plain(value) for name, value in given.items() if value is not None}

    def _options(self) -> dict[str, Any]:
        """Return the fields of `Source` that are asked for."""
        return {"test": 0.0, **{name: _plain(getattr(self, name)) for name in _OPTIONS}}

    def _class_labels(self, y: Any) -> Array | None:
        if not self.label_weight:
            return None
        if y is None:
            raise InputError("label_weight needs the class of each image: fit(X, y)")
        return np.asarray(y)

    def _train(self, dataset: Dataset, settings: Mapping[str, Any]) -> RunInMemory:
        """Train, and return the run; it has a folder only meanwhile."""
        with TemporaryDirectory(prefix="aecli-") as place:
            job = job_on(dataset, RunFolder(Path(place) / "run"), settings)
            if self.verbose:
                _say_facts(first_facts(dataset))
                say(job.headline)
            summary = self._run(job)
            if self.verbose:
                _say_facts(summary.facts(job.config.validation_measure, job.config.noise))
                for note in filter(None, [summary.note]):
                    say(with_keywords(note))
            if summary.verdict:
                warnings.warn(with_keywords(summary.verdict), stacklevel=3)
            return read_run(job.folder.path)

    def _run(self, job: TrainJob) -> Summary:
        shown = epoch_bar(job.config.epochs) if self.verbose else nullcontext(_report_nothing)
        with interruptible() as interrupted, shown as report:
            ended = train(job.dataset, job.config, job.folder, report=report, stop=interrupted)
        if isinstance(ended, Stopped):
            ended = _end_early(job)
        return ended

    def _checked(self, X: Any, *, fit: bool) -> Array:
        """Return X as an array of finite numbers, as scikit-learn checks it."""
        shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
        options: dict[str, Any] = {"dtype": "numeric", "ensure_min_samples": 2 if fit else 1}
        if len(shape) <= 2:
            values: Array = validate_data(self, X, reset=fit, **options)
            return values
        values = check_array(X, allow_nd=True, estimator=self, input_name="X", **options)
        if fit:
            self._forget_columns(values.shape[1:])
        return values

    def _forget_columns(self, image_shape: tuple[int, ...]) -> None:
        """Take images, which have no columns."""
        self.n_features_in_ = math.prod(image_shape)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _dataset(self, X: Any) -> Dataset:
        """Return what `transform` takes as a data set, converted as the training images were."""
        fitted = self._fitted_or_error()
        checkpoint = fitted.run.checkpoint
        like = checkpoint.data.source
        if _is_named(X):
            dataset = open_for(checkpoint, choose_source(os.fspath(X), {}, like=like))
            for note in notes(dataset, "all", checkpoint, named=True) if self.verbose else ():
                say(with_keywords(note))
        else:
            values = fitted.shaped(self._checked(X, fit=False))
            options = {"rescale": fitted.rescale_for(values.dtype)}
            source = choose_source(IN_MEMORY, options, like=like) or like
            dataset = dataset_of(values, source)
        check_features(checkpoint, dataset)
        return dataset

    def _fitted_or_error(self) -> "_Fitted":
        check_is_fitted(self)
        return self._fitted

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


@dataclass(eq=False)
class _Fitted:
    """What was learned.

    `axes`: how many the array of images had; 4 where it came from a file. `unit`: the numbers in it
    that are 0 and 1, of what is not standardised.
    """

    run: RunInMemory
    axes: int
    unit: tuple[float, float]

    @cached_property
    def model(self) -> TrainedModel:
        """The model on the device."""
        return load_model(self.run.checkpoint)

    def __getstate__(self) -> dict[str, Any]:
        return {"run": self.run, "axes": self.axes, "unit": self.unit}

    @property
    def _data(self) -> DataDescription:
        return self.run.checkpoint.data

    def shaped(self, values: Array) -> Array:
        """Return an array of the axes that `data.dataset_of` needs.

        Raises:
            InputError: the images are of another shape than those of the training.

        """
        expected = self._data.image_shape
        if self._data.source.columns is not None or values.ndim == 2:
            given = math.prod(values.shape[1:])
            if given == math.prod(expected):
                is_table = self._data.source.columns is not None
                return values.reshape(len(values), *([given] if is_table else expected))
        elif values.shape[1:] in (expected, expected[:2] if expected[2] == 1 else expected):
            return values
        raise InputError(
            f"X has images of {_times(values.shape[1:])}, the estimator was fitted on "
            f"{_times(expected)}: expected images of that shape"
        )

    def rescale_for(self, dtype: np.dtype[Any]) -> tuple[float, float] | None:
        """Return the numbers of this type that are 0 and 1, where the run does not say it.

        None where the run or the type says it.
        """
        source = self._data.source
        by_type = is_pixel(dtype) or dtype.kind in "bf"
        if source.columns is not None or source.rescale is not None or dtype.kind == "b":
            return None
        return None if by_type and self.unit == (0.0, scale_of(dtype)) else self.unit

    def in_unit(self, images: Floats) -> Floats:
        """Return decoded images (n, h, w, c) with the axes and the unit of the training images."""
        columns = self._data.source.columns
        if columns is not None:
            return np.concatenate(list(in_units([images], columns)))
        low, high = self.unit
        height, width, channels = self._data.image_shape
        shapes = {2: (height * width * channels,), 3: (height, width), 4: (height, width, channels)}
        scaled: Floats = images * np.float32(high - low) + np.float32(low)
        return scaled.reshape(len(images), *shapes[self.axes])


def _end_early(job: TrainJob) -> Summary:
    """End a training that was interrupted as if no more epochs had been asked for.

    Raises:
        KeyboardInterrupt: no epoch was done.

    """
    epochs = load(job.folder.last).epoch if kind_of(job.folder.last) == "file" else 0
    if epochs == 0:
        raise KeyboardInterrupt
    warnings.warn(
        f"interrupted after epoch {epochs} of {job.config.epochs}: the model is the best so far",
        stacklevel=5,
    )
    config = replace(job.config, epochs=epochs)
    ended = train(job.dataset, config, job.folder, resume_from=load(job.folder.last))
    if isinstance(ended, Stopped):
        raise KeyboardInterrupt
    return ended


def _report_nothing(metrics: EpochMetrics, saved: bool) -> None:
    pass


def _say_facts(facts: Sequence[tuple[str, str]]) -> None:
    for name, fact in facts:
        say(with_keywords(f"{name}: {fact}"))


def _is_named(X: Any) -> bool:
    """Return whether X is the path or the name of a data set."""
    return isinstance(X, str | os.PathLike)


def _plain(value: Any) -> Any:
    """Return a value that may be numpy's as Python's."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
