"""Admits the records of each inbox partition one after another, whatever Faust delivers.

Faust may skip a fetched record around a rebalance, and then commits past it: it takes the committed offset for the last
one that was read, though it is the next one, so a hole of one record is not seen. A record is therefore admitted only
at the offset that is due: a record before it was admitted already, and one beyond it waits until its partition is read
again from the due offset. Offsets without a record (markers of a producer's transactions) are passed over once Kafka
says that there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from stream_processors.fetching.bounded import RefusedBatch
from stream_processors.takes import FaustEvent, Message

log = logging.getLogger(__name__)

SEEK_AGAIN_SECONDS: Final = 5.0
"""A partition is not read again from the same offset more often than this: what was fetched before a seek still arrives
after it."""

OVERDUE_SECONDS: Final = 10.0
"""A partition whose due record has not come for this long is read again from there: the skipped record may be the last
one, so that no later record shows the hole."""

InboxPartition = tuple[str, int]
"""Topic and partition number."""


class InboxLog(Protocol):
    """What Kafka says of inbox partitions. Its methods raise KafkaException or LedgerUnavailable."""

    def committed(self, partition: InboxPartition) -> int:
        """The offset that the consumer group reads next: its commit, else the partition's first offset."""

    def first_at(self, partition: InboxPartition, offset: int) -> int:
        """The offset of the first record at ``offset`` or after it; the log's next offset if there is none."""

    def standing(self, partitions: Sequence[InboxPartition]) -> Mapping[InboxPartition, tuple[int | None, int]]:
        """The group's commit (None: nothing yet) and the log's next offset, of partitions that Kafka answers for."""


@dataclass(frozen=True, slots=True)
class SortedUnit:
    """A unit's events in three lists. ``due``: to be admitted now; ``before``: admitted already; ``beyond``: read again
    later. ``again``: the offsets from which partitions are to be read again. ``following``: the offsets that are due
    after ``due`` was admitted."""

    due: list[FaustEvent] = field(default_factory=list)
    before: list[FaustEvent] = field(default_factory=list)
    beyond: list[FaustEvent] = field(default_factory=list)
    again: dict[InboxPartition, int] = field(default_factory=dict)
    following: dict[InboxPartition, int] = field(default_factory=dict)


class InSequence:
    """The due offset of each partition that a worker owns. ``monotonic``: seconds of a monotonic clock."""

    def __init__(self, inbox_log: InboxLog, monotonic: Callable[[], float]) -> None:
        self._log = inbox_log
        self._monotonic = monotonic
        self._assignment = 0
        self._due: dict[InboxPartition, int] = {}
        self._sought: dict[InboxPartition, tuple[int, float]] = {}
        self._seen: dict[InboxPartition, tuple[int, float]] = {}

    @property
    def assignment(self) -> int:
        """Changes with every call of ``reassigned``."""
        return self._assignment

    def reassigned(self) -> None:
        """Partitions were revoked or assigned: what is due is asked of Kafka again."""
        self._assignment += 1
        self._due, self._sought, self._seen = {}, {}, {}

    def sort(self, unit: Sequence[FaustEvent]) -> SortedUnit:
        """Sort the unit. Raises what ``InboxLog`` raises; the call can be repeated then."""
        result = SortedUnit()
        waiting: set[InboxPartition] = set()
        looked_at: set[InboxPartition] = set()
        for event in unit:
            message = event.message
            partition = (message.topic, message.partition)
            due = result.following.get(partition)
            if due is None:
                due = result.following[partition] = self._due_of(partition)
            if message.offset < due and partition not in looked_at:
                looked_at.add(partition)
                if self._made_anew(partition, due):
                    due = result.following[partition] = 0
            if message.offset < due:
                result.before.append(event)
                continue
            begin = first_offset(message)
            if partition not in waiting and begin > due:
                due = result.following[partition] = self._first_at(partition, due, begin)
                if begin > due:
                    waiting.add(partition)
            if partition in waiting:
                result.beyond.append(event)
            else:
                result.due.append(event)
                result.following[partition] = message.offset + 1
        for partition in waiting:
            due = result.following[partition]
            sought, at = self._sought.get(partition, (-1, 0.0))
            if sought != due or self._monotonic() - at > SEEK_AGAIN_SECONDS:
                result.again[partition] = due
        return result

    def admitted(self, unit: SortedUnit, assignment: int) -> None:
        """Everything due in ``unit``, which was sorted in ``assignment``, is written. Nothing follows from it for
        partitions that were assigned later."""
        if assignment != self._assignment:
            return
        self._due |= unit.following
        now = self._monotonic()
        self._sought |= {partition: (offset, now) for partition, offset in unit.again.items()}

    def unread(self, partitions: Sequence[InboxPartition]) -> bool:
        """Whether any of the partitions goes on beyond its due offset. Raises what ``InboxLog`` raises."""
        due_offsets = self._due
        standing = self._log.standing(partitions)
        return any(end > due_offsets.get(partition, committed or 0) for partition, (committed, end) in standing.items())

    def overdue(self, partitions: Sequence[InboxPartition]) -> dict[InboxPartition, int]:
        """The due offsets of those partitions whose due record exists and did not come within ``OVERDUE_SECONDS``.
        Call it every few seconds with the partitions that are owned. Raises what ``InboxLog`` raises."""
        due_offsets, seen, now = self._due, self._seen, self._monotonic()
        late: dict[InboxPartition, int] = {}
        for partition, (committed, end) in self._log.standing(partitions).items():
            due = due_offsets.get(partition, committed or 0)
            previous, since = seen.get(partition, (-1, now))
            if due != previous or end <= due:
                seen[partition] = (due, now)
            elif now - since >= OVERDUE_SECONDS:
                seen[partition] = (due, now)
                # Where nothing was committed, the log may begin above 0, and nothing is lost below that.
                first = self._log.first_at(partition, self._due_of(partition))
                if first < end:
                    late[partition] = first
                    log.warning("%s partition %d: record %d has not come; reading again", *partition, first)
                # Without a record there, nothing would ever move the due offset, and the watchdog would see a consumer
                # that stands still.
                due_offsets[partition] = max(first, due_offsets.get(partition, 0))
        return late

    def _due_of(self, partition: InboxPartition) -> int:
        due = self._due.get(partition)
        return self._log.committed(partition) if due is None else due

    def _made_anew(self, partition: InboxPartition, due: int) -> bool:
        """Whether the log ends below the due offset: its topic was deleted and made anew, or it lost its end."""
        _, end = self._log.standing([partition]).get(partition, (None, due))
        if end < due:
            log.error(
                "%s partition %d ends at %d, but everything below %d was admitted: it was made anew or restored; "
                "admitting what it has",
                *partition,
                end,
                due,
            )
        return end < due

    def _first_at(self, partition: InboxPartition, due: int, begin: int) -> int:
        """The offset of the first record from ``due`` on, at most ``begin``."""
        if self._sought.get(partition, (-1, 0.0))[0] == due:
            return due  # Kafka said before that it is a record
        first = min(begin, self._log.first_at(partition, due))
        if first < begin:
            log.warning(
                "%s partition %d: record %d came before record %d, which is due; reading again",
                *partition,
                begin,
                first,
            )
        return first


def first_offset(message: Message) -> int:
    """The offset of the first record that a message stands for: a batch that was not read has one message in place of
    all its records."""
    return message.value.first if isinstance(message.value, RefusedBatch) else message.offset
