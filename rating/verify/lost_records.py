"""Records that the log has lost: what the writers of usage.events acknowledged, record by record, against what was
metered.

A record below the cursor that usage_batches does not have was never metered, so the count of them is exact at every
cursor, whatever was acknowledged or merged since. It can only be too small, by what no count holds: what a writer
acknowledged in its last two seconds before it was killed, what it dropped beyond its limit while ClickHouse was away,
and counts that ClickHouse lost with a restored copy or a damaged part.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.scope import Row, Scope
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.damaged_parts import damaged_parts_of
from schemas.clickhouse.positions import PositionRange, in_range, in_ranges
from schemas.ledgers.given_up import OffsetRange
from schemas.values.record_copy import replace

NAME: Final = "acknowledged events"
_SHOWN: Final = 5
_OURS: Final = "({n:String} = '' OR namespace = {n:String})"
_ACKNOWLEDGED: Final = f"""SELECT namespace, generation, partition, offset, events FROM (
    SELECT toString(namespace) AS namespace, generation, partition, offsets, events FROM acknowledged_records FINAL
        WHERE {_OURS}
) ARRAY JOIN offsets AS offset, events AS events"""
# Below the cursor; of a generation that is over, all: what it says above was lost.
_CURSORS: Final = (
    "SELECT generation, partition, max(next_offset) AS cursor FROM usage_progress GROUP BY generation, partition"
)
_BELOW: Final = f"""SELECT namespace, generation, partition, offset, events FROM ({_ACKNOWLEDGED}) AS told
    LEFT JOIN ({_CURSORS}) AS cursors USING (generation, partition)
    WHERE offset < cursor OR generation < (SELECT max(generation) FROM usage_progress)"""
_CARRIED: Final = f"""SELECT toString(batches.namespace) AS namespace, generation, partition, sum(batches.events)
    FROM usage_batches AS batches FINAL
    JOIN (SELECT generation, partition, max(next_offset) AS end FROM usage_carried GROUP BY generation, partition)
        AS carried
    USING (generation, partition) WHERE batches.offset < end AND {_OURS} GROUP BY namespace, generation, partition"""
_NAMED: Final = f"""SELECT toString(namespace) AS name, generation, partition, sum(events) FROM carried_records FINAL
    WHERE {_OURS} GROUP BY name, generation, partition"""
# Without those that a worker metered where they lay after the recovery had found them unmetered.
_CARRIED_FROM: Final = f"""SELECT toString(namespace) AS namespace, generation, partition, offset,
        sum(events) AS events, count() AS records
    FROM carried_records FINAL WHERE {_OURS} AND (generation, partition, offset, append_time) NOT IN (
        SELECT generation, partition, offset, append_time FROM usage_batches
            WHERE (generation, partition, offset) IN (SELECT generation, partition, offset FROM carried_records)
    ) GROUP BY namespace, generation, partition, offset"""
# What was carried over and is not metered yet says nothing of its generation before.
_UNDER_WAY: Final = f"""SELECT generation, partition FROM (
        SELECT generation, partition, max(next_offset) AS end FROM usage_carried GROUP BY generation, partition
    ) AS carried LEFT JOIN ({_CURSORS}) AS cursors USING (generation, partition) WHERE cursor < end"""
_GIVEN: Final = """SELECT generation, partition, from_offset, next_offset FROM usage_given_up FINAL
    GROUP BY generation, partition, from_offset, next_offset"""
_SUSPICIOUS: Final = """SELECT countIf(bitmapAndnotCardinality(acknowledged, present) > 0),
    countIf(records > bitmapCardinality(acknowledged)) FROM ({})"""  # most often there is nothing to look for

REMEDY: Final = (
    "look for the lost part of the log (a backup of Kafka) and send those events again; or give them up, so that the "
    "books balance: "
)
_RECOVER: Final = "`weir generation recover` carries over what the log still has of them; of what it has not, "


def _bitmaps(query: str) -> str:
    """SQL: by namespace and partition, bitmaps of the offsets that ``query`` has (``acknowledged``) and of those
    metered (``present``)."""
    return f"""SELECT namespace, generation, partition, groupBitmapStateIf(offset, ours) AS acknowledged,
        groupBitmapStateIf(offset, NOT ours) AS present,
        countIf(ours) AS records
        FROM (
            SELECT namespace, generation, partition, offset, true AS ours FROM ({query})
            UNION ALL SELECT toString(namespace), generation, partition, offset, false FROM usage_batches WHERE {_OURS}
        ) GROUP BY namespace, generation, partition"""


def _lost(told: str, given: str) -> str:
    """SQL: what was not carried over of ``told`` (``count`` and ``events`` by offset: acknowledged, not metered)."""
    # The carried one may be the one at its offset that nobody has acknowledged.
    known = "(told.count >= carried.records)"
    return f"""SELECT namespace, generation, partition, {given} AS given, min(offset), max(offset) + 1,
        sum(told.count - carried.records * {known}) AS lost,
        sum(greatest(told.events - toInt64(carried.events) * {known}, 0))
        FROM ({told}) AS told LEFT JOIN ({_CARRIED_FROM}) AS carried USING (namespace, generation, partition, offset)
        WHERE told.count > carried.records * {known}
        GROUP BY namespace, generation, partition, given ORDER BY namespace, generation, partition, given"""


def _missing(query: str, given: str) -> str:
    """SQL: the records of ``query`` that were never metered; ``given``: a condition, whether they were given up."""
    return _lost(
        f"""SELECT namespace, generation, partition, offset, count() AS count, toInt64(sum(events)) AS events
        FROM ({query}) WHERE (namespace, generation, partition, offset) IN (
            SELECT namespace, generation, partition, arrayJoin(bitmapToArray(bitmapAndnot(acknowledged, present)))
                FROM ({_bitmaps(query)})
        ) GROUP BY namespace, generation, partition, offset""",
        given,
    )


def _twice(query: str, given: str) -> str:
    """SQL: the records of ``query`` beside the metered one of its offset: the log lost its end or was made anew."""
    return _lost(
        f"""SELECT namespace, generation, partition, offset, count() - 1 AS count,
            toInt64(sum(events)) - any(accepted) AS events FROM (
                SELECT namespace, generation, partition, offset, events FROM ({query})
                    WHERE (namespace, generation, partition) IN (
                    SELECT namespace, generation, partition FROM ({_bitmaps(query)})
                        WHERE records > bitmapCardinality(acknowledged)
                )
            ) AS told JOIN (
                SELECT toString(namespace) AS namespace, generation, partition, offset, toInt64(events) AS accepted
                    FROM usage_batches FINAL WHERE {_OURS}
            ) AS batches USING (namespace, generation, partition, offset)
            GROUP BY namespace, generation, partition, offset HAVING count() > 1""",
        given,
    )


@dataclass(frozen=True, slots=True)
class LostRecords:
    """Acknowledged records of a namespace that were never metered, all of them in offsets [start, end) of a partition;
    ``given_up``: somebody said so (`weir log give-up`). ``replaced``: others are metered at their offsets, so the log
    lost its end or was made anew."""

    namespace: str
    generation: int
    partition: int
    start: int
    end: int
    records: int
    events: int
    given_up: bool = False
    replaced: bool = False

    def __str__(self) -> str:
        """The place, and how many."""
        return (
            f"generation {self.generation} partition {self.partition} offsets {self.start} to {self.end - 1}:"
            f" {self.events} events in {self.records} records"
        )

    @property
    def command(self) -> str:
        """The command that gives them up."""
        partition = f"--generation {self.generation} --partition {self.partition}"
        return f"weir log give-up {partition} --from {self.start} --to {self.end} --reason …"


def lost_records(client: Client, namespace: str | None) -> list[LostRecords]:
    """Records below the cursors that were acknowledged and never metered, without what a recovery carried over.
    Blocking."""
    bind = Binder({"n": namespace or ""})
    ranges = [PositionRange(*map(int, row)) for row in client.query(_GIVEN).result_rows]
    given = in_ranges(ranges, bind, "given_up")
    [suspicious] = client.query(_SUSPICIOUS.format(_bitmaps(_BELOW)), parameters=bind.parameters).result_rows
    records = [
        replace(_lost_record(row), replaced=sql is _twice)
        for sql, any_of_them in zip((_missing, _twice), suspicious, strict=True)
        if any_of_them
        for row in client.query(sql(_BELOW, given), parameters=bind.parameters).result_rows
    ]
    if records and any(part.table == "usage_batches" for part in damaged_parts_of(client)):
        # What that part held was metered, and comes again with a replay.
        records = [record for record in records if record.replaced or record.given_up]
    if not records:
        return []
    under_way = {(int(row[0]) - 1, int(row[1])) for row in client.query(_UNDER_WAY).result_rows}
    carried, named = (
        {
            (str(row[0]), int(row[1]) - before, int(row[2])): int(row[3])
            for row in client.query(sql, parameters=bind.parameters).result_rows
        }
        for sql, before in ((_CARRIED, 1), (_NAMED, 0))
    )
    return less_carried_over(
        {key: max(0, events - named.get(key, 0)) for key, events in carried.items()},
        (record for record in records if (record.generation, record.partition) not in under_way),
    )


def less_carried_over(carried: Mapping[tuple[str, int, int], int], records: Iterable[LostRecords]) -> list[LostRecords]:
    """Less what a recovery carried over without naming the records, as before migration 061, or since ClickHouse lost
    the names: (namespace, generation, partition) → events. What was not given up first."""
    left = dict(carried)
    remaining: list[LostRecords] = []
    for record in sorted(records, key=lambda record: record.given_up):
        key = (record.namespace, record.generation, record.partition)
        carried_events = min(left.get(key, 0), record.events)
        if not carried_events:
            remaining.append(record)
            continue
        left[key] -= carried_events
        if carried_events < record.events:
            remaining.append(replace(record, events=record.events - carried_events))
    return remaining


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets of a partition that are about to be given up. ``events``: namespace → acknowledged events that are lost
    there and were not given up before. ``uncounted``: records there of which no writer says how many events they had.
    ``replaced``: records that were lost, at whose offsets the log has taken others since, which are metered."""

    events: Mapping[str, int]
    uncounted: int
    replaced: int = 0


def gap(
    client: Client, generation: int, partition: int, start: int, end: int, given_up: Iterable[OffsetRange] = ()
) -> Gap:
    """What is known of offsets [start, end) that the log does not have; ``given_up``: before. Blocking."""
    bind = Binder({"n": ""})
    range_condition = in_range(PositionRange(generation, partition, start, end), bind, "gap")
    query = f"SELECT namespace, generation, partition, offset, events FROM ({_ACKNOWLEDGED}) WHERE {range_condition}"
    before = (PositionRange(gap.generation, gap.partition, gap.start, gap.end) for gap in given_up)
    given = in_ranges(before, bind, "given_up")
    missing, twice = (
        [_lost_record(row) for row in client.query(sql(query, given), parameters=bind.parameters).result_rows]
        for sql in (_missing, _twice)
    )
    [[counted]] = client.query(
        f"SELECT uniqExact(offset) FROM (SELECT offset FROM usage_batches WHERE {range_condition}"
        f" UNION ALL SELECT offset FROM ({query}))",
        parameters=bind.parameters,
    ).result_rows
    events: dict[str, int] = defaultdict(int)
    for record in (*missing, *twice):
        if not record.given_up and record.events:
            events[record.namespace] += record.events
    return Gap(
        dict(events),
        max(0, end - start - int(counted)),
        sum(record.records for record in twice),
    )


def lost_events(client: Client, namespace: str | None) -> dict[str, tuple[int, int]]:
    """Namespace → (acknowledged events that were never metered and were not given up, given up). Blocking."""
    missing: dict[str, int] = defaultdict(int)
    given: dict[str, int] = defaultdict(int)
    for record in lost_records(client, namespace):
        (given if record.given_up else missing)[record.namespace] += record.events
    # As it was known when they were given up: what says more may have been lost with ClickHouse since.
    rows = client.query(
        "SELECT toString(namespace) AS name, sum(events) FROM usage_given_up FINAL"
        f" WHERE namespace != '' AND {_OURS} GROUP BY name",
        parameters={"n": namespace or ""},
    ).result_rows
    known = {str(name): int(events) for name, events in rows}
    names = sorted(missing.keys() | given.keys() | known.keys())
    return {name: (missing.get(name, 0), max(given.get(name, 0), known.get(name, 0))) for name in names}


def check_acknowledged(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Nothing is missing of what gateways, admission and commands acknowledged, by their own count."""
    on_progress(NAME, 0, 1)
    records = _not_given_up(scope)
    if records:
        time.sleep(1.0)  # rows that were written while they were counted
        records = _not_given_up(scope)
    newest = scope.catalog.generations.state.newest(scope.settings.generation).number
    by_name: dict[str, list[LostRecords]] = defaultdict(list)
    for record in records:
        by_name[record.namespace].append(record)
    for name, of_namespace in sorted(by_name.items()):
        places = "; ".join(map(str, of_namespace[:_SHOWN])) + (
            f" (and {len(of_namespace) - _SHOWN} more)" if len(of_namespace) > _SHOWN else ""
        )
        findings.add(
            "acknowledged",
            f"namespace {name}",
            "every event that was acknowledged",
            f"at least {sum(record.events for record in of_namespace)} were never metered ({places})",
            (_RECOVER if any(record.replaced and record.generation == newest for record in of_namespace) else "")
            + REMEDY
            + ", ".join(f"`{record.command}`" for record in of_namespace[:_SHOWN]),
        )
    on_progress(NAME, 1, 1)


def _not_given_up(scope: Scope) -> list[LostRecords]:
    return [record for record in lost_records(scope.client, scope.namespace) if not record.given_up]


def _lost_record(row: Row) -> LostRecords:
    namespace, generation, partition, given, start, end, records, events = row
    return LostRecords(
        str(namespace), int(generation), int(partition), int(start), int(end), int(records), int(events), bool(given)
    )
