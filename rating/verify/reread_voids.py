"""Voided_events hold what the voids in the log did, worked out again from usage_voids and usage_events.

A void means the last copy of its identity that had counted before it; the first void of a copy takes it back, a later
one does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.records import position_text, replay_of
from rating.verify.scope import Row, Scope, below
from schemas.events.identity import identity
from schemas.values.instants import rfc3339

CountedPosition = tuple[int, int, int, int]
_VOIDS: Final = """
SELECT toString(namespace), source, idempotency_key, hex(identity), reason, author, generation, partition, offset
FROM usage_voids FINAL WHERE {metered} ORDER BY generation, offset, partition"""
_COPIES: Final = """
SELECT hex(identity), generation, partition, offset, `index`, account_id, toString(event_name),
    toUnixTimestamp64Micro(timestamp)
FROM usage_events FINAL WHERE {metered} AND identity IN (SELECT identity FROM usage_voids WHERE {own})"""
_STORED: Final = """
SELECT generation, partition, offset, `index`, void_generation, void_partition, void_offset, account_id,
    toString(event_name),
    toUnixTimestamp64Micro(timestamp), source, idempotency_key, reason, author
FROM voided_events FINAL WHERE {own} AND {durable}"""


class _VoidedEvent(NamedTuple):
    """An event that was voided, and why; ``us``: its timestamp, microseconds UTC."""

    account_id: str
    event_name: str
    us: int
    source: str
    idempotency_key: str
    reason: str
    author: str

    def __str__(self) -> str:
        key = f"key {self.idempotency_key!r} of {self.source!r}"
        return f"{self.event_name} of {self.account_id} at {rfc3339(self.us)}, {key}"


class _Copy(NamedTuple):
    """A counted copy of an identity: its position, and what it is."""

    generation: int
    partition: int
    offset: int
    event_index: int
    account_id: str
    event_name: str
    us: int


@dataclass(frozen=True, slots=True)
class FirstVoid:
    """The first void of one event, by its position; ``event``: what voided_events say of the event and the void."""

    generation: int
    partition: int
    offset: int
    event: _VoidedEvent

    def __str__(self) -> str:
        position = f"generation {self.generation} partition {self.partition} offset {self.offset}"
        return f"{self.event}, voided by {position} ({self.event.author}: {self.event.reason})"


def work_out_voids(scope: Scope) -> dict[CountedPosition, FirstVoid]:
    """The void that took each voided event back, by the event's position, as of the scope's progress. Blocking."""
    voids = scope.rows(_VOIDS.format(metered=scope.metered))
    if not voids:
        return {}
    copies: dict[str, list[_Copy]] = {}
    for row in scope.rows(_COPIES.format(metered=scope.metered, own=scope.of_namespace)):
        copies.setdefault(row[0], []).append(_copy(row[1:]))
    first_voids: dict[CountedPosition, FirstVoid] = {}
    for namespace, source, key, _, reason, author, generation, partition, offset in voids:
        candidates = copies.get(identity(namespace, source, key).hex().upper(), ())
        earlier = [copy for copy in candidates if (copy.generation, copy.offset) < (generation, offset)]
        if not earlier:
            continue
        newest = max(earlier, key=lambda copy: (copy.generation, copy.offset, copy.event_index))
        position = (newest.generation, newest.partition, newest.offset, newest.event_index)
        event = _VoidedEvent(newest.account_id, newest.event_name, newest.us, source, key, reason, author)
        first_voids.setdefault(position, FirstVoid(int(generation), int(partition), int(offset), event))
    return first_voids


def _copy(row: Row) -> _Copy:
    generation, partition, offset, index, account_id, event_name, us = row
    return _Copy(int(generation), int(partition), int(offset), int(index), account_id, event_name, int(us))


def check_voids(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Every voided event and no other, with the void that took it back; and the identity that each void means."""
    on_progress("voided events", 0, 1)
    for namespace, source, key, name, *_, generation, partition, offset in scope.rows(
        _VOIDS.format(metered=scope.metered)
    ):
        if (expected := identity(namespace, source, key).hex().upper()) != name:
            where = (
                f"usage_voids of {namespace} at generation {generation} partition {partition} offset {offset}, identity"
            )
            findings.add("void", where, expected, name, replay_of(generation, partition, offset))
    expected_voids = work_out_voids(scope)
    stored = {
        (int(row[0]), int(row[1]), int(row[2]), int(row[3])): FirstVoid(
            int(row[4]), int(row[5]), int(row[6]), _VoidedEvent(row[7], row[8], int(row[9]), *row[10:])
        )
        for row in scope.rows(_STORED.format(own=scope.of_namespace, durable=below(scope.progress, "void_")))
    }
    for position in sorted(expected_voids.keys() | stored.keys()):
        should, is_there = expected_voids.get(position), stored.get(position)
        if should != is_there:
            # The wrong one first: as long as it stands, the right one is a second void of the event.
            places = {
                (one.generation, one.partition, one.offset): None for one in (is_there, should) if one is not None
            }
            remedy = ", then ".join(replay_of(*event_position) for event_position in places)
            where = f"voided_events at {position_text(*position)}"
            findings.add("voided event", where, should or "no row", is_there or "no row", remedy)
    on_progress("voided events", 1, 1)
