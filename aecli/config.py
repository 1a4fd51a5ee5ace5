"""The settings of a run: each declared once, the recipes that fill them, and their checks.

A setting is one field of `Config`. Its options, its `AECLI_*` variable, its checks, the facts of
`aecli show`, the rule of what may change on resuming, the keys of compiled programs and the table
in the documentation follow from its declaration.
"""

import math
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from aecli.errors import InputError
from aecli.files import open_regular
from aecli.noise import NO_NOISE, parse_noise
from aecli.printable import printable

Kind = Literal["plain", "vae"]
Encoder = Literal["dense", "conv"]
Decoder = Literal["dense", "conv"]
Activation = Literal["sigmoid", "tanh", "relu", "elu", "gelu", "silu"]
Initializer = Literal["normal", "glorot", "he", "lecun"]
Output = Literal["sigmoid", "linear"]
Schedule = Literal["constant", "cosine", "one-cycle"]
Loss = Literal["mse", "bce"]
Placing = Literal["encoder", "neighbors"]
Precision = Literal["float32", "bf16"]
SplitName = Literal["train", "validation", "test", "all"]

Panel = Literal["Model", "Training"]
# What a setting decides: what the encoder and decoder compute; what a training step computes; what
# compiled programs take as an argument: where training starts, what images are placed among; when
# it stops.
Affects = Literal["model", "training", "start", "stopping"]

DEFAULT_DATASET = "digits"
DEFAULT_ROWS_AT_A_TIME = 16_384  # Of encode and decode.
DEFAULT_SAMPLE = 2_000  # Images whose neighbourhoods are compared, all with all.
DEFAULT_SHARE = 0.1  # Of the images to validate, and to test on, where the data have no splits.
DEFAULT_SPLIT_SEED = 0
_BATCH_SIZE = 256
_FEWEST_STEPS = 32  # Of an epoch, where there are enough images.
# A run holds so many training images at most by default: some 60 bytes of each.
_MOST_REFERENCES = 100_000
_MOST_TOML_BYTES = 1_000_000
# Places along the shorter side of the grid between convolutions and dense layers, about.
_GRID_SIDE = 4
# Compiling takes up to half a second for each hidden layer.
_MOST_HIDDEN_LAYERS = 100
# A checkpoint has some 350 bytes for each epoch before its tensors, where safetensors takes 100 MB.
_MOST_EPOCHS = 100_000
# Python writes out whole numbers of at most 4,300 digits.
_WRITTEN = 10**300


def flag(name: str) -> str:
    """Return the command-line flag of a field: `batch_size` -> `--batch-size`."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may be: finite, from `low` to `high`; `words` say the low end."""

    words: str
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def check(self, name: str, value: float) -> None:
        """Raise `InputError` where a value, which people know by this name, is not in the range."""
        if value not in self:
            expected = f"at most {self.high:,}" if self.high < value < math.inf else self.words
            huge = isinstance(value, int) and abs(value) > _WRITTEN
            got = "one of hundreds of digits" if huge else value
            raise InputError(f"{name} must be {expected}, got {got}")


def counts(most: int) -> Range:
    """Return the range of a number of things, of which there are some."""
    return Range("at least 1", 1, most)


WIDTH = counts(1_000_000)
EPOCHS = counts(_MOST_EPOCHS)
# Images at a time: as many as int32 can number, and more than any memory has room for.
BATCH_SIZE = counts(2**31 - 1)
# What float32 can tell from 0 and from infinity, with room to multiply.
POSITIVE = Range("a positive number of at least 1e-30", 1e-30, 1e30)
WEIGHT = Range("0 or a positive number", 0, 1e30)
SHARE = Range("a share in 0..1", 0, 1)
UINT32 = Range("in 0..4294967295", 0, 2**32 - 1)


def setting(
    default: Any,
    text: str,
    *,
    panel: Panel = "Training",
    affects: tuple[Affects, ...] = ("training",),
    valid: Range | None = None,
    since: int = 1,
) -> Any:
    """Declare a setting.

    `default` is what it is where neither the user nor the recipe says anything, and in runs of
    checkpoint formats before `since`. `text` is its help, one sentence.
    """
    declaration = {"text": text, "panel": panel, "affects": affects, "valid": valid, "since": since}
    return field(default=default, metadata=declaration)


@dataclass(frozen=True)
class Config:
    """The resolved settings of a run; every value is set, none is looked up elsewhere."""

    recipe: str = setting("", "The set of defaults to start from.", panel="Model", affects=())
    kind: Kind = setting(
        "plain",
        "What an image becomes: a code, or a Gaussian of codes that new images can be drawn from; "
        "without neighbours by default.",
        panel="Model",
        affects=("model",),
        since=9,
    )
    encoder: Encoder = setting(
        "dense",
        "What the encoder's hidden layers see: pixels, or features of patches.",
        panel="Model",
        affects=("model",),
        since=4,
    )
    decoder: Decoder = setting(
        "dense",
        "What makes the image: a product of all hidden units, or convolutions of a growing grid.",
        panel="Model",
        affects=("model",),
        since=9,
    )
    channels: tuple[int, ...] = setting(
        (),
        "Features of the convolutions, each of which halves the image; the decoder mirrors them.",
        panel="Model",
        affects=("model",),
        valid=WIDTH,
        since=9,
    )
    hidden: tuple[int, ...] = setting(
        (128, 64, 10),
        "Widths of the hidden layers from image to code; the decoder mirrors them.",
        panel="Model",
        affects=("model",),
        valid=WIDTH,
    )
    latent: int = setting(2, "Numbers in a code.", panel="Model", affects=("model",), valid=WIDTH)
    sparsity: int | None = setting(
        None,
        "At most this many numbers of a code differ from 0, those of the largest size.",
        panel="Model",
        affects=("model",),
        valid=WIDTH,
        since=9,
    )
    activation: Activation = setting(
        "sigmoid", "Function after each hidden layer.", panel="Model", affects=("model",)
    )
    normalize: bool = setting(
        False,
        "Layer normalization after each hidden layer, but convolutions.",
        panel="Model",
        affects=("model",),
        since=3,
    )
    output: Output = setting(
        "sigmoid", "Function after the decoder's last layer.", panel="Model", affects=("model",)
    )
    init: Initializer = setting(
        "normal", "Distribution of the initial weights.", panel="Model", affects=("start",)
    )
    epochs: int = setting(
        50,
        "Passes over the training images; by default more on few images.",
        affects=(
            "training",
            "stopping",
        ),
        valid=EPOCHS,
    )
    batch_size: int = setting(
        _BATCH_SIZE,
        f"Images per step; by default fewer on fewer than {_BATCH_SIZE * _FEWEST_STEPS:,} images.",
        valid=BATCH_SIZE,
    )
    learning_rate: float = setting(1e-3, "Learning rate of Adam, at its highest.", valid=POSITIVE)
    schedule: Schedule = setting("constant", "How the learning rate changes over the steps.")
    shuffle: bool = setting(False, "Shuffle the images each epoch.")
    loss: Loss = setting("mse", "Reconstruction loss: mean squared error, or binary cross-entropy.")
    beta: float = setting(
        1.0, "Weight of a vae's KL divergence; 1 is the bound.", valid=WEIGHT, since=9
    )
    beta_warmup: float = setting(
        0.3, "Share of the steps in which beta rises from 0.", valid=SHARE, since=9
    )
    code_penalty: float = setting(
        0.0, "Weight of the mean fourth power of the codes' length; 0 is off.", valid=WEIGHT
    )
    neighbor_weight: float = setting(
        0.0,
        "Weight of the loss that keeps neighbours together; 0 is off.",
        valid=WEIGHT,
        since=3,
    )
    neighbor_final: float = setting(
        1.0, "Share of the neighbour weight that is left at the end.", valid=SHARE, since=4
    )
    placing: Placing = setting(
        "encoder",
        "What gives images their codes: the encoder alone, or also the codes of the nearest "
        "training images.",
        panel="Model",
        affects=("start",),
        since=8,
    )
    neighbors: int = setting(
        15,
        "Neighbours of each image that the neighbour loss uses.",
        valid=counts(1_000),
        since=3,
    )
    label_weight: float = setting(
        0.0,
        "Weight of the loss that pulls images of one class together; 0 uses no labels.",
        valid=WEIGHT,
        since=7,
    )
    noise: str = setting(
        NO_NOISE,
        "Noise on the images that the encoder sees in training, while the decoder is to make them "
        "clean: gaussian:0.3 (its deviation), mask:0.25 or salt:0.1 (a share of the pixels).",
        since=9,
    )
    precision: Precision = setting(
        "float32",
        "What training multiplies: float32, or coarser bf16, quicker where the processor has it.",
        since=9,
    )
    seed: int = setting(
        0,
        "Seed of the initial weights, of the order and of the noise.",
        affects=("start",),
        valid=UINT32,
    )
    patience: int | None = setting(
        None,
        "Stop after this many epochs without a better validation loss.",
        affects=("stopping",),
        valid=EPOCHS,
    )

    def __post_init__(self) -> None:
        for one in SETTINGS.values():
            one.check(getattr(self, one.name))
        if self.channels and "conv" not in (self.encoder, self.decoder):
            raise InputError(
                "--channels are of convolutions: add --encoder conv or --decoder conv, or leave "
                "them out with --channels ''"
            )
        parse_noise(self.noise)
        if self.kind == "vae" and self.sparsity is not None:
            raise InputError(
                "--sparsity does not go with --kind vae, whose Gaussians fill their space: leave "
                "one out"
            )
        if self.kind == "vae" and self.noise != NO_NOISE:
            raise InputError(
                "--noise does not go with --kind vae, whose loss would be no bound of the clean "
                "images: leave one out"
            )
        if self.sparsity is not None and self.sparsity >= self.latent:
            raise InputError(
                f"--sparsity {self.sparsity} of {self.latent} numbers leaves none out: expected "
                "fewer than --latent"
            )
        if self.loss == "bce" and self.output == "linear":
            raise InputError(
                "--loss bce needs --output sigmoid: a linear output is not a probability; "
                "use --loss mse with it"
            )

    @property
    def validation_measure(self) -> str:
        """What the validation loss measures, for people; see `losses.validation_loss`."""
        if self.kind == "plain":
            return self.loss
        weight = "" if self.beta == 1 else f" of beta {self.beta:g}"
        return f"bound{weight}, nats" if self.loss == "bce" else f"mse with KL{weight}"

    def ended(self, epoch: int, best_epoch: int) -> bool:
        """Return whether a training has as many epochs as asked for, or has waited long enough."""
        impatient = self.patience is not None and epoch - best_epoch >= self.patience
        return epoch >= self.epochs or impatient

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON's types."""
        return self.affecting()

    def affecting(self, *affects: Affects) -> dict[str, Any]:
        """Return the settings that affect one of these, or all settings, as JSON's types.

        Compiled programs are kept by what affects them.
        """
        values = {
            name: getattr(self, name)
            for name, one in SETTINGS.items()
            if not affects or not set(affects).isdisjoint(one.affects)
        }
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


@dataclass(frozen=True)
class Setting:
    """A field of `Config`, as it is declared there."""

    name: str
    type: Any
    default: Any
    text: str
    panel: Panel
    affects: tuple[Affects, ...]
    valid: Range | None
    since: int

    @property
    def flag(self) -> str:
        """The command-line flag: `batch_size` -> `--batch-size`."""
        return flag(self.name)

    @property
    def choices(self) -> tuple[str, ...]:
        """The names that the value may be; empty where it is not chosen from names."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def optional(self) -> bool:
        """Whether the setting may be off altogether."""
        return isinstance(self.type, UnionType)

    @property
    def help(self) -> str:
        """The help, with the names there are to choose from."""
        names = tuple(RECIPES) if self.name == "recipe" else self.choices
        return f"{self.text.removesuffix('.')} ({', '.join(names)})." if names else self.text

    def check(self, value: Any) -> None:
        """Raise `InputError` where a value of the right type is not a valid one."""
        if self.choices and value not in self.choices:
            raise InputError(
                f"{self.flag} {value!r} is unknown: expected one of {', '.join(self.choices)}"
            )
        if self.valid is None or value is None:
            return
        numbers = value if isinstance(value, tuple) else (value,)
        if len(numbers) > _MOST_HIDDEN_LAYERS:
            raise InputError(
                f"{self.flag} must have at most {_MOST_HIDDEN_LAYERS} layers, got {len(numbers):,}"
            )
        for number in numbers:
            self.valid.check(self.flag, number)

    def parse(self, value: Any) -> Any:
        """Return a value of TOML, JSON or the command line as the field's type.

        Raises:
            InputError: it is of another type.

        """
        if self.type == tuple[int, ...] and isinstance(value, str):
            value = parse_widths(value, self.flag)
        if self.type == tuple[int, ...]:
            if isinstance(value, list | tuple) and all(type(width) is int for width in value):
                return tuple(value)
        elif self.type is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                try:
                    return float(value)
                except OverflowError:
                    # A whole number of more than 300 digits: out of any range.
                    return math.inf
        elif self.optional and value is None:
            return None
        elif type(value) is self._plain_type:
            return value
        raise InputError(f"{self.flag} has a value of the wrong type: {_shown(value)}")

    def show(self, value: Any) -> str:
        """Return a value as people write it: `192,128`, `on`, `0.005`."""
        if isinstance(value, list | tuple):
            return ",".join(map(str, value))
        if value is None or isinstance(value, bool):
            return "on" if value else "off"
        return str(value)

    @property
    def option_type(self) -> Any:
        """The type of the command-line option; lists are given as text."""
        return str if self.type == tuple[int, ...] else self.type

    @property
    def _plain_type(self) -> type:
        if self.optional:
            return next(kind for kind in get_args(self.type) if kind is not type(None))
        return str if self.choices else self.type


def _settings() -> dict[str, Setting]:
    types = get_type_hints(Config)
    return {
        one.name: Setting(one.name, types[one.name], one.default, **one.metadata)
        for one in fields(Config)
    }


SETTINGS: dict[str, Setting] = _settings()

# The program of the tutorial that this project grew from, to the letter; its settings are the
# defaults of `Config`: sigmoid layers, weights and biases drawn from a standard normal, constant
# Adam, batches in file order.
_CLASSIC = Config(recipe="classic")

# A plain autoencoder: no more parameters than the classic on MNIST, and the same number of epochs.
# The widths leave no bottleneck before the code; the rest was chosen by measurement.
_PLAIN = replace(
    _CLASSIC,
    recipe="plain",
    hidden=(80, 160, 128),
    activation="silu",
    init="glorot",
    learning_rate=5e-3,
    schedule="one-cycle",
    shuffle=True,
    code_penalty=1e-8,
)

# The clearest map, and the default: neighbours stay together. A wider network, normalized, which
# sees patches and takes few epochs at a high rate. Neighbours pull less towards the end: the
# reconstruction has the last word.
_MAP = replace(
    _PLAIN,
    recipe="map",
    encoder="conv",
    hidden=(192, 192, 128),
    normalize=True,
    epochs=20,
    learning_rate=6e-3,
    code_penalty=0.0,
    neighbor_weight=1.0,
    neighbor_final=0.1,
    placing="neighbors",
)

# Colour images of 32 to 128 pixels: convolutions both ways, and codes that have room for what is on
# them. Chosen at 32x32 by what two cores learn in a few minutes.
_PHOTOS = replace(
    _PLAIN,
    recipe="photos",
    encoder="conv",
    decoder="conv",
    channels=(16, 32, 64),
    hidden=(),
    latent=64,
    init="he",
    epochs=20,
    batch_size=64,
    learning_rate=3e-3,
    code_penalty=0.0,
)

RECIPES: dict[str, Config] = {config.recipe: config for config in (_MAP, _PLAIN, _PHOTOS, _CLASSIC)}
DEFAULT_RECIPE = _MAP.recipe
# Recipes of older runs, by the name that they had.
_RENAMED = {"modern": "plain"}
# Settings of runs of format 7, which no model is computed with any more.
_DROPPED = ("smoothing", "landmarks")


def choose_recipe(name: str) -> Config:
    """Return the settings of a recipe.

    Raises:
        InputError: no recipe has this name.

    """
    if name not in RECIPES:
        renamed = f", which is now called {_RENAMED[name]}" if name in _RENAMED else ""
        raise InputError(
            f"--recipe {name!r} is unknown{renamed}: expected one of {', '.join(RECIPES)}"
        )
    return RECIPES[name]


def fit_to_data(
    config: Config,
    rows: int,
    chosen: Collection[str],
    *,
    vectors: bool,
    standardised: bool = False,
    side: int | None = None,
) -> Config:
    """Return `config` fitted to the number of training images, to their size, and to vectors.

    Settings that the user has `chosen` stay. Many images are placed by the encoder alone, and so
    are images with sparse codes and those of a vae, whose code is the mean of what the encoder
    gives. Nor has a vae a neighbour loss, which draws codes far out, where the prior has none.
    Vectors get dense layers: they have no patches. If they are `standardised` they get a linear
    output: they have no range. `side`: pixels of the shorter side of the images, by which there are
    more or fewer convolutions. An image has at most all others as neighbours. The batch is halved
    until an epoch has 32 of them, and there are at least as many epochs as give the steps of 50
    such epochs.

    Raises:
        InputError: settings that were chosen contradict each other.

    """
    refusal = _refusal_of_neighbors(config)
    if refusal is not None and config.placing == "neighbors":
        if "placing" in chosen:
            raise InputError(f"--placing neighbors does not go with {refusal}")
        config = replace(config, placing="encoder")
    if config.kind == "vae" and "neighbor_weight" not in chosen:
        config = replace(config, neighbor_weight=0.0)
    if "placing" not in chosen and rows > _MOST_REFERENCES:
        config = replace(config, placing="encoder")
    if vectors:
        config = _without_convolutions(config, chosen)
    elif config.channels and "channels" not in chosen and side is not None:
        config = replace(config, channels=fit_channels(config.channels, side))
    if standardised and not {"output", "loss"} & set(chosen):
        config = replace(config, output="linear")
    if "neighbors" not in chosen:
        config = replace(config, neighbors=max(1, min(config.neighbors, rows - 1)))
    if "batch_size" in chosen:
        return config
    batch_size = config.batch_size
    while batch_size > 1 and batch_size * _FEWEST_STEPS > rows:
        batch_size //= 2
    if "epochs" not in chosen:
        steps = max(_FEWEST_STEPS, rows // batch_size)
        fewest_epochs = -(-_FEWEST_STEPS * _CLASSIC.epochs // steps)
        config = replace(config, epochs=max(config.epochs, fewest_epochs))
    return replace(config, batch_size=batch_size)


def _refusal_of_neighbors(config: Config) -> str | None:
    """Return with what, and why, placing among neighbours does not go; None where it does."""
    if config.sparsity is not None:
        return "--sparsity: a code among those of neighbours would not be sparse; leave one out"
    if config.kind == "vae":
        return "--kind vae, whose code is the mean of what the encoder gives: leave it out"
    return None


def _without_convolutions(config: Config, chosen: Collection[str]) -> Config:
    """Return `config` with dense layers where the user has not chosen others."""
    parts = {"encoder", "decoder"}
    dense: dict[str, Any] = dict.fromkeys(parts - set(chosen), "dense")
    if "channels" not in chosen and len(dense) == len(parts):
        dense["channels"] = ()
    return replace(config, **dense)


def fit_channels(channels: tuple[int, ...], side: int) -> tuple[int, ...]:
    """Return the channels of as many convolutions as leave a grid of about 4 places a side.

    `side`: pixels of the shorter side of the images. Where there are more the last one is repeated.
    """
    count = max(1, round(math.log2(max(side, 1) / _GRID_SIDE)))
    return channels[:count] + channels[-1:] * (count - len(channels))


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """Return `config` with some fields replaced and checked again.

    Raises:
        InputError: a value is out of range or of the wrong type.

    """
    return replace(config, **{name: SETTINGS[name].parse(v) for name, v in settings.items()})


def resume_config(saved: Config, settings: Mapping[str, Any], epoch: int) -> Config:
    """Return the config to resume with: the run's own, but for what says when to stop.

    `settings` are fields of `Config` that the user set now; `epoch` is how many the run has.

    Raises:
        InputError: a setting differs from the run's, or fewer epochs than it has are asked for.

    """
    if "recipe" in settings:
        settings = {**settings, "recipe": _RENAMED.get(settings["recipe"], settings["recipe"])}
    wanted = with_settings(saved, settings)
    for one in SETTINGS.values():
        old, new = getattr(saved, one.name), getattr(wanted, one.name)
        if old != new and "stopping" not in one.affects:
            raise InputError(
                f"{one.flag} {one.show(new)} differs from the run's {one.show(old)}: leave it out "
                f"to resume (the option, AECLI_{one.name.upper()} or the config file), or start "
                "another run with -o"
            )
    if wanted.epochs < epoch:
        raise InputError(f"--epochs {wanted.epochs} is fewer than the {epoch} that the run has")
    return wanted


def from_json(settings: Mapping[str, Any]) -> Config:
    """Return the settings that `Config.to_json` wrote, also in an older version.

    Raises:
        InputError: a field is missing, unknown or out of range.

    """
    added = {name: one.default for name, one in SETTINGS.items() if one.since > 1}
    settings = added | {k: v for k, v in settings.items() if k not in _DROPPED}
    if set(settings) != set(SETTINGS):
        differing = printable(", ".join(sorted(set(SETTINGS) ^ set(settings))))
        raise InputError(f"these settings are missing or unknown to this version: {differing}")
    config = with_settings(Config(), settings)
    recipe = _RENAMED.get(config.recipe, config.recipe)
    choose_recipe(recipe)
    return replace(config, recipe=recipe)


def read_toml(path: Path) -> dict[str, Any]:
    """Read settings, named like the fields of `Config`, from a TOML file.

    Raises:
        InputError: the file is missing, not TOML, or names a setting that does not exist.

    """
    try:
        with open_regular(path) as file:
            data = file.read(_MOST_TOML_BYTES + 1)
        if len(data) > _MOST_TOML_BYTES:
            raise InputError(f"--config {path} is larger than {_MOST_TOML_BYTES:,} bytes")
        settings = tomllib.loads(data.decode())
    except OSError as error:
        raise InputError(f"cannot read --config {path}: {error.strerror or error}") from error
    except RecursionError as error:
        raise InputError(f"--config {path} has too many brackets in brackets") from error
    except ValueError as error:
        # Not UTF-8, not TOML, or a number of thousands of digits.
        raise InputError(f"--config {path} is not valid TOML: {error}") from error
    names = [name.replace("-", "_") for name in settings]
    settings = dict(zip(names, settings.values(), strict=True))
    if len(settings) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"--config {path} sets {twice} twice, with - and with _")
    for name in settings:
        if name not in SETTINGS:
            raise InputError(
                f"--config {path}: no setting is called {name!r}{nearest(name, SETTINGS)}"
            )
    return settings


def parse_widths(text: str, name: str = "--hidden") -> tuple[int, ...]:
    """Parse `"128,64,10"`, the value of an option; an empty text means no layer.

    Raises:
        InputError: a part is not a whole number.

    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if not all(re.fullmatch(r"[-+]?\d{1,300}", part, re.ASCII) for part in parts):
        raise InputError(
            f"{name} {text!r} is not a list of widths: expected whole numbers such as 128,64,10"
        )
    return tuple(map(int, parts))


def _shown(value: Any) -> str:
    """Return a value for a message; Python cannot print each that TOML can hold."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return type(value).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest one and all of them."""
    known = list(known)
    close = get_close_matches(name, known, n=1)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    return f"{guess} (known: {', '.join(known)})"
