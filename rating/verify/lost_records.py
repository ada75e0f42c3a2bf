"""What the writers of usage.events say that they acknowledged, record by record, against what was metered: records that
the log has lost.

A record below the cursor that usage_batches does not have was never metered, so the count of them is exact at every
cursor, whatever was acknowledged or merged since. It can only be too small: by what a writer acknowledged in its last
seconds before it was killed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rating.verify.difference import Findings, Progress
from rating.verify.scope import Scope
from schemas.ledgers.given_up import Range

NAME: Final = "acknowledged events"
_SHOWN: Final = 5
_OURS: Final = "({n:String} = '' OR namespace = {n:String})"
_ACKNOWLEDGED: Final = f"""SELECT namespace, generation, partition, offset, events FROM (
    SELECT toString(namespace) AS namespace, generation, partition, offsets, events FROM acknowledged_records FINAL WHERE {_OURS}
) ARRAY JOIN offsets AS offset, events AS events"""
# Below the cursor; of a generation that is over, all: what it says above was lost.
_CURSORS: Final = (
    "SELECT generation, partition, max(next_offset) AS cursor FROM usage_progress GROUP BY generation, partition"
)
_BELOW: Final = f"""SELECT namespace, generation, partition, offset, events FROM ({_ACKNOWLEDGED}) AS told
    LEFT JOIN ({_CURSORS}) AS cursors USING (generation, partition)
    WHERE offset < cursor OR generation < (SELECT max(generation) FROM usage_progress)"""
_CARRIED: Final = f"""SELECT toString(batches.namespace) AS namespace, generation, partition, sum(batches.events) FROM usage_batches AS batches FINAL
    JOIN (SELECT generation, partition, max(next_offset) AS end FROM usage_carried GROUP BY generation, partition) AS carried
    USING (generation, partition) WHERE batches.offset < end AND {_OURS} GROUP BY namespace, generation, partition"""
# What was carried over and is not metered yet says nothing of its generation before.
_UNDER_WAY: Final = f"""SELECT generation, partition FROM (
        SELECT generation, partition, max(next_offset) AS end FROM usage_carried GROUP BY generation, partition
    ) AS carried LEFT JOIN ({_CURSORS}) AS cursors USING (generation, partition) WHERE cursor < end"""
_GIVEN: Final = """SELECT generation, partition, from_offset, next_offset FROM usage_given_up FINAL
    GROUP BY generation, partition, from_offset, next_offset"""

REMEDY: Final = (
    "look for the lost part of the log (a backup of Kafka) and send those events again; `weir log give-up` names them as lost, and the books"
    " balance"
)


def _bitmaps(told: str) -> str:
    """Of each partition: the offsets of the records of ``told``, a query, and those that were metered."""
    return f"""SELECT generation, partition, groupBitmapStateIf(offset, ours) AS acknowledged, groupBitmapStateIf(offset, NOT ours) AS present,
        countIf(ours) AS records
        FROM (
            SELECT generation, partition, offset, true AS ours FROM ({told})
            UNION ALL SELECT generation, partition, offset, false FROM usage_batches WHERE {_OURS}
        ) GROUP BY generation, partition"""


def _missing(told: str, given: str) -> str:
    """What of ``told`` was never metered; ``given``: a condition, whether it was given up."""
    return f"""SELECT namespace, generation, partition, {given} AS given, min(offset), max(offset) + 1, uniqExact(offset), sum(events)
        FROM ({told}) WHERE (generation, partition, offset) IN (
            SELECT generation, partition, arrayJoin(bitmapToArray(bitmapAndnot(acknowledged, present))) FROM ({_bitmaps(told)})
        ) GROUP BY namespace, generation, partition, given ORDER BY namespace, generation, partition, given"""


def _twice(told: str, given: str) -> str:
    """Where a log that lost its end, or another one of its name, took a further record at an offset: one is metered
    there, the others are not."""
    return f"""SELECT namespace, generation, partition, {given} AS given, min(offset), max(offset) + 1, sum(extra_records), sum(extra) FROM (
            SELECT namespace, generation, partition, offset, count() - 1 AS extra_records, sum(events) - any(accepted) AS extra FROM (
                SELECT namespace, generation, partition, offset, events FROM ({told}) WHERE (generation, partition) IN (
                    SELECT generation, partition FROM ({_bitmaps(told)}) WHERE records > bitmapCardinality(acknowledged)
                )
            ) AS told JOIN (
                SELECT generation, partition, offset, toInt64(events) AS accepted FROM usage_batches FINAL WHERE {_OURS}
            ) AS batches USING (generation, partition, offset)
            GROUP BY namespace, generation, partition, offset HAVING count() > 1
        ) GROUP BY namespace, generation, partition, given ORDER BY namespace, generation, partition, given"""


@dataclass(frozen=True, slots=True)
class LostRecords:
    """Acknowledged records of a namespace that were never metered, all of them in offsets [start, end) of a partition;
    ``given_up``: somebody said so (`weir log give-up`)."""

    namespace: str
    generation: int
    partition: int
    start: int
    end: int
    records: int
    events: int
    given_up: bool = False

    def __str__(self) -> str:
        """The place, and how many."""
        return (
            f"generation {self.generation} partition {self.partition} offsets {self.start} to {self.end - 1}: {self.events} events in"
            f" {self.records} records"
        )


def lost_records(client: Any, namespace: str | None) -> list[LostRecords]:
    """Below the cursors. Blocking."""
    parameters = {"n": namespace or ""}
    given = _given([tuple(row) for row in client.query(_GIVEN).result_rows])
    rows = client.query(_missing(_BELOW, given), parameters=parameters).result_rows
    found = [_of(row) for row in rows]
    found += [_of(row) for row in client.query(_twice(_BELOW, given), parameters=parameters).result_rows]
    if not found:
        return []
    under_way = {(int(row[0]) - 1, int(row[1])) for row in client.query(_UNDER_WAY).result_rows}
    carried = {
        (str(name), int(generation) - 1, int(partition)): int(events)
        for name, generation, partition, events in client.query(_CARRIED, parameters=parameters).result_rows
    }
    return without(carried, (one for one in found if (one.generation, one.partition) not in under_way))


def without(carried: Mapping[tuple[str, int, int], int], found: Iterable[LostRecords]) -> list[LostRecords]:
    """Less what a recovery carried over into the next generation: (namespace, generation, partition) → events. What was
    not given up first."""
    left = dict(carried)
    kept: list[LostRecords] = []
    for one in sorted(found, key=lambda one: one.given_up):
        place = (one.namespace, one.generation, one.partition)
        taken = min(left.get(place, 0), one.events)
        if not taken:
            kept.append(one)
            continue
        left[place] -= taken
        if taken < one.events:
            kept.append(LostRecords(*place, one.start, one.end, one.records, one.events - taken, given_up=one.given_up))
    return kept


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets of a partition that are about to be given up. ``events``: namespace → acknowledged events that are lost
    there and were not given up before. ``uncounted``: records there of which no writer says how many events they had.
    ``replaced``: records that were lost, at whose offsets the log has taken others since, which are metered."""

    events: Mapping[str, int]
    uncounted: int
    replaced: int = 0


def gap(client: Any, generation: int, partition: int, start: int, end: int, given_up: Iterable[Range] = ()) -> Gap:
    """What is known of offsets [start, end) that the log does not have; ``given_up``: before. Blocking."""
    here = "generation = {g:UInt32} AND partition = {p:UInt32} AND offset >= {a:UInt64} AND offset < {b:UInt64}"
    told = f"SELECT namespace, generation, partition, offset, events FROM ({_ACKNOWLEDGED}) WHERE {here}"
    parameters = {"n": "", "g": generation, "p": partition, "a": start, "b": end}
    given = _given((one.generation, one.partition, one.start, one.end) for one in given_up)
    found = [_of(row) for row in client.query(_missing(told, given), parameters=parameters).result_rows]
    twice = [_of(row) for row in client.query(_twice(told, given), parameters=parameters).result_rows]
    [[present]] = client.query(
        f"SELECT uniqExact(offset) FROM usage_batches WHERE {here}", parameters=parameters
    ).result_rows
    events: dict[str, int] = defaultdict(int)
    for one in (*found, *twice):
        if not one.given_up and one.events:
            events[one.namespace] += one.events
    return Gap(
        dict(events),
        max(0, end - start - int(present) - sum(one.records for one in found)),
        sum(one.records for one in twice),
    )


def lost(client: Any, namespace: str | None) -> dict[str, tuple[int, int]]:
    """Namespace → (acknowledged events that were never metered and were not given up, given up). Blocking."""
    missing: dict[str, int] = defaultdict(int)
    given: dict[str, int] = defaultdict(int)
    for one in lost_records(client, namespace):
        (given if one.given_up else missing)[one.namespace] += one.events
    # As it was known when they were given up: what says more may have been lost with ClickHouse since.
    rows = client.query(
        f"SELECT toString(namespace) AS name, sum(events) FROM usage_given_up FINAL WHERE namespace != '' AND {_OURS} GROUP BY name",
        parameters={"n": namespace or ""},
    ).result_rows
    known = {str(name): int(events) for name, events in rows}
    names = sorted(missing.keys() | given.keys() | known.keys())
    return {name: (missing.get(name, 0), max(given.get(name, 0), known.get(name, 0))) for name in names}


def check_acknowledged(scope: Scope, findings: Findings, on_progress: Progress) -> None:
    """Nothing is missing of what gateways, admission and commands acknowledged, by their own count."""
    on_progress(NAME, 0, 1)
    found = _not_given_up(scope)
    if found:
        time.sleep(1.0)  # rows that were written while they were counted
        found = _not_given_up(scope)
    by_name: dict[str, list[LostRecords]] = defaultdict(list)
    for one in found:
        by_name[one.namespace].append(one)
    for name, ones in sorted(by_name.items()):
        places = "; ".join(map(str, ones[:_SHOWN])) + (
            f" (and {len(ones) - _SHOWN} more)" if len(ones) > _SHOWN else ""
        )
        findings.add(
            "acknowledged",
            f"namespace {name}",
            "every event that was acknowledged",
            f"{sum(one.events for one in ones)} were never metered ({places})",
            REMEDY,
        )
    on_progress(NAME, 1, 1)


def _not_given_up(scope: Scope) -> list[LostRecords]:
    return [one for one in lost_records(scope.client, scope.namespace) if not one.given_up]


def _of(row: Iterable[Any]) -> LostRecords:
    namespace, generation, partition, given, start, end, records, events = row
    return LostRecords(
        str(namespace), int(generation), int(partition), int(start), int(end), int(records), int(events), bool(given)
    )


def _given(ranges: Iterable[tuple[Any, ...]]) -> str:
    """A condition on generation, partition and offset."""
    parts = [
        f"(generation = {int(generation)} AND partition = {int(partition)} AND offset >= {int(start)} AND offset < {int(end)})"
        for generation, partition, start, end in ranges
    ]
    return f"({' OR '.join(parts)})" if parts else "false"
