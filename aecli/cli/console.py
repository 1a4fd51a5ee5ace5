"""What people see: progress, tables and plain lines on stderr, results on stdout."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from aecli import signals
from aecli.cli.stdout import print_lines
from aecli.clock import show_rate
from aecli.files import kind_of
from aecli.printable import finite_json, printable, significant

if TYPE_CHECKING:
    from aecli.run.states import EpochMetrics

Rows = Sequence[tuple[str, str]]

# Columns of a terminal for the epochs, a short bar, and the time that is left.
_BESIDE_LOSSES = 36


class _Console(Console):
    """A console that leaves it to its caller what it means that nobody reads."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled."""
        raise


@dataclass(frozen=True)
class Reporter:
    """Talks to the user: `quiet` leaves errors and results, `json` makes the result one object."""

    quiet: bool = False
    json: bool = False

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not self.quiet:
            _print_line(printable(text))

    def facts(self, rows: Rows) -> None:
        """Print names and values for people."""
        if not self.quiet:
            with _if_anyone_listens():
                _print_table(_Console(stderr=True), None, rows)

    def result(self, paths: Sequence[Path | str], values: Mapping[str, Any]) -> None:
        """Print what was made to stdout: the paths, or with `json` the values as one object."""
        values = finite_json(values)
        print_lines([json.dumps(values, allow_nan=False)] if self.json else map(str, paths))

    @contextmanager
    def bar(
        self, what: str, total: int, *, in_bytes: bool = False
    ) -> Iterator[Callable[[int], None]]:
        """Show a bar over `total`, 0 if unknown; nothing without a terminal.

        The function that is given advances it by an amount. Both end the program where a signal
        has come.

        Raises:
            SystemExit: with the exit code of the signal.

        """
        signals.end_if_requested()
        console = _Console(stderr=True)

        def step(amount: int) -> None:
            signals.end_if_requested()
            progress.update(task, advance=amount)

        with _progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn() if in_bytes else MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=self.quiet or not console.is_terminal,
        ) as progress:
            task = progress.add_task(printable(what), total=total or None)
            yield step

    @contextmanager
    def epochs(self, total: int, done: int) -> Iterator[Callable[["EpochMetrics", bool], None]]:
        """Show the epochs go by: a bar on a terminal, else one plain line per epoch.

        The function that is given takes each epoch, and whether it is saved.
        """
        console = _Console(stderr=True)
        if self.quiet:
            yield lambda metrics, saved: None
        elif not console.is_terminal:
            yield lambda metrics, saved: _print_line(_epoch_line(metrics, total, saved))
        else:
            columns = [
                TextColumn("epoch"),
                MofNCompleteColumn(),
                BarColumn(bar_width=None),
                TextColumn("{task.description}"),
                TimeRemainingColumn(compact=True),
            ]
            with _progress(*columns, console=console, expand=True) as progress:
                task = progress.add_task("compiling", total=total, completed=done)
                yield lambda metrics, saved: progress.update(
                    task, completed=metrics.epoch, description=_short_losses(metrics, console.width)
                )


def force_if_there(*paths: Path) -> list[str]:
    """Return the option that a command needs which is to replace one of these files."""
    return ["--force"] if any(kind_of(path) != "nothing" for path in paths) else []


def error(text: str) -> None:
    """Print one line about an error."""
    _print_line(f"aecli: {text}")


def print_facts(rows: Rows) -> None:
    """Print names and values to stdout."""
    print_table(None, rows)


def print_table(header: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout: laid out on a terminal, else one line per row, separated by tabs."""
    console = _Console()
    if console.is_terminal:
        _print_table(console, header, rows)
    else:
        rows = [header, *rows] if header else rows
        print_lines("\t".join(map(printable, row)) for row in rows)


def _print_table(
    console: Console, header: Sequence[str] | None, rows: Sequence[Sequence[str]]
) -> None:
    table = Table(*(header or ()), box=None, show_header=header is not None)
    for row in rows:
        name, *cells = row
        shown = (Text(printable(cell), overflow="fold") for cell in cells)
        table.add_row(Text(printable(name), style="dim"), *shown)
    console.print(table)


def _print_line(text: str) -> None:
    # With stderr closed, print would take stdout instead.
    if sys.stderr is not None:
        with _if_anyone_listens():
            print(text, file=sys.stderr, flush=True)


@contextmanager
def _if_anyone_listens() -> Iterator[None]:
    """Write to stderr; where nobody reads it, or its disk is full, continue silently."""
    try:
        yield
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


@contextmanager
def _progress(
    *columns: str | ProgressColumn, console: Console, **options: Any
) -> Iterator[Progress]:
    """Show bars; the cursor, which they hide, comes back however the process ends."""
    with (
        signals.undoing(_show_cursor if console.is_terminal else lambda: None),
        Progress(*columns, console=console, **options) as progress,
    ):
        yield progress


def _show_cursor() -> None:
    with suppress(OSError):
        os.write(sys.stderr.fileno(), b"\r\x1b[K\x1b[?25h")


def _short_losses(metrics: "EpochMetrics", width: int) -> str:
    """Return the validation loss, and what fits beside a bar: the terms of the loss, the speed."""
    losses = {"validation": metrics.validation_loss, **metrics.losses}
    shown, *others = (f"{name} {significant(loss)}" for name, loss in losses.items())
    for other in [*others, show_rate(metrics.images_per_second, "img/s")]:
        longer = f"{shown}  {other}".rstrip()
        shown = longer if len(longer) <= width - _BESIDE_LOSSES else shown
    return shown


def _epoch_line(metrics: "EpochMetrics", total: int, saved: bool) -> str:
    losses = {**metrics.losses, "validation": metrics.validation_loss}
    named = "  ".join(f"{name} {significant(loss)}" for name, loss in losses.items())
    speed = show_rate(metrics.images_per_second, "images/s")
    line = f"epoch {metrics.epoch}/{total}  {named}  {speed}".rstrip()
    return f"{line}\nsaved epoch {metrics.epoch}" if saved else line
