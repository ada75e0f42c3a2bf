"""What ClickHouse says of rejections that are to be replayed: which of their events have counted since, and which
replays it shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from clickhouse_connect.driver.client import Client

from schemas.clickhouse.stored_rejections import REPLAY
from stream_processors.replay.judged import Judged, ReplayOutcome

_IDENTITIES_AT_ONCE: Final = 500


def counted_before(client: Client, judged: Iterable[Judged]) -> set[bytes]:
    """The identities that have counted already. usage_events is searched as well (by account), since
    usage_identities drops identities after W plus the log's retention."""
    by_account: dict[tuple[str, str], list[str]] = {}
    for judgement in judged:
        for event in judgement.events:
            by_account.setdefault((judgement.namespace, event.account_id), []).append(event.identity.hex())
    counted: set[bytes] = set()
    for (namespace, account), names in by_account.items():
        for start in range(0, len(names), _IDENTITIES_AT_ONCE):
            rows = client.query(
                "WITH (SELECT groupArray(CAST(unhex(arrayJoin({ids:Array(String)})) AS FixedString(16)))) AS wanted"
                " SELECT hex(identity) FROM usage_identities WHERE has(wanted, identity)"
                " AND identity IN (SELECT CAST(unhex(arrayJoin({ids:Array(String)})) AS FixedString(16)))"
                " UNION DISTINCT SELECT hex(identity) FROM usage_events WHERE namespace = {n:String}"
                " AND account_id = {a:String} AND has(wanted, identity)",
                parameters={"ids": names[start : start + _IDENTITIES_AT_ONCE], "n": namespace, "a": account},
            ).result_rows
            counted |= {bytes.fromhex(row[0]) for row in rows}
    return counted


def replays_shown(client: Client, outcomes: Iterable[ReplayOutcome]) -> bool:
    """Whether all replays are visible in ``rejected_events``, so that another replay would skip them."""
    names = [outcome.rejection.rejection_id.hex().upper() for outcome in outcomes if not outcome.why]
    rows = client.query(
        f"SELECT uniqExact(rejection_id) FROM rejected_events WHERE stage = '{REPLAY}' AND hex(rejection_id) IN "
        f"{{ids:Array(String)}}",
        parameters={"ids": names},
    ).result_rows
    return int(rows[0][0]) == len(set(names))
