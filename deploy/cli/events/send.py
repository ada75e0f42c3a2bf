"""``weir send``: events from a file to the gateway."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, services
from deploy.cli.errors import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from ingest.client import BatchResult
    from schemas.values.json_text import JsonObject

_SHOWN = 20


def send(
    file: Annotated[Path, typer.Argument(help="NDJSON (one event a line) or CSV; - for standard input.")],
    kind: Annotated[str, typer.Option("--format", help="ndjson or csv; by the file's name where not given.")] = "",
    history: Annotated[
        bool,
        typer.Option("--history", help="By the door for history: line by line, for a namespace without age limit."),
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=32, help="Batches under way at once.")] = 4,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send events in batches of 100. Sending a file again is safe where its events carry idempotency keys.

    CSV: the columns event_name, account_id, timestamp, idempotency_key and source are the event's own; every other
    column is a property; an empty cell is absent. Exit code 1 where the gateway refused a batch.

    With --history a refused line stops no other one; every event needs its own idempotency key and timestamp.
    """
    from deploy.cli.events.event_files import FORMATS, FileError, batches, format_of, read_events
    from deploy.cli.events.send_history import send_history_file
    from deploy.cli.output import print_json, progress_bar, say, say_aside
    from ingest.client import Client

    asked_of = services(namespace)
    lines_of: deque[list[int]] = deque()
    refused: list[JsonObject] = []
    warned: list[JsonObject] = []
    try:
        name = kind or ("ndjson" if str(file) == "-" else format_of(file))
        chosen = next((known for known in FORMATS if known == name), None)
        if chosen is None:
            raise Failure(f"--format {name} is not known; give ndjson or csv", USAGE)
        if history:
            send_history_file(asked_of, file, chosen, as_json=as_json)
            return
        with ExitStack() as stack:
            stream = sys.stdin if str(file) == "-" else stack.enter_context(file.open(encoding="utf-8", newline=""))
            client = stack.enter_context(Client(asked_of.url("gateway"), asked_of.key, asked_of.namespace))
            bar = stack.enter_context(progress_bar("events"))
            task = bar.add_task("sending", total=None if str(file) == "-" else _count(file, chosen))

            def numbered() -> Iterator[list[Mapping[str, object]]]:
                for numbers, events in batches(read_events(stream, chosen)):
                    lines_of.append(numbers)
                    yield events

            def took(result: BatchResult) -> None:
                numbers = lines_of.popleft()
                bar.advance(task, result.size)
                if result.refusal is not None:
                    refused.append(_refusal(result, numbers))
                warnings = result.warnings[: _SHOWN - len(warned)]
                warned.extend({"line": numbers[warning["index"]], **warning} for warning in warnings)

            summary = client.send_batches(numbered(), concurrency=concurrency, on_result=took)
    except (FileError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: {error}; what stood before it may have been sent", USAGE) from None
    rate = summary.accepted / summary.seconds if summary.seconds else 0.0
    if as_json:
        print_json(
            {"accepted": summary.accepted, "refused": summary.refused, "batches": summary.batches}
            | {"retries": summary.retries, "seconds": f"{summary.seconds:.3f}", "refusals": refused}
        )
    else:
        say(f"{summary.accepted} accepted, {summary.refused} refused, {rate:,.0f} events/s, {summary.retries} retries")
    for refusal in refused[:_SHOWN]:
        say_aside(f"weir: {file}: lines {refusal['lines']}: {refusal['problem']}")
    for warning in warned:
        say_aside(f"weir: {file}: line {warning['line']}: warning: {warning['detail']}")
    if refused:
        raise typer.Exit(FAILED)


def _refusal(result: BatchResult, numbers: list[int]) -> JsonObject:
    problem = str(result.refusal)
    index = result.refusal.problem.get("index") if result.refusal is not None else None
    if isinstance(index, int) and 0 <= index < len(numbers):
        problem += f" (line {numbers[index]})"
    return {"lines": f"{numbers[0]}–{numbers[-1]}", "problem": problem}


def _count(file: Path, kind: str) -> int:
    """Lines with an event, near enough for a progress bar."""
    with file.open("rb") as raw:
        lines = sum(1 for line in _nonempty(raw))
    return lines - (1 if kind == "csv" else 0)


def _nonempty(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (line for line in lines if line.strip())
