"""Files of events: NDJSON as it is, CSV by column names. Pure but for reading the file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from schemas.errors import WeirError
from schemas.values.json_text import exact

EventDocument = dict[str, Any]
FileFormat = Literal["ndjson", "csv"]
FORMATS: Final[tuple[FileFormat, ...]] = ("ndjson", "csv")
EVENT_COLUMNS: Final = ("event_name", "account_id", "timestamp", "idempotency_key", "source")


class FileError(WeirError, ValueError):
    """The file is not what it should be; the message names the line and the remedy."""


def format_of(path: Path) -> FileFormat:
    """The format that a file's name tells. Raises FileError."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return "csv"
    if suffix in (".ndjson", ".jsonl", ".json"):
        return "ndjson"
    raise FileError(f"{path}: neither .csv nor .ndjson; say which with --format")


def read_events(lines: Iterable[str], kind: FileFormat) -> Iterator[tuple[int, EventDocument]]:
    """(line number, event) of each event; numbers are int or Decimal, so none is rounded. Raises FileError."""
    return _read_csv(lines) if kind == "csv" else _read_ndjson(lines)


def _read_ndjson(lines: Iterable[str]) -> Iterator[tuple[int, EventDocument]]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        try:
            event = exact(text)
        except ValueError as error:
            raise FileError(f"line {number}: not JSON: {error}") from None
        if not isinstance(event, dict):
            raise FileError(f"line {number}: not a JSON object; write one event a line")
        yield number, event


def _read_csv(lines: Iterable[str]) -> Iterator[tuple[int, EventDocument]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise FileError("line 1: the file is empty; its first line names the columns")
        columns = [name.strip().removeprefix("\ufeff") for name in header]
        if doubled := {name for name in columns if columns.count(name) > 1}:
            raise FileError(f"line 1: column {min(doubled)} stands twice; name each once")
        if "event_name" not in columns:
            raise FileError(f"line 1: no column event_name among {', '.join(columns)}")
        for values in reader:
            if not values:
                continue
            if len(values) != len(columns):
                raise FileError(f"line {reader.line_num}: {len(values)} values for {len(columns)} columns")
            yield reader.line_num, event_of_row(dict(zip(columns, values, strict=True)))
    except csv.Error as error:
        raise FileError(f"line {reader.line_num}: not CSV: {error}") from None


def event_of_row(row: Mapping[str, str]) -> EventDocument:
    """The event of a row. An empty cell is absent; a property stays text, and a numeric text aggregates as a number."""
    event: EventDocument = {name: row[name] for name in EVENT_COLUMNS if row.get(name)}
    event["properties"] = {name: value for name, value in row.items() if name not in EVENT_COLUMNS and value != ""}
    return event


def batches(
    events: Iterable[tuple[int, EventDocument]], size: int = 100
) -> Iterator[tuple[list[int], list[Mapping[str, Any]]]]:
    """(line numbers, events) of up to ``size`` events each."""
    numbers: list[int] = []
    batch: list[Mapping[str, Any]] = []
    for number, event in events:
        numbers.append(number)
        batch.append(event)
        if len(batch) == size:
            yield numbers, batch
            numbers, batch = [], []
    if batch:
        yield numbers, batch
