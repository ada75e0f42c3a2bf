"""Events that had counted as of one checkpoint and were voided as of a later one: what an adjustment takes off."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from clickhouse_connect.driver.client import Client

from rating.explain.counted_events import COUNTING
from rating.pricing import plain
from rating.usage import UsageQuery, looking_back
from rating.usage.usage_conditions import conditions_with_voided
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import position_below
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import instant, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

_POSITION: Final = "generation, partition, offset, `index`"
_SETTINGS: Final = "SETTINGS do_not_merge_across_partitions_select_final = 1"


def voided_since(
    client: Client, query: UsageQuery, earlier_cut: Cut, zone: ZoneInfo, *, limit: int = 100
) -> JsonObject:
    """Events voided between the cuts, as JSON: how many (``count``), and the first ``limit`` of them by time
    (``events``).
    ``query``: one account's, as of the later cut. Blocking."""
    bind = Binder()
    counted_query = looking_back(query) if query.profile.carry_over else query
    records = " AND ".join(conditions_with_voided(replace(counted_query, as_of=earlier_cut), bind))
    until = "" if query.as_of is None else f" AND {position_below(query.as_of.offsets, bind, 'until', 'void_')}"
    rows = client.query(
        f"SELECT toUnixTimestamp64Micro(records.timestamp) AS us, {_POSITION}, toString(quantity),"
        " voids.idempotency_key, voids.source, voids.name, voids.reason, voids.author,"
        " toUnixTimestamp64Milli(voids.void_append_time), count() OVER ()"
        f" FROM (SELECT * FROM usage_records FINAL WHERE {records}) AS records ANY INNER JOIN ("
        f"SELECT {_POSITION}, idempotency_key, source, toString(event_name) AS name, reason, author, void_append_time"
        f" FROM voided_events FINAL WHERE namespace = {bind('namespace', 'String', query.namespace)}"
        f" AND NOT {position_below(earlier_cut.offsets, bind, prefix='void_')}{until}) AS voids USING ({_POSITION})"
        f" ORDER BY us, {_POSITION} LIMIT {bind('limit', 'UInt32', limit)} {_SETTINGS}",
        parameters=bind.parameters,
    ).result_rows
    counting = query.profile.aggregation in COUNTING
    events = []
    for us, generation, partition, offset, index, quantity, key, source, name, reason, author, voided_ms, _ in rows:
        events.append(
            {
                "idempotency_key": key,
                "source": source,
                "event_name": name,
                "timestamp": rfc3339(int(us)),
                "local_time": instant(int(us)).astimezone(zone).isoformat(),
                "quantity": "1" if counting else plain(Decimal(quantity)),
                "position": {"generation": generation, "partition": partition, "offset": offset, "index": index},
                "voided_at": rfc3339(int(voided_ms) * 1000),
                "reason": reason,
                "author": author,
            }
        )
    return {"count": int(rows[0][-1]) if rows else 0, "events": events}
