"""Check 6: voided_events hold what the voids in the log did, worked out again from usage_voids and usage_events.

A void means the last copy of its identity that had counted before it; the first void of a copy takes it back, a later
one does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rating.verify.difference import Findings, Progress
from rating.verify.records import position_text, replay_of
from rating.verify.scope import Scope, below
from schemas.events.identity import identity
from schemas.values.instants import rfc3339

Position = tuple[int, int, int, int]
_VOIDS: Final = """
SELECT toString(namespace), source, idempotency_key, hex(identity), reason, author, generation, partition, offset
FROM usage_voids FINAL WHERE {metered} ORDER BY generation, offset, partition"""
_COPIES: Final = """
SELECT hex(identity), generation, partition, offset, `index`, account_id, toString(event_name), toUnixTimestamp64Micro(timestamp)
FROM usage_events FINAL WHERE {metered} AND identity IN (SELECT identity FROM usage_voids WHERE {own})"""
_STORED: Final = """
SELECT generation, partition, offset, `index`, void_generation, void_partition, void_offset, account_id, toString(event_name),
    toUnixTimestamp64Micro(timestamp), source, idempotency_key, reason, author
FROM voided_events FINAL WHERE {own} AND {durable}"""


@dataclass(frozen=True, slots=True)
class FirstVoid:
    """The first void of one event, by its position; ``shown``: all else that voided_events say of both."""

    generation: int
    partition: int
    offset: int
    shown: tuple[Any, ...]

    def __str__(self) -> str:
        account, name, us, source, key, reason, author = self.shown
        place = f"generation {self.generation} partition {self.partition} offset {self.offset}"
        return (
            f"{name} of {account} at {rfc3339(us)}, key {key!r} of {source!r}, voided by {place} ({author}: {reason})"
        )


def voids_again(scope: Scope) -> dict[Position, FirstVoid]:
    """By position of an event: what took it back, as of the scope's progress. Blocking."""
    voids = scope.rows(_VOIDS.format(metered=scope.metered))
    if not voids:
        return {}
    copies: dict[str, list[Sequence[Any]]] = {}
    for row in scope.rows(_COPIES.format(metered=scope.metered, own=scope.of_namespace)):
        copies.setdefault(row[0], []).append(row[1:])
    found: dict[Position, FirstVoid] = {}
    for namespace, source, key, _, reason, author, generation, partition, offset in voids:
        mine = copies.get(identity(namespace, source, key).hex().upper(), ())
        before = [copy for copy in mine if (copy[0], copy[2]) < (generation, offset)]
        if not before:
            continue
        last = max(before, key=lambda copy: (copy[0], copy[2], copy[3]))
        place = (int(last[0]), int(last[1]), int(last[2]), int(last[3]))
        shown = (last[4], last[5], int(last[6]), source, key, reason, author)
        found.setdefault(place, FirstVoid(int(generation), int(partition), int(offset), shown))
    return found


def check_voids(scope: Scope, findings: Findings, on_progress: Progress) -> None:
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
    expected_voids = voids_again(scope)
    stored = {
        (int(row[0]), int(row[1]), int(row[2]), int(row[3])): FirstVoid(
            int(row[4]), int(row[5]), int(row[6]), (row[7], row[8], int(row[9]), *row[10:])
        )
        for row in scope.rows(_STORED.format(own=scope.of_namespace, durable=below(scope.progress, "void_")))
    }
    for place in sorted(expected_voids.keys() | stored.keys()):
        should, is_there = expected_voids.get(place), stored.get(place)
        if should != is_there:
            void = should or is_there
            assert void is not None
            remedy = replay_of(void.generation, void.partition, void.offset)
            where = f"voided_events at {position_text(*place)}"
            findings.add("voided event", where, should or "no row", is_there or "no row", remedy)
    on_progress("voided events", 1, 1)
