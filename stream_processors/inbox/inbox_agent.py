"""The agent of the inboxes: usage.inbox.* → usage.events or usage.rejected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from confluent_kafka import KafkaException
from faust.types import TP

from schemas.kafka.topics import namespace_of_inbox
from schemas.ledgers.errors import LedgerUnavailable
from stream_processors.inbox.admit import InboxRecord
from stream_processors.inbox.in_sequence import InboxPartition, InSequence
from stream_processors.takes import Ack, FaustEvent, Message, append_us, begin_of, units_of
from stream_processors.threads import Work, executor, in_thread

log = logging.getLogger(__name__)


class Writing(Protocol):
    """What is to be written of judged records, see ``admission.Admission``."""

    def step(self) -> None:
        """Write what is not written yet; repeated until it returns."""


Judge = Callable[[Sequence[InboxRecord]], Writing]
"""Judges records by the catalog as it is at the time of the call."""


SeekPartition = Callable[[TP, int], Awaitable[None]]
"""Makes the app's consumer read a partition again from an offset."""


class InboxAgent:
    """Admits inbox records in units (``takes.units_of``), in sequence within each partition; each is acknowledged once
    Kafka has stored its events and rejections."""

    def __init__(self, judge: Judge, in_sequence: InSequence) -> None:
        self._judge = judge
        self._in_sequence = in_sequence
        self._thread = executor("admit")
        self.work = Work()

    def reassigned(self) -> None:
        """Call when partitions were revoked or assigned."""
        self._in_sequence.reassigned()

    def unread(self, owned: Sequence[InboxPartition]) -> bool:
        """Whether any of the owned partitions has records that are not admitted. Raises KafkaException."""
        return self._in_sequence.unread(owned)

    async def take(self, events: Sequence[FaustEvent], ack: Ack, seek: SeekPartition) -> None:
        """Admit one take of Faust events."""
        for unit in units_of(events):
            with self.work:
                self.work.position = begin_of(unit)
                assignment = self._in_sequence.assignment
                parts = await in_thread(self._thread, "admit", partial(self._in_sequence.sort, unit), self.work)
                if parts.due:
                    records = [inbox_record(event.message) for event in parts.due]
                    admission = await in_thread(self._thread, "admit", partial(self._judge, records))
                    await in_thread(self._thread, "admit", admission.step, self.work)
                self._in_sequence.admitted(parts, assignment)
                for event in (*parts.before, *parts.due):
                    await ack(event)
                for event in parts.beyond:
                    # It comes again, so its offset must not be committed. Setting only the flag lets a rebalance
                    # proceed without waiting for it.
                    event.message.acked = True
                for (topic, partition), offset in parts.again.items():
                    await _seek(seek, TP(topic, partition), offset)

    async def read_overdue(self, owned: Sequence[InboxPartition], seek: SeekPartition) -> None:
        """Read again what is due in the owned partitions and did not come. Call it every few seconds."""
        if self.work.busy or not owned:
            return
        looking = partial(self._in_sequence.overdue, owned)
        try:
            late = await asyncio.get_running_loop().run_in_executor(self._thread, looking)
        except (KafkaException, LedgerUnavailable) as error:
            log.warning("the ends of the inboxes are not known: %s", error)
            return
        for (topic, partition), offset in late.items():
            await _seek(seek, TP(topic, partition), offset)


async def _seek(seek: SeekPartition, partition: TP, offset: int) -> None:
    try:
        await seek(partition, offset)
    except Exception as error:
        # The partition may have been revoked; if it was not, the hole shows again with its next record.
        log.warning("seek %s to %d: %r", partition, offset, error)


def inbox_record(message: Message) -> InboxRecord:
    """The inbox record contained in a Faust message."""
    return InboxRecord(
        message.topic,
        namespace_of_inbox(message.topic),
        message.partition,
        message.offset,
        append_us(message),
        message.value or b"",
    )
