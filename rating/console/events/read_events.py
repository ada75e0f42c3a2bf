"""Reads the events that came last, one with what counted it, and how many were refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import EVENT
from schemas.events.identity import identity
from schemas.values.instants import DAY

EVENTS_SHOWN: Final = 50
_REACHES: Final = (DAY // 24, DAY, 30 * DAY)
"""How far back from now it is looked for, one after another, microseconds: tables are kept by day of arrival."""
_COLUMNS: Final = (
    "idempotency_key, source, toString(event_name), account_id, toUnixTimestamp64Micro(timestamp), properties,"
    " arrayMap(name -> toString(name), arrayDistinct(match_profile_ids)),"
    " arrayMap(name -> toString(name), unmeterable_profile_ids),"
    " arrayMap(reason -> toString(reason), unmeterable_reasons), toUnixTimestamp64Milli(append_time),"
    f" {EVENT} IN (SELECT {EVENT} FROM voided_events WHERE namespace = {{n:String}})"
)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; "" for any."""

    account_id: str = ""
    event_name: str = ""


@dataclass(frozen=True, slots=True)
class MeteredEvent:
    """An event that was not refused. ``us``: its own time, microseconds UTC; ``received_ms``: when the log took it,
    milliseconds UTC. ``profiles``: those that counted it; ``unmeterable``: (profile, reason) of those that would have,
    and could not measure it. ``catalog_offset``: of the catalog that it was metered by, where it was asked for."""

    idempotency_key: str
    source: str
    event_name: str
    account_id: str
    us: int
    properties: str
    profiles: tuple[str, ...]
    unmeterable: tuple[tuple[str, str], ...]
    received_ms: int
    voided: bool
    catalog_offset: int = 0


def recent_events(client: Client, namespace: str, criteria: EventFilter, now_us: int) -> list[MeteredEvent]:
    """The events that came last, the newest first, at most EVENTS_SHOWN: of the last hour, where there is none of the
    last day, else of the last 30 days. Blocking."""
    for reach in _REACHES:
        events = _since(client, namespace, criteria, now_us - reach)
        if events:
            return events
    return []


def _since(client: Client, namespace: str, criteria: EventFilter, since_us: int) -> list[MeteredEvent]:
    bind = Binder()
    conditions = [
        f"namespace = {bind('n', 'String', namespace)}",
        f"append_time >= fromUnixTimestamp64Milli({bind('since', 'Int64', since_us // 1000)}, 'UTC')",
    ]
    if criteria.account_id:
        conditions.append(f"account_id = {bind('account', 'String', criteria.account_id)}")
    if criteria.event_name:
        conditions.append(f"event_name = {bind('name', 'String', criteria.event_name)}")
    where, most = " AND ".join(conditions), bind("most", "UInt32", EVENTS_SHOWN)
    # First their places, then what stands there: properties are read of few.
    key = f"account_id, event_name, timestamp, {EVENT.strip('()')}"
    newest = "append_time DESC, partition, offset DESC, `index` DESC"
    places = f"SELECT {key} FROM usage_events WHERE {where} ORDER BY {newest} LIMIT {most}"
    rows = client.query(
        f"SELECT {_COLUMNS} FROM usage_events FINAL WHERE {where} AND ({key}) IN ({places}) ORDER BY {newest}",
        parameters=bind.parameters,
    ).result_rows
    return [_event(row) for row in rows]


def event_with_matches(client: Client, namespace: str, source: str, idempotency_key: str) -> MeteredEvent | None:
    """The copy of the key that counted last, None for none. Blocking."""
    rows = client.query(
        f"SELECT {_COLUMNS}, generation, partition, offset FROM usage_events FINAL"
        " WHERE namespace = {n:String} AND identity = CAST(unhex({id:String}) AS FixedString(16))"
        " ORDER BY generation DESC, offset DESC, `index` DESC LIMIT 1",
        parameters={"n": namespace, "id": identity(namespace, source, idempotency_key).hex()},
    ).result_rows
    if not rows:
        return None
    *of_event, generation, partition, offset = rows[0]
    batches = client.query(
        "SELECT catalog_offset FROM usage_batches FINAL WHERE namespace = {n:String}"
        " AND generation = {g:UInt32} AND partition = {p:UInt32} AND offset = {o:UInt64} LIMIT 1",
        parameters={"n": namespace, "g": generation, "p": partition, "o": offset},
    ).result_rows
    return _event(of_event, int(batches[0][0]) if batches else 0)


def refused_since(client: Client, namespace: str, since_us: int) -> int:
    """Events that were refused from an instant on, microseconds UTC, replayed ones too. Blocking."""
    rows = client.query(
        "SELECT sum(events) FROM rejected_events FINAL WHERE namespace = {n:String} AND stage != 'replay'"
        " AND received_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')",
        parameters={"n": namespace, "since": since_us},
    ).result_rows
    return int(rows[0][0] or 0)


def _event(row: Sequence[Any], catalog_offset: int = 0) -> MeteredEvent:
    key, source, name, account, us, properties, profiles, lacking, reasons, received_ms, voided = row
    unmeterable = tuple(zip(lacking, reasons, strict=True))
    return MeteredEvent(
        key, source, name, account, int(us), properties, tuple(profiles), unmeterable, int(received_ms), bool(voided),
        catalog_offset,
    )  # fmt: skip
