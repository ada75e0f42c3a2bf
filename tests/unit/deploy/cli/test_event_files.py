"""Files of events: what becomes of each line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from deploy.cli.events.event_files import FileError, batches, format_of, read_events


def test_csv_columns_become_fields_and_properties_and_empty_cells_are_absent() -> None:
    lines = [
        "event_name,account_id,idempotency_key,bytes,country\n",
        "call,a1,k1,12.50,\n",
        "\n",
        'call,a1,,"1,5",US\n',
    ]
    assert list(read_events(lines, "csv")) == [
        (2, {"event_name": "call", "account_id": "a1", "idempotency_key": "k1", "properties": {"bytes": "12.50"}}),
        (4, {"event_name": "call", "account_id": "a1", "properties": {"bytes": "1,5", "country": "US"}}),
    ]


def test_ndjson_numbers_keep_their_digits() -> None:
    lines = ['{"event_name": "call", "properties": {"n": 0.10000000000000000000001}}\n', "\n"]
    [(number, event)] = read_events(lines, "ndjson")
    assert number == 1
    assert event["properties"]["n"] == Decimal("0.10000000000000000000001")


@pytest.mark.parametrize(
    ("kind", "lines", "message"),
    [
        ("csv", [], "line 1: the file is empty"),
        ("csv", ["account_id\n", "a\n"], "line 1: no column event_name"),
        ("csv", ["event_name,a,a\n"], "column a stands twice"),
        ("csv", ["event_name,a\n", "x\n"], "line 2: 1 values for 2 columns"),
        ("csv", ["event_name,a\n", 'x,"y\n'], "line 2: not CSV"),
        ("ndjson", ["{}\n", "[]\n"], "line 2: not a JSON object"),
        ("ndjson", ["{\n"], "line 1: not JSON"),
    ],
)
def test_what_is_wrong_is_told_by_its_line(kind: str, lines: list[str], message: str) -> None:
    with pytest.raises(FileError, match=message):
        list(read_events(lines, kind))


def test_batches_hold_everything_once_in_order() -> None:
    events = [(number, {"event_name": str(number)}) for number in range(1, 252)]
    result = list(batches(events))
    assert [len(item) for _, item in result] == [100, 100, 51]
    assert [number for numbers, _ in result for number in numbers] == list(range(1, 252))


def test_format_is_known_by_the_name() -> None:
    assert (format_of(Path("a.CSV")), format_of(Path("b.jsonl"))) == ("csv", "ndjson")
    with pytest.raises(FileError, match="--format"):
        format_of(Path("c.txt"))
