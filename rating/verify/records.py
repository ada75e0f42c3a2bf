"""usage_records and usage_identities have the rows of usage_events, each of its place and time: what a record measures
is compared by ``matches``.

All are filled by views of usage_flush and usage_flush_counted; sums of row hashes compare whole groups in one pass,
and only a group that differs is looked at row by row.
"""

from __future__ import annotations

from typing import Final

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.scope import Scope
from schemas.kafka.topics import EVENTS_RETENTION_DAYS

_POSITION: Final = "generation, partition, offset, `index`"
_RECORD: Final = f"account_id, toUnixTimestamp64Micro(timestamp), {_POSITION}, toUnixTimestamp64Milli(append_time)"
_IDENTITY: Final = f"hex(identity), hex(content_hash), {_POSITION}, toUnixTimestamp64Milli(append_time)"


def _expanded(condition: str) -> str:
    """The records that the profiles of usage_events stand for, as far as it tells them."""
    return f"""
    SELECT toString(namespace) AS ns, toString(profile) AS name, account_id, timestamp, {_POSITION}, append_time
    FROM usage_events FINAL ARRAY JOIN match_profile_ids AS profile WHERE {condition}"""


def check_records(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Records against the profiles of the events: missing and extra ones, and those of another account or time."""
    on_progress("records from matches", 0, 1)
    stored = (
        "SELECT toString(namespace) AS ns, toString(profile_id) AS name, * FROM usage_records FINAL"
        f" WHERE {scope.metered} AND checkpoint = 0"
    )
    groups = scope.rows(
        f"""SELECT ns, name FROM (
            SELECT ns, name, 0 AS side, count() AS rows, sum(sipHash64({_RECORD})) AS hash
                FROM ({_expanded(scope.metered)}) GROUP BY ns, name
            UNION ALL
            SELECT ns, name, 1, count(), sum(sipHash64({_RECORD})) FROM ({stored}) GROUP BY ns, name
        ) GROUP BY ns, name HAVING NOT (count() = 2 AND uniqExact((rows, hash)) = 1) ORDER BY ns, name"""
    )
    for namespace, profile in groups:
        group_condition = "name = {profile:String} AND ns = {ns:String}"
        rows = scope.rows(
            f"""SELECT {_POSITION}, maxIf(shown, side = 0), maxIf(shown, side = 1), count() OVER () FROM (
                SELECT {_POSITION}, toString(({_RECORD})) AS shown, 0 AS side
                FROM ({_expanded(scope.metered)}) WHERE {group_condition}
                UNION ALL
                SELECT {_POSITION}, toString(({_RECORD})), 1 FROM ({stored}) WHERE {group_condition}
            ) GROUP BY {_POSITION} HAVING NOT (countIf(side = 0) = countIf(side = 1) AND uniqExact(shown) = 1)
            ORDER BY {_POSITION} LIMIT {{room:UInt32}}""",
            {"profile": profile, "ns": namespace, "room": max(findings.room, 1)},
        )
        for generation, partition, offset, index, expected, stored_text, _ in rows:
            where = f"usage_records {namespace} {profile} at {position_text(generation, partition, offset, index)}"
            findings.add(
                "record",
                where,
                expected or "no record",
                stored_text or "no record",
                replay_of(generation, partition, offset),
            )
        if rows:
            findings.add_more(int(rows[0][-1]) - len(rows))
    on_progress("records from matches", 1, 1)


def check_identities(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """usage_identities against usage_events, of all namespaces, as far back as the log goes: older ones may be
    forgotten."""
    on_progress("identities from events", 0, 1)
    recent = f"append_time >= (SELECT max(append_time) FROM usage_batches) - toIntervalDay({EVENTS_RETENTION_DAYS})"
    durable = f"{scope.durable} AND {recent}"
    sides = [
        f"SELECT {_POSITION}, toString(({_IDENTITY})) AS shown, {side} AS side FROM {table} FINAL WHERE {durable}"
        for side, table in enumerate(("usage_events", "usage_identities"))
    ]
    groups = scope.rows(
        " UNION ALL ".join(
            f"SELECT generation, partition, count(), sum(sipHash64({_IDENTITY})) FROM {table} FINAL WHERE {durable}"
            " GROUP BY generation, partition"
            for table in ("usage_events", "usage_identities")
        )
    )
    sums_by_partition: dict[tuple[int, int], set[tuple[int, int]]] = {}
    sums: dict[tuple[int, int], int] = {}
    for generation, partition, rows_here, hash_here in groups:
        key = (int(generation), int(partition))
        sums_by_partition.setdefault(key, set()).add((int(rows_here), int(hash_here)))
        sums[key] = sums.get(key, 0) + 1
    for generation, partition in sorted(
        key for key, side_sums in sums_by_partition.items() if len(side_sums) != 1 or sums[key] != 2
    ):
        rows = scope.rows(
            f"""SELECT {_POSITION}, maxIf(shown, side = 0), maxIf(shown, side = 1), count() OVER ()
            FROM ({" UNION ALL ".join(sides)}) WHERE generation = {generation} AND partition = {partition}
            GROUP BY {_POSITION} HAVING NOT (count() = 2 AND uniqExact(shown) = 1)
            ORDER BY {_POSITION} LIMIT {{room:UInt32}}""",
            {"room": max(findings.room, 1)},
        )
        for _, _, offset, index, expected, side_sums, _ in rows:
            where = f"usage_identities at {position_text(generation, partition, offset, index)}"
            findings.add(
                "identity", where, expected or "no row", side_sums or "no row", replay_of(generation, partition, offset)
            )
        if rows:
            findings.add_more(int(rows[0][-1]) - len(rows))
    on_progress("identities from events", 1, 1)


def position_text(generation: int, partition: int, offset: int, index: int) -> str:
    """A position in words."""
    return f"generation {generation} partition {partition} offset {offset} index {index}"


def replay_of(generation: int, partition: int, offset: int) -> str:
    """The remedy for a row that is not as the log says."""
    command = f"weir replay --generation {generation} --partition {partition} --from {offset} --to {int(offset) + 1}"
    return f"`{command}` writes it again from the log (`--damaged`: all that is missing)"
