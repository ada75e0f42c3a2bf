"""Rejections as ClickHouse has them: those that match criteria, which events have counted since, what was replayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from schemas.clickhouse.client import Parameters
from schemas.values.instants import micros, rfc3339
from stream_processors.replay.judged import Judged, Rejection, ReplayOutcome

REPLAY: Final = "replay"
_IDENTITIES_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class RejectionCriteria:
    """Criteria of the rejections to read; empty or None matches any. ``since_us``: arrived at or after this instant
    (microseconds UTC). At most ``limit``, newest first."""

    namespace: str
    ids: tuple[bytes, ...] = ()
    reason: str = ""
    stage: str = ""
    since_us: int | None = None
    replayed_too: bool = False
    limit: int = 100


def matching_rejections(client: Client, criteria: RejectionCriteria) -> list[Rejection]:
    """Matching rejections from ClickHouse, newest first. Undecodable records belong to no namespace and always
    match it."""
    conditions = ["namespace IN ({n:String}, '')", f"stage != '{REPLAY}'"]
    parameters: Parameters = {"n": criteria.namespace, "limit": criteria.limit}
    if criteria.ids:
        conditions.append("hex(rejection_id) IN {ids:Array(String)}")
        parameters["ids"] = [rejection_id.hex().upper() for rejection_id in criteria.ids]
    if criteria.reason:
        conditions.append("reason = {reason:String}")
        parameters["reason"] = criteria.reason
    if criteria.stage:
        conditions.append("stage = {stage:String}")
        parameters["stage"] = criteria.stage
    if criteria.since_us is not None:
        conditions.append("received_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')")
        parameters["since"] = criteria.since_us
    if not criteria.replayed_too:
        conditions.append("replayed = ''")
    rows = client.query(
        "SELECT hex(rejection_id), namespace, toString(stage), toString(reason), detail, events, account_id, "
        "event_name,"
        " idempotency_key, hex(original), origin_topic, origin_partition, origin_offset, received_at, replays.told "
        "AS replayed,"
        " original_size, original_hash"
        " FROM rejected_events AS rejections FINAL LEFT ANY JOIN ("
        f"SELECT rejection_id, detail AS told FROM rejected_events FINAL WHERE stage = '{REPLAY}'"
        f") AS replays USING (rejection_id) WHERE {' AND '.join(conditions)}"
        " ORDER BY received_at DESC, rejection_id LIMIT {limit:UInt64}",
        parameters=parameters,
    ).result_rows
    return [
        Rejection(
            bytes.fromhex(row[0]), row[1], row[2], row[3], row[4], int(row[5]), row[6], row[7], row[8],
            bytes.fromhex(row[9]), row[10], int(row[11]), int(row[12]), micros(row[13]), row[14],
            int(row[15]), row[16],
        )
        for row in rows
    ]  # fmt: skip


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


def rejection_json(rejection: Rejection) -> Mapping[str, Any]:
    """A rejection as JSON: its bytes as text if they are UTF-8, else in hexadecimal."""
    try:
        original = {"original": rejection.original.decode()}
    except UnicodeDecodeError:
        original = {"original_hex": rejection.original.hex()}
    return {
        "id": rejection.rejection_id.hex(), "namespace": rejection.namespace, "stage": rejection.stage,
        "reason": rejection.reason, "detail": rejection.detail, "events": rejection.events,
        "account_id": rejection.account_id, "event_name": rejection.event_name,
        "idempotency_key": rejection.idempotency_key, "received_at": rfc3339(rejection.received_us),
        "replayed": rejection.replayed,
        **({"original_size": rejection.original_size} if rejection.original_size >= 0 else {}),
    } | original  # fmt: skip
