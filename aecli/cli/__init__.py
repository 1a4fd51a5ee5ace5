"""The command line: one module per command; here they meet, and errors become exit codes."""

from collections.abc import Sequence

import typer

from aecli import __version__, signals
from aecli.addresses import without_secrets
from aecli.cli import data
from aecli.cli.decode import decode
from aecli.cli.denoise import denoise
from aecli.cli.encode import encode
from aecli.cli.environment import explain
from aecli.cli.explore import explore
from aecli.cli.export import export
from aecli.cli.options import CheckedCommand
from aecli.cli.plot import plot
from aecli.cli.score import score
from aecli.cli.show import show
from aecli.cli.stdout import flush, reader_left
from aecli.cli.train import train
from aecli.cli.warnings import one_line_warnings
from aecli.errors import AecliError, InputError
from aecli.printable import one_line

# What libraries raise where the environment is not as they expect it.
_FAULTS_AROUND = (
    ArithmeticError,
    AssertionError,
    ImportError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)

app = typer.Typer(
    name="aecli",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(
    invoke_without_command=True,
    epilog="Start here: aecli train, then aecli encode, then aecli plot. "
    "Exit codes: 0 done, 1 the work failed, 2 wrong usage or bad input, "
    "129 / 130 / 143 ended by a signal.",
)
def _about(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
    as_json: bool = typer.Option(
        False, "--json", help="With --version: also those of what computes, and the devices."
    ),
) -> None:
    """Learn a map of your images: train an autoencoder, encode images, plot the codes."""
    if not version:
        if as_json:
            raise typer.BadParameter("before a command it goes with --version", param_hint="--json")
        if context.invoked_subcommand is None:
            raise InputError("no command: aecli --help lists them")
        return
    if as_json:
        import platform

        from aecli.json_text import dump
        from aecli.train.environment import environment

        about = {"aecli": __version__, "python": platform.python_version(), **environment()}
        print(dump(about))
    else:
        print(f"aecli {__version__}")
    raise typer.Exit


for command in (train, encode, decode, denoise, plot, explore, export, score, show):
    app.command(cls=CheckedCommand)(command)
app.add_typer(data.app, name="data")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, `sys.argv` unless given; return the exit code of the process."""
    try:
        return _run(arguments)
    except AecliError as error:
        return _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        # Without a word where only the help was shown, for want of a command.
        message = error.format_message()
        return _fail(f"{message} (--help explains)" if message else "", error.exit_code)
    except SystemExit:
        # At a safe point after a signal; or the reader of the help has left.
        return signals.exit_code() if signals.requested() else 0


def _run(arguments: Sequence[str] | None) -> int:
    try:
        with one_line_warnings():
            signals.end_if_requested()
            # Not standalone: usage errors come here too, to be one line like all others.
            code: int = app(arguments, standalone_mode=False) or 0
        flush()
        return code
    except _FAULTS_AROUND as fault:
        if isinstance(fault, OSError):
            if reader_left(fault):
                return 0
            # A terminal that is gone has sent a signal before.
            signals.end_if_requested()
        explained = explain(fault)
        if explained is None:
            raise
        raise explained from fault


def _fail(message: str, exit_code: int) -> int:
    from aecli.cli import console

    if message:
        console.error(one_line(without_secrets(message)))
    return exit_code
