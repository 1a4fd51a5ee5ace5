"""Options that several commands share, and what they mean."""

import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from typer.core import TyperArgument, TyperCommand

from aecli.addresses import address_of, is_address
from aecli.config import (
    DEFAULT_DATASET,
    DEFAULT_RECIPE,
    RECIPES,
    SETTINGS,
    Setting,
    SplitName,
)
from aecli.errors import AecliError, InputError

# Variables that no option stands for.
_VARIABLES = ("AECLI_DATA_DIR", "AECLI_MIRROR")

Command = TypeVar("Command", bound=Callable[..., Any])

RUNS = Path("runs")
DEFAULT_RUN = RUNS / DEFAULT_DATASET


class CheckedCommand(TyperCommand):
    """A command whose names are not empty, whose addresses have no secrets in them any more.

    Its errors name the variable that is to blame.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            typer.BadParameter: a value cannot be read, or a name is empty.
            InputError: the value of a variable cannot be read.

        """
        given, _, _ = self.make_parser(ctx).parse_args(list(args))
        try:
            rest = super().parse_args(ctx, args)
        except typer.BadParameter as error:
            variable = error.param and _variable(ctx, error.param)
            if not variable:
                raise
            raise InputError(f"{variable}: {error.message}") from error
        parameters: list[Any] = list(self.params)
        for parameter in parameters:
            is_name = isinstance(parameter, TyperArgument) or parameter.type_descriptor.is_path
            if is_name and given.get(parameter.name) == "":
                # Python takes an empty path for the current folder.
                raise typer.BadParameter("expected a name, got nothing", ctx, parameter)
        for name, value in ctx.params.items():
            # From here on nothing knows the secrets in it.
            if isinstance(value, str) and is_address(value):
                ctx.params[name] = address_of(value)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            AecliError: as the command does.

        """
        try:
            return super().invoke(ctx)
        except AecliError as error:
            variables = self._to_blame(ctx, str(error))
            if not variables:
                raise
            raise type(error)(f"{error} (with {' and '.join(variables)} set)") from error

    def _to_blame(self, ctx: Any, message: str) -> list[str]:
        """Return the variables that a message is about without naming them."""
        found = [name for name in _VARIABLES if (os.environ.get(name) or "\n") in message]
        for parameter in self.params:
            flag = re.compile(rf"(?<![\w-]){parameter.opts[0]}(?![\w-])")
            variable = _variable(ctx, parameter)
            if variable and flag.search(message):
                found.append(variable)
        return [name for name in found if name not in message]


def _variable(ctx: typer.Context, parameter: Any) -> str | None:
    """Return the variable of the environment that a value comes from, if it does."""
    source = ctx.get_parameter_source(parameter.name)
    return parameter.envvar if source is not None and source.name == "ENVIRONMENT" else None


RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Folder of a run, or one of its checkpoints (.safetensors)."
    ),
]


def force_option(panel: str | None = None) -> Any:
    """Return `--force`, in a panel of the help."""
    return typer.Option("--force", help="Replace what exists.", rich_help_panel=panel)


def json_option(panel: str | None = None) -> Any:
    """Return `--json`, in a panel of the help."""
    return typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=panel)


def quiet_option(panel: str | None = None) -> Any:
    """Return `--quiet`, in a panel of the help."""
    return typer.Option(
        "--quiet", "-q", help="Print results and errors only.", rich_help_panel=panel
    )


def memory_option(panel: str | None = None) -> Any:
    """Return `--memory`, in a panel of the help."""
    return typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory that pixels may take, such as 2GB; data that need more are streamed.",
        envvar="AECLI_MEMORY",
        show_envvar=False,
        show_default="half of what is free",
        rich_help_panel=panel,
    )


def with_setting_options(before: str) -> Callable[[Command], Command]:
    """Return a decorator: an option for each field of `Config` in place of `**settings`.

    They stand in the help before the parameter `before`. An option that is not given is None: the
    config file or the recipe decides.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        parameters = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        place = list(signature.parameters).index(before)
        parameters[place:place] = map(_setting_parameter, SETTINGS.values())
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def _setting_parameter(setting: Setting) -> inspect.Parameter:
    default = getattr(RECIPES[DEFAULT_RECIPE], setting.name)
    flags = [setting.flag]
    if isinstance(default, bool):
        flags.append(f"--no-{setting.flag.removeprefix('--')}")
    option = typer.Option(
        "/".join(flags),
        help=setting.help,
        metavar="NAME" if setting.choices else None,
        envvar=f"AECLI_{setting.name.upper()}",
        show_envvar=False,
        show_default=setting.show(default),
        rich_help_panel=setting.panel,
    )
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[setting.option_type | None, option],
    )


ForceOption = Annotated[bool, force_option()]
JsonOption = Annotated[bool, json_option()]
QuietOption = Annotated[bool, quiet_option()]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Labels of the images: .npy, .npz:NAME, IDX, .csv, .tsv or Parquet.",
        rich_help_panel="Data",
    ),
]
NoLabelsOption = Annotated[
    bool,
    typer.Option("--no-labels", help="Read the data without labels.", rich_help_panel="Data"),
]
RescaleOption = Annotated[
    str | None,
    typer.Option(
        "--rescale",
        metavar="LOW,HIGH",
        help="Pixel values that mean 0 and 1, where their type does not say.",
        rich_help_panel="Data",
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="HxW",
        help="Stretch image files to this size: 28, or 32x48.",
        rich_help_panel="Data",
    ),
]
GrayscaleOption = Annotated[
    bool,
    typer.Option("--grayscale", help="Convert images to grayscale.", rich_help_panel="Data"),
]
SkipBrokenOption = Annotated[
    bool,
    typer.Option(
        "--skip-broken",
        help="Leave out image files that cannot be read.",
        rich_help_panel="Data",
    ),
]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(
        "--features",
        help="A row of numbers for each image (.npy), for a run that places images by such.",
        rich_help_panel="Data",
    ),
]
SplitOption = Annotated[
    SplitName | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help=f"Which split: {', '.join(get_args(SplitName))}.",
        show_default="test; all of a DATASET without splits",
    ),
]


def source_options(
    *,
    labels: Path | None = None,
    validation: float | None = None,
    test: float | None = None,
    split_seed: int | None = None,
    rescale: str | None = None,
    size: str | None = None,
    grayscale: bool = False,
    no_labels: bool = False,
    skip_broken: bool = False,
    features: Path | None = None,
) -> dict[str, Any]:
    """Return what the options say of the data, as fields of `Source`; None is left out.

    Raises:
        InputError: a value cannot be read.

    """
    from aecli.data import parse_rescale, parse_size

    return {
        "labels": _name_of(labels),
        "validation": validation,
        "test": test,
        "split_seed": split_seed,
        "rescale": None if rescale is None else parse_rescale(rescale),
        "size": None if size is None else parse_size(size),
        "grayscale": grayscale or None,
        "no_labels": no_labels or None,
        "skip_broken": skip_broken or None,
        "features": _name_of(features),
    }


def _name_of(path: Path | None) -> str | None:
    """Return a path as text, an address as it was before it became a path."""
    if path is None:
        return None
    return address_of(path) if is_address(path) else str(path)
