"""Voided events as ClickHouse has them: the list, newest void first, what one void did, and an event that might be
voided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from rating.invoices.lists import BadCursor
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import at_record
from schemas.events.identity import identity
from schemas.events.voids import WITHOUT_EFFECT
from schemas.ledgers.checkpoints import read_progress
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

MAX_LIMIT: Final = 1000
VOIDED: Final = "voided"

VoidPosition = tuple[int, int, int]
"""(generation, partition, offset)"""

_COLUMNS: Final = (
    "toUnixTimestamp64Milli(void_append_time) AS voided_ms, void_generation, void_partition, void_offset, account_id,"
    " toString(event_name), toUnixTimestamp64Micro(timestamp), source, idempotency_key, match_profile_ids,"
    " generation, partition, offset, `index`, reason, author"
)
_CURSOR: Final = re.compile(r"\d{1,18}(_\d{1,18}){3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class UncountedEvent:
    """An event that counts no longer. Instants are microseconds UTC; ``profiles``: those that had measured it."""

    account_id: str
    event_name: str
    timestamp_us: int
    source: str
    idempotency_key: str
    profiles: tuple[str, ...]
    position: tuple[int, int, int, int]
    void: VoidPosition
    voided_us: int
    reason: str
    author: str

    def to_json(self) -> JsonObject:
        """Ready for json.dumps."""
        generation, partition, offset, index = self.position
        return {
            "idempotency_key": self.idempotency_key,
            "source": self.source,
            "event_name": self.event_name,
            "account_id": self.account_id,
            "timestamp": rfc3339(self.timestamp_us),
            "profiles": list(self.profiles),
            "reason": self.reason,
            "author": self.author,
            "voided_at": rfc3339(self.voided_us),
            "position": {"generation": generation, "partition": partition, "offset": offset, "index": index},
            "void": dict(zip(("generation", "partition", "offset"), self.void, strict=True)),
        }


@dataclass(frozen=True, slots=True)
class VoidOutcome:
    """What a void did: ``what`` is ``voided``, or why it did nothing (``schemas.events.voids.WITHOUT_EFFECT``) with a
    sentence."""

    what: str
    event: UncountedEvent | None = None
    detail: str = ""

    def to_json(self) -> JsonObject:
        """Ready for json.dumps."""
        event = None if self.event is None else self.event.to_json()
        return {"outcome": self.what, "detail": self.detail, "event": event}


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A counted event; ``timestamp_us``: microseconds UTC; ``properties`` are JSON text as the client sent it."""

    event_name: str
    account_id: str
    timestamp_us: int
    properties: str
    voided: bool

    def to_json(self) -> JsonObject:
        """Ready for msgspec.json.encode; ``properties`` stand as the client sent them, to the digit."""
        return {
            "event_name": self.event_name,
            "account_id": self.account_id,
            "timestamp": rfc3339(self.timestamp_us),
            "properties": msgspec.Raw(self.properties.encode()),
            "voided": self.voided,
        }


def list_voided(
    client: Client, namespace: str, *, account_id: str | None = None, cursor: str | None = None, limit: int = 100
) -> tuple[list[UncountedEvent], str | None]:
    """A page, newest void first, and the cursor of the next one (None at the end). Raises BadCursor. Blocking."""
    bind = Binder()
    conditions = [f"namespace = {bind('namespace', 'String', namespace)}"]
    if account_id is not None:
        conditions.append(f"account_id = {bind('account', 'String', account_id)}")
    order = "voided_ms, void_generation, void_partition, void_offset"
    if cursor is not None:
        if _CURSOR.fullmatch(cursor) is None:
            raise BadCursor(f"{cursor[:40]!r} is no cursor of this list; take next_cursor of the page before")
        places = [bind(f"after_{number}", "Int64", int(part)) for number, part in enumerate(cursor.split("_"))]
        conditions.append(f"({order}) < ({', '.join(places)})")
    most = min(max(limit, 1), MAX_LIMIT)
    descending = order.replace(",", " DESC,") + " DESC"
    rows = client.query(
        f"SELECT {_COLUMNS} FROM voided_events FINAL WHERE {' AND '.join(conditions)}"
        f" ORDER BY {descending} LIMIT {bind('limit', 'UInt32', most + 1)}",
        parameters=bind.parameters,
    ).result_rows
    following = "_".join(str(part) for part in rows[most - 1][:4]) if len(rows) > most else None
    return [_event(row) for row in rows[:most]], following


def outcome_of(client: Client, namespace: str, void: VoidPosition) -> VoidOutcome | None:
    """What the void at a position did; None while it is not metered, and where there is none. Blocking."""
    if read_progress(client).get(void[:2], 0) <= void[2]:
        return None
    bind = Binder()
    of_namespace = f"namespace = {bind('namespace', 'String', namespace)}"
    rows = client.query(
        f"SELECT {_COLUMNS} FROM voided_events FINAL WHERE {of_namespace} AND {at_record(void, bind, prefix='void_')}",
        parameters=bind.parameters,
    ).result_rows
    if rows:
        return VoidOutcome(VOIDED, _event(rows[0]))
    # By way of usage.rejected, a moment after the cursor.
    rows = client.query(
        f"SELECT toString(reason), detail FROM rejected_events FINAL WHERE {of_namespace} AND stage = 'meter'"
        f" AND reason IN {bind('reasons', 'Array(String)', list(WITHOUT_EFFECT))}"
        f" AND {at_record(void, bind, prefix='origin_')}",
        parameters=bind.parameters,
    ).result_rows
    return VoidOutcome(rows[0][0], None, rows[0][1]) if rows else None


def stored_event(client: Client, namespace: str, source: str, idempotency_key: str) -> StoredEvent | None:
    """The copy of the key that counted last, None for none. Blocking."""
    name = identity(namespace, source, idempotency_key).hex()
    rows = client.query(
        "SELECT toString(event_name), account_id, toUnixTimestamp64Micro(timestamp), properties,"
        " (generation, partition, offset, `index`) IN (SELECT generation, partition, offset, `index` FROM voided_events"
        " WHERE namespace = {n:String}) FROM usage_events FINAL"
        " WHERE namespace = {n:String} AND identity = CAST(unhex({id:String}) AS FixedString(16))"
        " ORDER BY generation DESC, offset DESC, `index` DESC LIMIT 1",
        parameters={"n": namespace, "id": name},
    ).result_rows
    if not rows:
        return None
    event_name, account, us, properties, voided = rows[0]
    return StoredEvent(event_name, account, int(us), properties, bool(voided))


def _event(row: Sequence[Any]) -> UncountedEvent:
    """The voided event that a row of ``_COLUMNS`` tells of."""
    voided_ms, *void = row[:4]
    account, name, us, source, key, profiles = row[4:10]
    generation, partition, offset, index, reason, author = row[10:]
    return UncountedEvent(
        account_id=account,
        event_name=name,
        timestamp_us=int(us),
        source=source,
        idempotency_key=key,
        profiles=tuple(profiles),
        position=(int(generation), int(partition), int(offset), int(index)),
        void=(int(void[0]), int(void[1]), int(void[2])),
        voided_us=int(voided_ms) * 1000,
        reason=reason,
        author=author,
    )
