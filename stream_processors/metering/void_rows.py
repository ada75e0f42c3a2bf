"""Reads and writes the journal for a flush's voids (step 3 of ``flush``). Voids are rare, so the rows are few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import at_events
from schemas.events.rejections import RejectedEvent
from schemas.values.instants import micros
from stream_processors.metering.dedupe import Counted, Record
from stream_processors.metering.event_copies import CopyPosition, position_of
from stream_processors.metering.journal import Journal
from stream_processors.metering.settle_voids import (
    Settled,
    Target,
    Voided,
    VoidPlace,
    settle_voids,
    void_of,
    voided_copy,
    voided_table,
    voids_table,
)

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class DecidedVoids:
    """What a flush's voids do, by what the journal had, and the events that they void."""

    settled: Settled
    targets: Mapping[CopyPosition, Target]


def decide_voids(journal: Journal, voids: Sequence[Record], topic: str) -> DecidedVoids:
    """Look up what the voids do. Every event before them must be durable. Raises Stopping."""
    copies = copies_of(journal, voids)
    targets = [target for record in voids if (target := voided_copy(record, copies)) is not None]
    settled = settle_voids(voids, copies, standing_voids(journal, targets), topic)
    return DecidedVoids(settled, targets_of(journal, settled.voided))


def write_voids(journal: Journal, voids: Sequence[Record], decided: DecidedVoids) -> list[RejectedEvent]:
    """Write the voids and what they did; the rejections of those without effect. Raises Stopping, and LookupError where
    the journal lacks a counted event."""
    voided = decided.settled.voided
    rows = voided_table(voided, decided.targets) if voided else None
    journal.insert("usage_voids", voids_table(voids))
    if rows is not None:
        journal.insert("voided_events", rows)
    return decided.settled.rejections


def copies_of(journal: Journal, records: Sequence[Record]) -> dict[bytes, list[Counted]]:
    """All counted copies of the voids' identities.

    usage_identities drops identities after W plus the log's retention, but usage_events keeps them, so a void finds
    the same copy whenever its record is read.
    """
    copies = journal.counted(list({void_of(record).identity for record in records}))
    forgotten: dict[str, set[bytes]] = {}
    for record in records:
        if voided_copy(record, copies) is None:
            void = void_of(record)
            forgotten.setdefault(void.namespace, set()).add(void.identity)
    for namespace, names in forgotten.items():
        identities = sorted(names)
        for start in range(0, len(identities), _CHUNK):
            rows = journal.query(
                "look up old identities",
                "SELECT identity, generation, partition, offset, `index`, append_time, content_hash FROM usage_events"
                " WHERE namespace = {n:String} AND identity IN (SELECT CAST(unhex(arrayJoin({ids:Array(String)})) AS "
                "FixedString(16)))",
                {"n": namespace, "ids": [name.hex() for name in identities[start : start + _CHUNK]]},
            )
            for name in identities[start : start + _CHUNK]:
                copies[name] = []
            for identity, generation, partition, offset, index, append_time, content_hash in rows:
                copies[identity].append(
                    Counted(generation, partition, offset, index, micros(append_time), content_hash)
                )
    return copies


def standing_voids(journal: Journal, targets: Sequence[Counted]) -> dict[CopyPosition, VoidPlace]:
    """The first durable void of each target, by the target's position."""
    places: dict[CopyPosition, VoidPlace] = {}
    for start in range(0, len(targets), _CHUNK):
        bind = Binder()
        positions = [position_of(target) for target in targets[start : start + _CHUNK]]
        rows = journal.query(
            "look up voids",
            "SELECT generation, partition, offset, `index`, min((void_generation, void_offset)) FROM voided_events"
            f" WHERE {at_events(positions, bind)} GROUP BY generation, partition, offset, `index`",
            bind.parameters,
        )
        places |= {(row[0], row[1], row[2], row[3]): (int(row[4][0]), int(row[4][1])) for row in rows}
    return places


def targets_of(journal: Journal, voided: Sequence[Voided]) -> dict[CopyPosition, Target]:
    """The voided events by position."""
    targets: dict[CopyPosition, Target] = {}
    by_namespace: dict[str, list[Voided]] = {}
    for void in voided:
        by_namespace.setdefault(void_of(void.record).namespace, []).append(void)
    for namespace, of_namespace in by_namespace.items():
        for start in range(0, len(of_namespace), _CHUNK):
            chunk = of_namespace[start : start + _CHUNK]
            bind = Binder()
            # The append times let ClickHouse prune to the days on which the events were appended.
            rows = journal.query(
                "read the events to void",
                "SELECT generation, partition, offset, `index`, account_id, toString(event_name), timestamp, "
                "match_profile_ids"
                " FROM usage_events WHERE namespace = {n:String}"
                " AND append_time IN (SELECT fromUnixTimestamp64Milli(arrayJoin({ms:Array(Int64)}), 'UTC'))"
                f" AND {at_events([position_of(void.target) for void in chunk], bind)}",
                bind.parameters | {"n": namespace, "ms": sorted({void.target.append_us // 1000 for void in chunk})},
            )
            targets |= {
                (row[0], row[1], row[2], row[3]): Target(row[4], row[5], micros(row[6]), tuple(row[7])) for row in rows
            }
    return targets
