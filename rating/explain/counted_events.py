"""The events behind a quantity, page by page: those that add up to it, or those that decide it.

The conditions are those of the usage query itself (``rating.usage.render``), so no event shows that did not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from clickhouse_connect.driver.client import Client

from rating.pricing import plain
from rating.usage import UsageQuery, looking_back
from rating.usage.aggregates import has_unique_value
from rating.usage.render import value_key
from rating.usage.usage_conditions import record_conditions
from schemas.catalog.meters import Aggregation
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import at_events, position_below
from schemas.errors import WeirError
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import instant, rfc3339
from schemas.values.json_text import JsonObject, exact

MAX_LIMIT: Final = 1000

RULES: Final[Mapping[Aggregation, str]] = {
    "sum": "the sum of the events' quantities",
    "count": "the number of events, each counting 1",
    "count_unique": "the number of distinct values; the first event of each value is shown, counting 1",
    "max": "the greatest value; the events that have it are shown",
    "min": "the least value; the events that have it are shown",
    "latest": "the value of the event with the greatest (timestamp, idempotency key), which is shown",
}
COUNTING: Final = frozenset({"count", "count_unique"})
_POSITION: Final = "generation, partition, offset, `index`"
_ORDER: Final = f"us, {_POSITION}, profile_version"
_CURSOR: Final = re.compile(r"-?\d{1,18}(_\d{1,18}){5}", re.ASCII)  # each within Int64
_SETTINGS: Final = "SETTINGS do_not_merge_across_partitions_select_final = 1"


class BadEventsCursor(WeirError, ValueError):
    """A cursor that no page of events has given; take ``next_cursor`` of the page before."""


@dataclass(frozen=True, slots=True)
class ExplainedEvent:
    """One event with what it gives to the quantity. ``value``: canonical JSON for count_unique, else empty."""

    us: int
    position: tuple[int, int, int, int]
    profile_version: int
    quantity: Decimal
    value: str
    dimensions: str
    appended_us: int
    event_name: str
    source: str
    idempotency_key: str
    properties: str

    def to_json(self, zone: ZoneInfo) -> JsonObject:
        """Ready for msgspec.json.encode; ``properties`` stand as the client sent them, to the digit."""
        generation, partition, offset, index = self.position
        return {
            "idempotency_key": self.idempotency_key,
            "source": self.source,
            "event_name": self.event_name,
            "timestamp": rfc3339(self.us),
            "local_time": instant(self.us).astimezone(zone).isoformat(),
            "quantity": plain(self.quantity),
            "value": _raw(self.value) if self.value else None,
            "dimensions": _raw(self.dimensions or "{}"),
            "profile_version": self.profile_version,
            "position": {"generation": generation, "partition": partition, "offset": offset, "index": index},
            "appended_at": rfc3339(self.appended_us),
            "properties": _raw(self.properties),
        }


@dataclass(frozen=True, slots=True)
class EventsPage:
    """Events in order of timestamp and position; ``next_cursor`` leads to the next page, None at the end."""

    events: tuple[ExplainedEvent, ...]
    next_cursor: str | None

    def to_json(self, zone: ZoneInfo) -> JsonObject:
        """Ready for msgspec.json.encode."""
        return {"events": [event.to_json(zone) for event in self.events], "next_cursor": self.next_cursor}


def read_events(
    client: Client,
    query: UsageQuery,
    *,
    cursor: str | None = None,
    limit: int = 100,
    beyond: Cut | None = None,
    everything: bool = False,
) -> EventsPage:
    """A page of the events that make up or decide the total of ``query`` (one account), at most MAX_LIMIT. Blocking.

    ``everything``: all that were considered, also where few decide. ``beyond``: only those beyond that cut, all of
    them. Raises BadEventsCursor.
    """
    bind = Binder()
    sql = _selection(query, bind, beyond, everything or beyond is not None)
    keep = "1"
    if cursor is not None:
        bounds = _cursor_bounds(cursor)
        bound = ", ".join(bind(f"after_{number}", "Int64", bound) for number, bound in enumerate(bounds))
        keep = f"({_ORDER}) > ({bound})"
    most = min(max(limit, 1), MAX_LIMIT)
    rows = client.query(
        f"SELECT us, {_POSITION}, profile_version, toString(quantity), unique_value, toString(dimensions),"
        f" toUnixTimestamp64Milli(append_time) FROM ({sql}) WHERE {keep}"
        f" ORDER BY {_ORDER} LIMIT {bind('limit', 'UInt32', most + 1)} {_SETTINGS}",
        parameters=bind.parameters,
    ).result_rows
    page = rows[:most]
    events = _with_content(client, query, page)
    following = "_".join(str(part) for part in page[-1][:6]) if len(rows) > most else None
    return EventsPage(tuple(events), following)


def count_events(client: Client, query: UsageQuery, *, beyond: Cut | None = None, everything: bool = False) -> int:
    """How many events all pages of ``read_events`` have together. Blocking."""
    bind = Binder()
    sql = _selection(query, bind, beyond, everything or beyond is not None)
    rows = client.query(f"SELECT count() FROM ({sql}) {_SETTINGS}", parameters=bind.parameters).result_rows
    return int(rows[0][0])


def _selection(query: UsageQuery, bind: Binder, beyond: Cut | None, everything: bool) -> str:
    """The records that are to be shown, as a SELECT with ``us``, the instant in microseconds."""
    # What is carried over may be decided by an event before the period.
    conditions = record_conditions(looking_back(query) if query.profile.carry_over else query, bind)
    if beyond is not None:
        conditions.append(f"NOT {position_below(beyond.offsets, bind, 'after')}")
    groups = [
        value_key(f"JSONExtractRaw(dimensions, {bind(f'group_{number}', 'String', name)})")
        for number, name in enumerate(query.dimensions)
    ]
    records = (
        f"SELECT *, toUnixTimestamp64Micro(timestamp) AS us FROM usage_records FINAL WHERE {' AND '.join(conditions)}"
    )
    aggregation = query.profile.aggregation
    if everything:
        return records
    if aggregation == "count_unique":
        valued = has_unique_value(query.profile, bind)
        return f"{records} AND {valued} ORDER BY {_ORDER} LIMIT 1 BY {', '.join([*groups, 'unique_value'])}"
    if aggregation in ("max", "min"):
        over = f"PARTITION BY {', '.join(groups)}" if groups else ""
        bounded = f"SELECT *, {aggregation}(quantity) OVER ({over}) AS bound FROM ({records})"
        return f"SELECT * FROM ({bounded}) WHERE quantity = bound"
    if aggregation == "latest":
        by = f"BY {', '.join(groups)}" if groups else ""
        # After the value that the query takes, the position: two sources may have used one key at one instant.
        return f"{records} ORDER BY timestamp DESC, unique_value DESC, quantity DESC, {_POSITION} LIMIT 1 {by}"
    return records


def _cursor_bounds(cursor: str) -> list[int]:
    """The values of ``_ORDER`` of the event before the page. Raises BadEventsCursor."""
    if _CURSOR.fullmatch(cursor) is None:
        raise BadEventsCursor(f"{cursor[:40]!r} is no cursor of these events; take next_cursor of the page before")
    return [int(part) for part in cursor.split("_")]


def _with_content(client: Client, query: UsageQuery, rows: Sequence[Sequence[Any]]) -> list[ExplainedEvent]:
    """The records with the names, keys and properties of their events."""
    if not rows:
        return []
    bind = Binder()
    positions = [(int(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in rows]
    event_rows = client.query(
        f"SELECT {_POSITION}, toString(event_name), toString(source), idempotency_key, properties"
        " FROM usage_events FINAL"
        f" WHERE namespace = {bind('namespace', 'String', query.namespace)}"
        f" AND account_id IN {bind('accounts', 'Array(String)', list(query.accounts or ()))}"
        f" AND timestamp >= {bind.instant('first', min(row[0] for row in rows))}"
        f" AND timestamp <= {bind.instant('last', max(row[0] for row in rows))}"
        f" AND {at_events(positions, bind)} {_SETTINGS}",
        parameters=bind.parameters,
    ).result_rows
    contents = {tuple(map(int, row[:4])): row[4:] for row in event_rows}
    counting = query.profile.aggregation in COUNTING
    events = []
    for us, generation, partition, offset, index, version, quantity, value, dimensions, appended_ms in rows:
        position = (int(generation), int(partition), int(offset), int(index))
        name, source, key, properties = contents.get(position, ("", "", "", "{}"))
        shown = value if query.profile.aggregation == "count_unique" else ""
        events.append(
            ExplainedEvent(
                int(us),
                position,
                int(version),
                Decimal(1) if counting else Decimal(quantity),
                shown,
                dimensions,
                int(appended_ms) * 1000,
                name,
                source,
                key,
                properties,
            )
        )
    return events


def _raw(text: str) -> msgspec.Raw | str:
    """JSON text that is encoded as it stands; what is no JSON (written past acceptance) as a string."""
    try:
        exact(text)
    except ValueError:
        return text
    return msgspec.Raw(text.encode())
