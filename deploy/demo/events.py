"""A row of flights.csv as an event, by the demo's rules: pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from schemas.values.json_text import JsonObject
from schemas.values.time_zones import parse_zone

ZONE: Final = parse_zone("America/New_York")
NONE: Final = ("", "NA")
"""What the file writes where it has no value: it comes from R, so NA."""
_TEXTS: Final = ("tailnum", "origin", "dest")
_NUMBERS: Final = ("flight", "distance", "air_time", "dep_delay")
_WHOLE: Final = re.compile(r"-?(0|[1-9]\d*)")


def event(row: Mapping[str, str]) -> JsonObject:
    """The event of one scheduled departure, ready for JSON. Raises ValueError for a row that breaks the file's form."""
    return {
        "event_name": "flight_cancelled" if row["dep_time"] in NONE else "flight_departed",
        "account_id": row["carrier"],
        "idempotency_key": "-".join(
            row[name] for name in ("year", "month", "day", "carrier", "flight", "origin", "sched_dep_time")
        ),
        "timestamp": scheduled(row).isoformat(),
        "properties": properties(row),
    }


def scheduled(row: Mapping[str, str]) -> datetime:
    """The scheduled departure minute, in New York's time (hmm or hhmm in the file)."""
    clock = int(row["sched_dep_time"])
    year, month, day = (int(row[name]) for name in ("year", "month", "day"))
    return datetime(year, month, day, clock // 100, clock % 100, tzinfo=ZONE)


def properties(row: Mapping[str, str]) -> JsonObject:
    """What is billed; absent where the file has none. Numbers go out with the file's own digits."""
    values: JsonObject = {name: row[name] for name in _TEXTS if row[name] not in NONE}
    for name in _NUMBERS:
        if row[name] not in NONE:
            values[name] = _number(name, row[name])
    return values


def _number(name: str, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{name} is {text!r}, where the file has whole numbers")
    return int(text)


def encode_batch(events: list[JsonObject]) -> bytes:
    """The body of one batch request."""
    return json.dumps({"events": events}, separators=(",", ":")).encode()
