"""What people see: progress, tables and plain lines on stderr, results on stdout."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from aecli.runs import EpochMetrics


class Advance(Protocol):
    """A bar's step."""

    def __call__(self, amount: int, /) -> None:
        """Move the bar by `amount`."""


@dataclass(frozen=True)
class Reporter:
    """Talks to the user: `quiet` leaves errors and results, `json` makes the result one object."""

    quiet: bool = False
    json: bool = False

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not self.quiet:
            _stderr().print(text, highlight=False, markup=False, soft_wrap=True)

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print names and values for people."""
        if not self.quiet:
            print_facts(rows, _stderr())

    def result(self, paths: Sequence[Path], values: Mapping[str, Any]) -> None:
        """Print what was made to stdout: the paths, or with `json` the values as one object."""
        lines = [json.dumps(values)] if self.json else [str(path) for path in paths]
        print("\n".join(lines), flush=True)

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        """Show a spinner while something takes a moment; nothing without a terminal."""
        console = _stderr()
        if self.quiet or not console.is_terminal:
            yield
            return
        with console.status(text):
            yield

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar over `total`; nothing without a terminal."""
        console = _stderr()
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=self.quiet or not console.is_terminal,
        ) as progress:
            task = progress.add_task(what, total=total)
            yield lambda amount: progress.update(task, advance=amount)

    @contextmanager
    def epochs(self, total: int, done: int) -> Iterator["EpochReport"]:
        """Show the epochs go by: a bar on a terminal, else one plain line an epoch."""
        console = _stderr()
        if self.quiet:
            yield lambda metrics: None
        elif not console.is_terminal:
            yield lambda metrics: print(_epoch_line(metrics, total), file=sys.stderr, flush=True)
        else:
            columns = [
                TextColumn("epoch"),
                MofNCompleteColumn(),
                BarColumn(bar_width=None),
                TextColumn("{task.description}"),
                TimeRemainingColumn(compact=True),
            ]
            with Progress(*columns, console=console, expand=True) as progress:
                task = progress.add_task("compiling", total=total, completed=done)
                yield lambda metrics: progress.update(
                    task, completed=metrics.epoch, description=_losses(metrics)
                )


class EpochReport(Protocol):
    """Shows an epoch that ended."""

    def __call__(self, metrics: EpochMetrics, /) -> None:
        """Show `metrics`."""


def print_facts(rows: Sequence[tuple[str, str]], console: Console | None = None) -> None:
    """Print names and values, to stdout unless another console is given."""
    table = Table(box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    (console or Console()).print(table)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout."""
    table = Table(box=None, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def error(text: str) -> None:
    """Print one line about an error."""
    print(f"aecli: {text}", file=sys.stderr, flush=True)


def _stderr() -> Console:
    # Made when used: stderr and the terminal's width may change.
    return Console(stderr=True)


def _losses(metrics: EpochMetrics) -> str:
    return (
        f"train {metrics.train_loss:.4f}  val {metrics.validation_loss:.4f}  "
        f"{metrics.images_per_second:,.0f} img/s"
    )


def _epoch_line(metrics: EpochMetrics, total: int) -> str:
    return (
        f"epoch {metrics.epoch}/{total}  train {metrics.train_loss:.5f}  "
        f"validation {metrics.validation_loss:.5f}  {metrics.images_per_second:,.0f} images/s"
    )
