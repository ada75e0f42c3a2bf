"""Whose usage changed between two positions, by what the workers made durable: new events, and voids. Blocking."""

from __future__ import annotations

from collections.abc import Mapping

from clickhouse_connect.driver.client import Client

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import PositionRange, in_ranges
from schemas.ledgers.checkpoints import read_progress
from schemas.ledgers.generations import Offsets

Changed = Mapping[str, int]
"""Account → the earliest instant, by event time, at which its usage changed: microseconds UTC."""


def ranges_between(earlier: Offsets, later: Offsets) -> list[PositionRange]:
    """What lies below ``later`` and not below ``earlier``. Pure."""
    return [
        PositionRange(generation, partition, earlier.get((generation, partition), 0), end)
        for (generation, partition), end in later.items()
        if end > earlier.get((generation, partition), 0)
    ]


def progress_at(client: Client, instant_us: int) -> Offsets:
    """The workers' cursor now, without what was appended at or after an instant (microseconds UTC)."""
    progress = read_progress(client)
    bind = Binder()
    since = f"append_time >= fromUnixTimestamp64Milli({bind('since', 'Int64', instant_us // 1000)})"
    rows = client.query(
        "SELECT generation, partition, min(offset) FROM ("
        f"SELECT generation, partition, offset FROM usage_batches WHERE {since}"
        f" UNION ALL SELECT generation, partition, offset FROM usage_voids WHERE {since}"
        ") GROUP BY generation, partition",
        parameters=bind.parameters,
    ).result_rows
    first = {(int(generation), int(partition)): int(offset) for generation, partition, offset in rows}
    return {partition: min(end, first.get(partition, end)) for partition, end in progress.items()}


def changed_namespaces(client: Client, ranges: list[PositionRange]) -> dict[str, int]:
    """Namespaces with events or voids in ``ranges`` → the append time of the first event's batch, in milliseconds; 2^63
    - 1 where there are voids alone."""
    if not ranges:
        return {}
    bind = Binder()
    within = in_ranges(ranges, bind)
    rows = client.query(
        "SELECT namespace, min(appended) FROM ("
        f"SELECT namespace, toUnixTimestamp64Milli(append_time) AS appended FROM usage_batches WHERE {within}"
        " UNION ALL SELECT namespace, 9223372036854775807 AS appended FROM usage_voids"
        f" WHERE {within}) GROUP BY namespace ORDER BY namespace",
        parameters=bind.parameters,
    ).result_rows
    return {str(namespace): int(appended) for namespace, appended in rows}


def changed_accounts(client: Client, namespace: str, ranges: list[PositionRange], appended_ms: int) -> dict[str, int]:
    """The namespace's accounts with events or voided events in ``ranges``, as ``Changed``. ``appended_ms``: no event of
    the ranges was appended earlier, so that older parts of the table are not read."""
    bind = Binder()
    scope = f"namespace = {bind('namespace', 'String', namespace)}"
    since = f"append_time >= fromUnixTimestamp64Milli({bind('appended', 'Int64', min(appended_ms, 4_000_000_000_000))})"
    rows = client.query(
        "SELECT account_id, toUnixTimestamp64Micro(min(timestamp)) FROM ("
        f"SELECT account_id, timestamp FROM usage_events WHERE {scope} AND {since} AND {in_ranges(ranges, bind)}"
        " UNION ALL SELECT account_id, timestamp FROM voided_events"
        f" WHERE {scope} AND {in_ranges(ranges, bind, prefix='void_')}) GROUP BY account_id ORDER BY account_id",
        parameters=bind.parameters,
    ).result_rows
    return {str(account): int(first_us) for account, first_us in rows}
