"""``weir send --history``: a file by the streaming door, with its own line numbers in every refusal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deploy.cli.errors import FAILED, USAGE, Failure
from deploy.cli.events.event_files import FileError, FileFormat, read_events

if TYPE_CHECKING:
    from deploy.cli.connection import Services
    from ingest.client import HistorySummary

_SHOWN = 20


def send_history_file(asked_of: Services, file: Path, kind: FileFormat, *, as_json: bool) -> None:
    """Send all lines; exit code 1 where any was refused. Raises Failure, SendError."""
    from deploy.cli.output import print_json, progress_bar, say, say_aside
    from ingest.client import Client, send_history

    with (
        Client(asked_of.url("gateway"), asked_of.key, asked_of.namespace) as client,
        progress_bar("lines") as bar,
    ):
        task = bar.add_task("sending history", total=None)

        def after_part(summary: HistorySummary) -> None:
            bar.update(task, completed=summary.lines)

        try:
            summary = send_history(client, _lines(file, kind), on_part=after_part)
        except (FileError, UnicodeDecodeError) as error:
            raise Failure(f"{file}: {error}; what stood before it may have been sent", USAGE) from None
    if as_json:
        counts = {"lines": summary.lines, "accepted": summary.accepted, "refused": summary.refused}
        print_json(
            counts | {"retries": summary.retries, "seconds": f"{summary.seconds:.3f}", "refusals": summary.refusals}
        )
    else:
        rate = summary.accepted / summary.seconds if summary.seconds else 0.0
        say(f"{summary.accepted} accepted, {summary.refused} refused, {rate:,.0f} events/s, {summary.retries} retries")
    for refusal in summary.refusals[:_SHOWN]:
        say_aside(f"weir: {file}: line {refusal['line']}: {refusal['path']}: {refusal['detail']}")
    for warning in summary.warnings[:_SHOWN]:
        say_aside(f"weir: {file}: line {warning['line']}: warning: {warning['detail']}")
    if summary.refused:
        raise typer.Exit(FAILED)


def _lines(file: Path, kind: FileFormat) -> Iterator[bytes]:
    if kind == "ndjson":
        if str(file) == "-":
            yield from sys.stdin.buffer
        else:
            with file.open("rb") as raw:
                yield from raw
    elif str(file) == "-":
        yield from _rows(sys.stdin)
    else:
        with file.open(encoding="utf-8", newline="") as text:
            yield from _rows(text)


def _rows(text: Iterator[str]) -> Iterator[bytes]:
    """Each row as the line of its number: lines that are no event, such as the header, are blank."""
    from ingest.client.wire import encode

    previous = 0
    for number, event in read_events(text, "csv"):
        yield from [b"\n"] * (number - previous - 1)
        yield encode(event) + b"\n"
        previous = number
