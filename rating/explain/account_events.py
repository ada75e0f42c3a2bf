"""The events of one account that stand: by pages, and all of a time in one go. Blocking."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from rating.explain.counted_events import BadEventsCursor
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import EVENT
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

MOST_OF_PAGE: Final = 1_000
MOST_ROWS: Final = 1_000_000
"""Events that one document has."""
COLUMNS: Final = ("timestamp", "event_name", "idempotency_key", "source", "properties")
_POSITION: Final = EVENT.strip("()")
_CURSOR: Final = re.compile(r"-?\d{1,18}(_\d{1,18}){4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AccountSpan:
    """Events of an account whose own time lies in [``start_us``, ``end_us``), microseconds UTC."""

    namespace: str
    account_id: str
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """An event as it was sent; ``us``: its own time; ``place``: what the next page begins behind."""

    us: int
    event_name: str
    idempotency_key: str
    source: str
    properties: str
    place: str = ""

    def cells(self) -> tuple[str, ...]:
        """In the order of COLUMNS."""
        return rfc3339(self.us), self.event_name, self.idempotency_key, self.source, self.properties

    def to_json(self) -> JsonObject:
        """By the names of COLUMNS; properties are still text."""
        return dict(zip(COLUMNS, self.cells(), strict=True))


def events_of_account(
    client: Client, span: AccountSpan, cursor: str | None, limit: int
) -> tuple[list[AccountEvent], str | None]:
    """A page in order of time, MOST_OF_PAGE at most, and the next one's cursor. Raises BadEventsCursor."""
    bind = Binder()
    behind = ""
    if cursor is not None:
        if _CURSOR.fullmatch(cursor) is None:
            raise BadEventsCursor(f"{cursor[:40]!r} is no cursor of these events; take next_cursor of the page before")
        bounds = ", ".join(bind(f"c{n}", "Int64", int(part)) for n, part in enumerate(cursor.split("_")))
        behind = f" AND (toUnixTimestamp64Micro(timestamp), {_POSITION}) > ({bounds})"
    most = min(max(limit, 1), MOST_OF_PAGE)
    sql = f"{_selection(span, bind)}{behind} ORDER BY timestamp, {_POSITION} LIMIT {bind('most', 'UInt32', most + 1)}"
    events = [_event(row) for row in client.query(sql, parameters=bind.parameters).result_rows]
    return events[:most], events[most - 1].place if len(events) > most else None


def all_events(client: Client, span: AccountSpan) -> Iterator[list[AccountEvent]]:
    """All of the time, in its order, few in memory at once; MOST_ROWS + 1 at most, which says that there are more."""
    bind = Binder()
    sql = f"{_selection(span, bind)} ORDER BY timestamp, {_POSITION} LIMIT {bind('most', 'UInt32', MOST_ROWS + 1)}"
    with client.query_row_block_stream(sql, parameters=bind.parameters) as blocks:
        for block in blocks:
            yield [_event(row) for row in block]


def _selection(span: AccountSpan, bind: Binder) -> str:
    namespace = bind("namespace", "String", span.namespace)
    return (
        "SELECT toUnixTimestamp64Micro(timestamp), toString(event_name), idempotency_key, toString(source), properties,"
        f" {_POSITION} FROM usage_events FINAL"
        f" WHERE namespace = {namespace} AND account_id = {bind('account', 'String', span.account_id)}"
        f" AND timestamp >= {bind.instant('start', span.start_us)} AND timestamp < {bind.instant('end', span.end_us)}"
        f" AND {EVENT} NOT IN (SELECT {EVENT} FROM voided_events WHERE namespace = {namespace})"
    )


def _event(row: Sequence[Any]) -> AccountEvent:
    us, name, key, source, properties, *position = row
    return AccountEvent(int(us), name, key, source, properties, "_".join(str(int(part)) for part in (us, *position)))
