"""Offset ranges of usage.events that an operator gave up, derived from records on usage.catalog. Pure.

A log that begins above its cursor has lost acknowledged records, and an operator must acknowledge the loss: `weir
log give-up` claims a range under the first-valid rule. Workers then advance the cursor past it, and the books
account for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.kafka.codec import AvroRecord
from schemas.ledgers.first_valid import Claim, FirstValid

KIND: Final = "given_up"
_CODE: Final = "usage.events"


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets [start, end) of a partition. ``events``: namespace → number of acknowledged events known to be lost
    there."""

    generation: int
    partition: int
    start: int
    end: int
    reason: str
    author: str
    given_up_us: int = 0
    events: Mapping[str, int] | None = None


class GivenUp:
    """Derives the ranges. ``ranges`` is replaced as a whole, so other threads may read it."""

    def __init__(self) -> None:
        self._claims = FirstValid()
        self.ranges: tuple[OffsetRange, ...] = ()

    @property
    def version(self) -> int:
        """Version of the last valid record; 0 if none."""
        return len(self.ranges)

    def apply(self, record: Mapping[str, Any], append_us: int) -> bool:
        """Apply the next record in log order; False if it is void."""
        claimed = _range(record, append_us)
        if claimed is None or not self._claims.offer(Claim(_CODE, record["version"])):
            return False
        self.ranges = (*self.ranges, claimed)
        return True

    def beyond(self, generation: int, partition: int, cursor: int) -> int:
        """The offset at which a partition with this cursor continues: the cursor itself, or the end of the given-up
        range it lies in."""
        while (
            end := max(
                (
                    range_.end
                    for range_ in self.ranges
                    if (range_.generation, range_.partition) == (generation, partition)
                    and range_.start <= cursor < range_.end
                ),
                default=cursor,
            )
        ) > cursor:
            cursor = end
        return cursor


def record_of(offsets: OffsetRange, version: int, claim_id: str) -> AvroRecord:
    """The record for usage.catalog."""
    body = {
        "generation": offsets.generation, "partition": offsets.partition, "from": offsets.start, "to": offsets.end,
        "reason": offsets.reason,
        "events": dict(offsets.events or {}),
    }  # fmt: skip
    return {
        "namespace": "", "kind": KIND, "code": _CODE, "version": version, "retired": False, "valid_from": None,
        "body": json.dumps(body, sort_keys=True), "author": offsets.author, "claim_id": claim_id,
    }  # fmt: skip


def _range(record: Mapping[str, Any], append_us: int) -> OffsetRange | None:
    try:
        body = json.loads(record["body"])
        offsets = OffsetRange(
            int(body["generation"]), int(body["partition"]), int(body["from"]), int(body["to"]), str(body["reason"]),
            str(record["author"]), append_us, {str(name): int(count) for name, count in body.get("events", {}).items()},
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return offsets if 0 <= offsets.start < offsets.end else None


def uncovered(span: tuple[int, int], ranges: Iterable[OffsetRange]) -> Iterator[tuple[int, int]]:
    """The parts of the offset range ``span`` that no range covers, ascending."""
    at, end = span
    for range_ in sorted(ranges, key=lambda range_: range_.start):
        if range_.end <= at or range_.start >= end:
            continue
        if range_.start > at:
            yield at, range_.start
        at = max(at, range_.end)
    if at < end:
        yield at, end
