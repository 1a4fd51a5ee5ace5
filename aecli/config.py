"""What a run is told to do: one frozen dataclass, the recipes that fill it, and its checks."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from aecli.errors import InputError

Encoder = Literal["dense", "conv"]
Activation = Literal["sigmoid", "tanh", "relu", "elu", "gelu", "silu"]
Initializer = Literal["normal", "glorot", "he", "lecun"]
Output = Literal["sigmoid", "linear"]
Schedule = Literal["constant", "cosine", "one-cycle"]
Loss = Literal["mse", "bce"]
SplitName = Literal["train", "validation", "test", "all"]

DEFAULT_DATASET = "digits"
DEFAULT_ROWS_AT_A_TIME = 16_384  # Of encode and decode.
DEFAULT_SAMPLE = 2_000  # Images whose neighbourhoods are compared, all with all.


@dataclass(frozen=True)
class Config:
    """The resolved settings of a run; every value is set, none is looked up elsewhere.

    `hidden` lists the widths of the encoder's hidden layers from the image to the code; the
    decoder mirrors them. A `conv` encoder sees features of small patches in place of the pixels.
    With `normalize` each hidden layer ends with a layer normalization. A `neighbor_weight` above 0
    adds a loss that keeps each image's `neighbors` nearest ones near; `neighbor_final` is the share
    of that weight which is left at the end.
    """

    recipe: str
    encoder: Encoder
    hidden: tuple[int, ...]
    latent: int
    activation: Activation
    normalize: bool
    output: Output
    init: Initializer
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule
    shuffle: bool
    loss: Loss
    code_penalty: float
    neighbor_weight: float
    neighbor_final: float
    neighbors: int
    seed: int
    patience: int | None

    def __post_init__(self) -> None:
        for name, value in (
            ("latent", self.latent),
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("neighbors", self.neighbors),
            *(("hidden", width) for width in self.hidden),
            *((("patience", self.patience),) if self.patience is not None else ()),
        ):
            if value < 1:
                raise InputError(f"{flag(name)} must be at least 1, got {value}")
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(
                f"{flag('learning_rate')} must be a positive number, got {self.learning_rate}"
            )
        for name in ("code_penalty", "neighbor_weight"):
            if not 0 <= (weight := getattr(self, name)) < float("inf"):
                raise InputError(f"{flag(name)} must be 0 or a positive number, got {weight}")
        if not 0 <= self.neighbor_final <= 1:
            raise InputError(
                f"{flag('neighbor_final')} is a share and must lie in 0..1, "
                f"got {self.neighbor_final}"
            )
        if not 0 <= self.seed < 2**32:
            raise InputError(f"{flag('seed')} must lie in 0..4294967295, got {self.seed}")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise InputError(
                    f"{flag(name)} {value!r} is unknown: expected one of {', '.join(choices)}"
                )
        if self.loss == "bce" and self.output == "linear":
            raise InputError(
                "--loss bce needs --output sigmoid: a linear output is no probability; "
                "use --loss mse with it"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON's types."""
        return asdict(self) | {"hidden": list(self.hidden)}


CHOICES: dict[str, tuple[str, ...]] = {
    "encoder": get_args(Encoder),
    "activation": get_args(Activation),
    "output": get_args(Output),
    "init": get_args(Initializer),
    "schedule": get_args(Schedule),
    "loss": get_args(Loss),
}

# The program of the tutorial that this project grew from, to the letter: sigmoid layers, weights
# and biases drawn from a standard normal, constant Adam, batches in file order.
_CLASSIC = Config(
    recipe="classic",
    encoder="dense",
    hidden=(128, 64, 10),
    latent=2,
    activation="sigmoid",
    normalize=False,
    output="sigmoid",
    init="normal",
    epochs=50,
    batch_size=256,
    learning_rate=1e-3,
    schedule="constant",
    shuffle=False,
    loss="mse",
    code_penalty=0.0,
    neighbor_weight=0.0,
    neighbor_final=1.0,
    neighbors=15,
    seed=0,
    patience=None,
)

# What we recommend: no more parameters than the classic on MNIST, and the same number of epochs.
# The widths leave no bottleneck before the code; the rest was chosen by measurement.
_MODERN = replace(
    _CLASSIC,
    recipe="modern",
    hidden=(80, 160, 128),
    activation="silu",
    init="glorot",
    learning_rate=5e-3,
    schedule="one-cycle",
    shuffle=True,
    code_penalty=1e-8,
)

# Neighbours stay together: a wider network, normalized, which sees patches and takes few epochs at
# a high rate. Neighbours pull less towards the end: the reconstruction has the last word.
_MAP = replace(
    _MODERN,
    recipe="map",
    encoder="conv",
    hidden=(192, 192, 128),
    normalize=True,
    epochs=20,
    learning_rate=6e-3,
    code_penalty=0.0,
    neighbor_weight=1.0,
    neighbor_final=0.1,
)

RECIPES: dict[str, Config] = {config.recipe: config for config in (_MODERN, _MAP, _CLASSIC)}
DEFAULT_RECIPE = _MODERN.recipe
_FEWEST_STEPS = 32  # Of an epoch, where there are as many images.
# Settings that say when to stop, not what is computed on the way.
_CHANGED_ON_RESUME = ("epochs", "patience")
# Settings that came later, and what the versions before did.
_ADDED: dict[str, Any] = {
    "encoder": "dense",
    "normalize": False,
    "neighbor_weight": 0.0,
    "neighbor_final": 1.0,
    "neighbors": 15,
}


def flag(name: str) -> str:
    """Return the command-line flag of a field: `batch_size` -> `--batch-size`."""
    return f"--{name.replace('_', '-')}"


def choose_recipe(name: str) -> Config:
    """Return the settings of a recipe.

    Raises:
        InputError: no recipe has this name.

    """
    if name not in RECIPES:
        raise InputError(f"--recipe {name!r} is unknown: expected one of {', '.join(RECIPES)}")
    return RECIPES[name]


def fit_to_rows(config: Config, rows: int, chosen: Collection[str]) -> Config:
    """Return `config` with smaller batches and more epochs for few training images.

    Settings that the user has `chosen` stay. Otherwise the batch is halved until an epoch has 32
    of them, and there are at least as many epochs as give the steps of 50 such epochs.
    """
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


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """Return `config` with some fields replaced and checked again.

    Raises:
        InputError: a value is out of range or of the wrong type.

    """
    return replace(config, **{name: _typed(name, value) for name, value in settings.items()})


def resume_config(saved: Config, settings: Mapping[str, Any], epoch: int) -> Config:
    """Return the config to go on with: the run's own, with epochs and patience as now asked for.

    `settings` are fields of `Config` that the user set now; `epoch` is how many the run has.

    Raises:
        InputError: a setting differs from the run's, or fewer epochs than it has are asked for.

    """
    wanted = with_settings(saved, settings)
    for name in (setting.name for setting in fields(Config)):
        old, new = getattr(saved, name), getattr(wanted, name)
        if old != new and name not in _CHANGED_ON_RESUME:
            raise InputError(
                f"{flag(name)} {new} differs from the run's {old}: leave it out to go on (the "
                f"option, AECLI_{name.upper()} or the config file), or start another run with -o"
            )
    if wanted.epochs < epoch:
        raise InputError(f"--epochs {wanted.epochs} is fewer than the {epoch} that the run has")
    return wanted


def from_json(settings: Mapping[str, Any]) -> Config:
    """Return the settings that `Config.to_json` wrote.

    Raises:
        InputError: a field is missing, unknown or out of range.

    """
    expected = {field.name for field in fields(Config)}
    settings = {**_ADDED, **settings}
    if set(settings) != expected:
        differing = ", ".join(sorted(expected ^ set(settings)))
        raise InputError(f"these settings are missing or unknown to this version: {differing}")
    return Config(**{name: _typed(name, value) for name, value in settings.items()})


def read_toml(path: Path) -> dict[str, Any]:
    """Read settings, named like the fields of `Config`, from a TOML file.

    Raises:
        InputError: the file is missing, not TOML, or names a setting that does not exist.

    """
    try:
        with path.open("rb") as file:
            settings = tomllib.load(file)
    except OSError as error:
        raise InputError(f"cannot read --config {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path} is not valid TOML: {error}") from error
    names = [name.replace("-", "_") for name in settings]
    settings = dict(zip(names, settings.values(), strict=True))
    if len(settings) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"--config {path} sets {twice} twice, with - and with _")
    known = [field.name for field in fields(Config)]
    for name in settings:
        if name not in known:
            raise InputError(
                f"--config {path}: no setting is called {name!r}{nearest(name, known)}"
            )
    return settings


def parse_widths(text: str) -> tuple[int, ...]:
    """Parse `"128,64,10"`; an empty text means no hidden layer.

    Raises:
        InputError: a part is not a whole number.

    """
    try:
        return tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError as error:
        raise InputError(
            f"--hidden {text!r} is no list of widths: expected whole numbers such as 128,64,10"
        ) from error


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    """Return the end of a sentence about an unknown name: the nearest one and all of them."""
    close = get_close_matches(name, known, n=1)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    return f"{guess} (known: {', '.join(known)})"


def _typed(name: str, value: Any) -> Any:
    """Return `value` as the type of its field; TOML and JSON have lists and whole floats."""
    if name == "hidden":
        if isinstance(value, str):
            return parse_widths(value)
        if isinstance(value, list | tuple) and all(type(width) is int for width in value):
            return tuple(value)
    elif name in ("learning_rate", "code_penalty", "neighbor_weight", "neighbor_final"):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif name == "patience" and value is None:
        return None
    else:
        expected = type(getattr(_CLASSIC, name)) if name != "patience" else int
        if type(value) is expected:
            return value
    raise InputError(f"{flag(name)} has a value of the wrong type: {value!r}")
