"""What commands print: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text


def console(*, error: bool = False) -> Console:
    """Standard output, or standard error; as wide as its text where it is no terminal."""
    stream = sys.stderr if error else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 160, highlight=False, soft_wrap=False)


def say(text: str) -> None:
    """One line for people, as it is: brackets are not markup."""
    print(text)  # noqa: T201 (a command's output)


def say_aside(text: str) -> None:
    """One line for people beside an output that a program may read: on standard error."""
    print(text, file=sys.stderr)  # noqa: T201 (a command's output)


def print_json(value: Any) -> None:
    """A JSON document with indentation."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))  # noqa: T201 (a command's output)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]], raw: Iterable[int]) -> None:
    """A header and rows; None becomes empty. ``raw``: indexes of columns of numbers and instants; all others are text,
    in which nothing is a formula."""
    from rating.csv_text import write_rows

    write_rows(sys.stdout, columns, [rows], frozenset(raw))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> Group:
    """A table below its title; the columns named in ``right`` are aligned right."""
    cells = Table(header_style="bold", box=None, pad_edge=False)
    numbers = set(right)
    for column in columns:
        cells.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        cells.add_row(*[Text("" if value is None else str(value)) for value in row])
    return Group(Text(title), cells) if title else Group(cells)


def progress_bar(unit: str = "") -> Progress:
    """A progress bar on standard error, so that output can be piped."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit)]
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console(error=True))


class StepsBar:
    """Progress of work that names its steps: ``bar(step, done, total)``."""

    def __init__(self) -> None:
        self._bar = progress_bar()
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> StepsBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def aside(self, text: str) -> None:
        """A line of its own above the bars."""
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._bar.add_task(step, total=total)
        self._bar.update(self._tasks[step], completed=done, total=total)
