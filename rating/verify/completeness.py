"""Whether ClickHouse holds everything that lies below the cursors: each offset of the log is in usage_batches, each
event of a batch in one place, each match in usage_records, what each void did in voided_events or rejected_events. What
a part that was set aside held, or is lost, shows here, and `weir replay` writes its rows again from the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.verify.backfills.backfills_complete import lost_backfills
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.scope import FINAL_SETTINGS, Row, Scope, below
from schemas.clickhouse.damaged_parts import damaged_parts_of
from schemas.events.voids import WITHOUT_EFFECT
from schemas.kafka.topics import EVENTS_RETENTION_DAYS
from schemas.ledgers.generations import Offsets
from schemas.ledgers.given_up import OffsetRange, uncovered
from schemas.values.json_text import JsonObject

NAME: Final = "completeness"
NEIGHBOURS: Final = 200
"""Damaged offsets that are no further apart are one range: to replay what is whole changes nothing."""
_PART: Final = "generation, partition, offset"
_SIDES: Final = ("accepted", "counted", "dropped", "matched", "recorded", "voids", "voiding", "done")


@dataclass(frozen=True, slots=True)
class Damage:
    """Offsets [start, end) of a partition where rows are missing, or too many; ``what`` says of which tables, with
    numbers."""

    generation: int
    partition: int
    start: int
    end: int
    what: str

    @property
    def command(self) -> str:
        """The command that writes the missing rows again."""
        partition = f"--generation {self.generation} --partition {self.partition}"
        return f"weir replay {partition} --from {self.start} --to {self.end}"

    @property
    def place(self) -> str:
        """The place in words."""
        return f"generation {self.generation} partition {self.partition} offsets {self.start} to {self.end - 1}"


def check_complete(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Every offset below the cursors, and every row that stands for it; parts that the engine has set aside."""
    on_progress(NAME, 0, 1)
    damages = find_damage(scope.client, scope.progress, scope.namespace, given_up=scope.catalog.given_up.ranges)
    for damage in damages:
        findings.add(
            "completeness",
            damage.place,
            "every row of the log",
            damage.what,
            f"`{damage.command}` writes them again from the log",
        )
    for backfill in lost_backfills(scope.client, scope.catalog, scope.namespace):
        findings.add("completeness", backfill.place, "every record of it", backfill.what, backfill.remedy)
    for part in damaged_parts_of(scope.client):
        findings.add("part", f"{part.table}, part {part.name}", "in its table", f"set aside ({part.why})", part.remedy)
    on_progress(NAME, 1, 1)


def find_damage(
    client: Client,
    ends: Offsets,
    namespace: str | None = None,
    *,
    given_up: Iterable[OffsetRange] = (),
    identities: bool = True,
) -> list[Damage]:
    """What is not whole below ``ends``, in order of positions. ``namespace``: rows of this one alone; offsets without
    any row are told all the same. ``identities`` False: what deduplication alone needs is left out."""
    given: dict[tuple[int, int], list[OffsetRange]] = {}
    for gap in given_up:
        given.setdefault((gap.generation, gap.partition), []).append(gap)
    damaged_at = {
        position: row
        for position, row in _differing(client, ends, namespace, identities).items()
        if not any(gap.start <= position[2] < gap.end for gap in given.get(position[:2], ()))
    }
    for (generation, partition), end in sorted(ends.items()):
        for hole in _holes(client, generation, partition, end):
            for start, upto in uncovered(hole, given.get((generation, partition), ())):
                damaged_at.setdefault((generation, partition, start), (upto, "no row in usage_batches"))
    return joined_neighbours((position, upto, what) for position, (upto, what) in sorted(damaged_at.items()))


def voids_below(client: Client, ends: Offsets) -> list[Damage]:
    """The offsets of every void: where a part of what voids did is lost, nothing else tells which."""
    rows = client.query(
        f"SELECT DISTINCT {_PART} FROM usage_batches"
        f" WHERE {below(ends)} AND events = 0 AND namespace != '' ORDER BY {_PART}"
    ).result_rows
    return joined_neighbours(((int(row[0]), int(row[1]), int(row[2])), int(row[2]) + 1, "a void") for row in rows)


def joined_neighbours(rows: Iterable[tuple[tuple[int, int, int], int, str]]) -> list[Damage]:
    """Neighbours as one range each, from ((generation, partition, offset), end, what) in order."""
    damages: list[Damage] = []
    for (generation, partition, offset), end, what in rows:
        previous = damages[-1] if damages else None
        if (
            previous
            and (previous.generation, previous.partition) == (generation, partition)
            and offset - previous.end <= NEIGHBOURS
        ):
            description = (
                previous.what if what in previous.what or len(previous.what) > 200 else f"{previous.what}; {what}"
            )
            damages[-1] = Damage(generation, partition, previous.start, max(end, previous.end), description)
        else:
            damages.append(Damage(generation, partition, offset, end, what))
    return damages


def _holes(client: Client, generation: int, partition: int, end: int) -> Sequence[tuple[int, int]]:
    """[from, to) of offsets below ``end`` that usage_batches does not have."""
    parameters: JsonObject = {"g": generation, "p": partition, "e": end}
    where = "generation = {g:UInt32} AND partition = {p:UInt32} AND offset < {e:UInt64}"
    counting = f"SELECT uniqExact(offset) FROM usage_batches WHERE {where}"
    ((present,),) = client.query(counting, parameters=parameters).result_rows
    if end <= int(present):
        return ()
    rows = client.query(
        f"""SELECT after, offset FROM (
            SELECT offset, lagInFrame(offset + 1, 1, toUInt64(0)) OVER (
                ORDER BY offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS after
            FROM (SELECT DISTINCT offset FROM usage_batches WHERE {where} UNION ALL SELECT {{e:UInt64}})
        ) WHERE offset > after ORDER BY offset LIMIT 1000""",
        parameters=parameters,
    ).result_rows
    return [(int(row[0]), int(row[1])) for row in rows]


def _differing(
    client: Client, ends: Offsets, namespace: str | None, identities: bool
) -> Mapping[tuple[int, int, int], tuple[int, str]]:
    """Offsets whose rows do not add up: raw counts first, which are right unless something was written twice; then
    exact ones."""
    everywhere = f"{below(ends)} AND {'1' if namespace is None else 'namespace = {n:String}'}"
    suspects = client.query(
        _counts(everywhere, False, identities), parameters={"n": namespace or ""}, settings=FINAL_SETTINGS
    ).result_rows
    if not suspects:
        return {}
    differing: dict[tuple[int, int, int], tuple[int, str]] = {}
    for at in range(0, len(suspects), 1000):
        places = [(int(row[0]), int(row[1]), int(row[2])) for row in suspects[at : at + 1000]]
        suspect_condition = (
            f"{everywhere} AND ({_PART}) IN (SELECT arrayJoin({{at:Array(Tuple(UInt32, UInt32, UInt64))}}))"
        )
        rows = client.query(
            _counts(suspect_condition, True, identities),
            parameters={"n": namespace or "", "at": places},
            settings=FINAL_SETTINGS,
        ).result_rows
        differing |= {(int(row[0]), int(row[1]), int(row[2])): (int(row[2]) + 1, _description(row)) for row in rows}
    return differing


def _counts(where: str, final: bool, identities: bool) -> str:
    """Offsets where accepted, counted, dropped, matched and recorded events do not agree."""
    final_ = "FINAL" if final else ""
    recent = f"append_time >= (SELECT max(append_time) FROM usage_batches) - toIntervalDay({EVENTS_RETENTION_DAYS})"
    names = (*_SIDES, "known", "knowable")
    batches, events, records = (f"{table} {final_}" for table in ("usage_batches", "usage_events", "usage_records"))
    by_offset = f"GROUP BY {_PART}"
    rejected = (
        "SELECT namespace, events, origin_generation AS generation,"
        " toUInt32(greatest(origin_partition, 0)) AS partition, toUInt64(greatest(origin_offset, 0)) AS offset"
        " FROM rejected_events FINAL WHERE stage = 'meter' AND events > 0"
    )
    took_back = (
        "SELECT namespace, void_generation AS generation, void_partition AS partition, void_offset AS offset"
        " FROM voided_events"
    )
    without_effect = (
        "SELECT namespace, origin_generation AS generation, toUInt32(greatest(origin_partition, 0)) AS partition,"
        " toUInt64(greatest(origin_offset, 0)) AS offset FROM rejected_events"
        f" WHERE stage = 'meter' AND reason IN {WITHOUT_EFFECT}"
    )
    sides = {
        "accepted": f"SELECT {_PART}, toUInt64(events) AS n FROM {batches} WHERE {where}",
        "counted": f"SELECT {_PART}, count() AS n FROM {events} WHERE {where} {by_offset}",
        "matched": f"SELECT {_PART}, sum(length(match_profile_ids)) AS n FROM {events} WHERE {where} {by_offset}",
        "recorded": f"SELECT {_PART}, count() AS n FROM {records} WHERE {where} AND checkpoint = 0 {by_offset}",
        "voids": f"SELECT {_PART}, toUInt64(1) AS n FROM {batches} WHERE {where} AND events = 0 AND namespace != ''",
        "voiding": f"SELECT {_PART}, count() AS n FROM usage_voids {final_} WHERE {where} {by_offset}",
        "dropped": f"SELECT {_PART}, count() AS n FROM duplicate_events {final_} WHERE {where} {by_offset} UNION ALL"
        f" SELECT {_PART}, sum(events) AS n FROM ({rejected}) WHERE {where} {by_offset}",
        # What a void did: a row of its event, or a rejection without effect. Both of one void are one: what was
        # refused before a restore may have had its effect since.
        "done": f"SELECT {_PART}, toUInt64(1) AS n FROM ({took_back} UNION ALL {without_effect})"
        f" WHERE {where} {by_offset}",
    }
    if identities:
        # Identities are forgotten in time, and those from before the namespace stood beside them have none.
        of_all = where.replace("namespace = {n:String}", "namespace IN ('', {n:String})")
        known = f"usage_identities {final_} WHERE {of_all} AND {recent}"
        sides["known"] = f"SELECT {_PART}, count() AS n FROM {known} {by_offset}"
        sides["knowable"] = f"SELECT {_PART}, count() AS n FROM {events} WHERE {where} AND {recent} {by_offset}"
    parts = []
    for side, sql in sides.items():
        columns = ", ".join(f"n AS {name}" if name == side else f"toUInt64(0) AS {name}" for name in names)
        parts.append(f"SELECT {_PART}, {columns} FROM ({sql})")
    sums = ", ".join(f"sum({name}) AS {name}_" for name in names)
    return f"""SELECT {_PART}, {sums} FROM ({" UNION ALL ".join(parts)}) GROUP BY {_PART}
        HAVING accepted_ != counted_ + dropped_ OR matched_ != recorded_ OR voids_ != voiding_ OR voids_ != done_
            OR known_ != knowable_
        ORDER BY {_PART} LIMIT 100000"""


def _description(row: Row) -> str:
    accepted, counted, dropped, matched, recorded, voids, voiding, done, known, knowable = map(int, row[3:])
    parts = []
    if accepted != counted + dropped:
        parts.append(f"{accepted} accepted, but {counted} in usage_events and {dropped} dropped")
    if matched != recorded:
        parts.append(f"{recorded} of {matched} rows in usage_records")
    if voids != voiding:
        parts.append(f"{voiding} of {voids} rows in usage_voids")
    if voids != done:
        parts.append(f"{done} of {voids} voids in voided_events or rejected_events")
    if known != knowable:
        parts.append(f"{known} of {knowable} rows in usage_identities")
    return ", ".join(parts)
