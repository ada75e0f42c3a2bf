"""What is queued and what came of it, in ClickHouse: the tables of migration 015. Blocking; a client belongs to one
thread.

A delivery is queued here before the position moves past its version, and its outcome is written after the receiver
answered. So a process that dies leaves nothing out, and sends again at most what it had not written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from rating.webhooks.queue import QueuedDelivery
from schemas.values.json_text import JsonObject

DELIVERIES: Final = "webhook_deliveries"
_INSTANTS: Final = ("appended_at", "queued_at", "first_at", "last_at", "next_at", "refused_at")
_COLUMNS: Final = (
    "namespace, message_id, replay, invoice_id, version, type,"
    " toUnixTimestamp64Micro(appended_at) AS appended_us, toUnixTimestamp64Micro(queued_at) AS queued_us,"
    " state, attempts,"
    " toUnixTimestamp64Micro(first_at) AS first_us, toUnixTimestamp64Micro(last_at) AS last_us,"
    " toUnixTimestamp64Micro(next_at) AS next_us, status,"
    " toUnixTimestamp64Micro(refused_at) AS refused_us, refused_status, error, webhook"
)


def write(client: Client, deliveries: Sequence[QueuedDelivery]) -> None:
    """Insert deliveries, new ones or with their outcome; durable on return. Written again, they are the same rows."""
    if deliveries:
        client.insert_arrow(DELIVERIES, _table(deliveries))


def waiting_deliveries(client: Client, namespace: str | None = None, replay: str | None = None) -> list[QueuedDelivery]:
    """Deliveries that wait, of a namespace or a replay if given, in the order in which they are sent."""
    conditions, parameters = ["state = 'waiting'"], dict[str, object]()
    for name, value in (("namespace", namespace), ("replay", replay)):
        if value is not None:
            conditions.append(f"{name} = {{{name}:String}}")
            parameters[name] = value
    return _read(client, f"{' AND '.join(conditions)} ORDER BY queued_us, invoice_id, version, webhook", parameters)


def ended_messages(client: Client, deliveries: Iterable[QueuedDelivery]) -> set[tuple[str, str, str]]:
    """(namespace, webhook, message id) of those first deliveries that were delivered or given up."""
    by_namespace: dict[str, list[str]] = {}
    for delivery in deliveries:
        by_namespace.setdefault(delivery.namespace, []).append(delivery.message_id)
    ended: set[tuple[str, str, str]] = set()
    for namespace, names in by_namespace.items():
        rows = client.query(
            f"SELECT DISTINCT webhook, message_id FROM {DELIVERIES} WHERE namespace = {{namespace:String}}"
            " AND message_id IN {names:Array(String)} AND replay = '' AND state != 'waiting'",
            parameters={"namespace": namespace, "names": names},
        ).result_rows
        ended |= {(namespace, str(webhook), str(name)) for webhook, name in rows}
    return ended


def given_up_deliveries(client: Client, namespace: str) -> list[QueuedDelivery]:
    """One delivery of each message to each webhook that was given up and neither waits nor was delivered by a replay,
    in the order of sending."""
    alive = (
        f"SELECT webhook, message_id FROM {DELIVERIES} FINAL"
        " WHERE namespace = {namespace:String} AND state != 'given_up'"
    )
    condition = (
        f"namespace = {{namespace:String}} AND state = 'given_up' AND (webhook, message_id) NOT IN ({alive})"
        " ORDER BY appended_us, invoice_id, version LIMIT 1 BY webhook, message_id"
    )
    return _read(client, condition, {"namespace": namespace})


def list_deliveries(
    client: Client,
    namespace: str,
    *,
    state: str | None = None,
    page_end: tuple[int, str, str, str] | None = None,
    limit: int = 50,
) -> list[QueuedDelivery]:
    """Deliveries of a namespace, the newest first; ``page_end``: (queued_us, message_id, replay, webhook) of the last
    one of the page before."""
    conditions, parameters = ["namespace = {namespace:String}"], dict[str, object](namespace=namespace, limit=limit)
    if state is not None:
        conditions.append("state = {state:String}")
        parameters["state"] = state
    if page_end is not None:
        position = "({us:Int64}, {message_id:String}, {replay:String}, {webhook:String})"
        conditions.append(f"(queued_us, message_id, replay, webhook) < {position}")
        parameters |= dict(zip(("us", "message_id", "replay", "webhook"), page_end, strict=True))
    order = "ORDER BY queued_us DESC, message_id DESC, replay DESC, webhook DESC LIMIT {limit:UInt32}"
    return _read(client, f"{' AND '.join(conditions)} {order}", parameters)


@dataclass(frozen=True, slots=True)
class DeliverySummary:
    """Counts of one namespace's messages, each counted once a webhook however often it was replayed: given up is what
    was and has not been delivered since. Instants: microseconds UTC, 0 for none. ``next_us``: of the earliest next
    try."""

    waiting: int
    delivered: int
    given_up: int
    oldest_us: int
    next_us: int
    success: QueuedDelivery | None
    failure: QueuedDelivery | None


def summary(client: Client, namespace: str) -> DeliverySummary:
    """Counts of the namespace's messages by state, with its latest success and failure."""
    parameters: dict[str, object] = {"namespace": namespace}
    (counts,) = client.query(
        "SELECT countIf(open), countIf(NOT open AND taken), countIf(NOT open AND NOT taken),"
        " ifNull(min(oldest_us), 0), ifNull(min(soonest_us), 0) FROM"
        " (SELECT message_id, max(state = 'waiting') AS open,"
        " max(state = 'delivered') AS taken, minOrNullIf(queued_us, state = 'waiting') AS oldest_us,"
        " minOrNullIf(next_us, state = 'waiting') AS soonest_us FROM"
        f" (SELECT {_COLUMNS} FROM {DELIVERIES} FINAL WHERE namespace = {{namespace:String}})"
        " GROUP BY webhook, message_id)",
        parameters=parameters,
    ).result_rows
    condition = "namespace = {namespace:String} AND"
    success = _read(client, f"{condition} state = 'delivered' ORDER BY last_us DESC LIMIT 1", parameters)
    failure = _read(client, f"{condition} refused_us > 0 ORDER BY refused_us DESC LIMIT 1", parameters)
    waits, delivered, given_up, oldest_us, next_us = map(int, counts)
    ends = success[0] if success else None, failure[0] if failure else None
    return DeliverySummary(waits, delivered, given_up, oldest_us, next_us, *ends)


def undelivered(client: Client) -> list[JsonObject]:
    """Of every namespace that has such: how many messages wait, and how many are given up and were not delivered by a
    replay."""
    rows = client.query(
        "SELECT namespace, countIf(open), countIf(lost) FROM"
        " (SELECT namespace, message_id, max(state = 'waiting') AS open,"
        f" NOT open AND max(state = 'delivered') = 0 AS lost FROM {DELIVERIES} FINAL"
        " GROUP BY namespace, webhook, message_id)"
        " WHERE open OR lost GROUP BY namespace ORDER BY namespace"
    ).result_rows
    return [{"namespace": str(name), "waiting": int(waits), "given_up": int(lost)} for name, waits, lost in rows]


def positions(client: Client) -> dict[int, int]:
    """Partition of usage.invoices → next offset below which every version is queued."""
    rows = client.query("SELECT partition, max(next_offset) FROM webhook_progress GROUP BY partition").result_rows
    return {int(partition): int(offset) for partition, offset in rows}


def write_positions(client: Client, offsets: Mapping[int, int], now_us: int) -> None:
    """Write the next offsets by partition; unchanged ones show that a delivering process is alive."""
    columns = {
        "partition": pa.array(list(offsets), pa.uint32()),
        "next_offset": pa.array(list(offsets.values()), pa.uint64()),
        "at": pa.array([now_us] * len(offsets), pa.timestamp("us", "UTC")),
    }
    client.insert_arrow("webhook_progress", pa.table(columns))


def last_alive_us(client: Client) -> int:
    """When a delivering process last wrote its positions, microseconds UTC; 0: never."""
    rows = client.query("SELECT toUnixTimestamp64Micro(max(at)) FROM webhook_progress").result_rows
    return int(rows[0][0])


@dataclass(frozen=True, slots=True)
class Replay:
    """Somebody asked for versions to be sent again; its deliveries are queued already."""

    namespace: str
    replay: str
    asked_us: int


def write_replay(client: Client, replay: Replay, author: str, request: Mapping[str, object], messages: int) -> None:
    """Record a replay, so that the delivering process reads its deliveries. ``request``: its conditions, as JSON
    values."""
    columns = {
        "namespace": pa.array([replay.namespace]),
        "replay": pa.array([replay.replay]),
        "asked_at": pa.array([replay.asked_us], pa.timestamp("us", "UTC")),
        "author": pa.array([author]),
        "asked": pa.array([json.dumps(request)]),
        "messages": pa.array([messages], pa.uint64()),
    }
    client.insert_arrow("webhook_replays", pa.table(columns))


def replays_since(client: Client, since_us: int) -> list[Replay]:
    """Replays that were asked for at or after ``since_us`` (microseconds UTC)."""
    rows = client.query(
        "SELECT namespace, replay, toUnixTimestamp64Micro(asked_at) FROM webhook_replays"
        " WHERE asked_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')",
        parameters={"since": since_us},
    ).result_rows
    return [Replay(str(namespace), str(replay), int(asked_us)) for namespace, replay, asked_us in rows]


def _read(client: Client, condition: str, parameters: dict[str, object]) -> list[QueuedDelivery]:
    rows = client.query(
        f"SELECT {_COLUMNS} FROM {DELIVERIES} FINAL WHERE {condition}", parameters=parameters
    ).result_rows
    return [QueuedDelivery(*row) for row in rows]


def _table(deliveries: Sequence[QueuedDelivery]) -> pa.Table:
    texts = ("namespace", "message_id", "replay", "invoice_id", "type", "state", "error", "webhook")
    numbers = {"version": pa.uint32(), "attempts": pa.uint32(), "step": pa.uint64()}
    numbers |= {"status": pa.uint16(), "refused_status": pa.uint16()}
    columns = {name: pa.array([getattr(delivery, name) for delivery in deliveries], pa.string()) for name in texts}
    columns |= {
        name: pa.array([getattr(delivery, name) for delivery in deliveries], kind) for name, kind in numbers.items()
    }
    for name in _INSTANTS:
        us = [getattr(delivery, name.replace("_at", "_us")) for delivery in deliveries]
        columns[name] = pa.array(us, pa.timestamp("us", "UTC"))
    return pa.table(columns)
