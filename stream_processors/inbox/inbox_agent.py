"""The agent of the inboxes: usage.inbox.* → usage.events or usage.rejected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from schemas.kafka.topics import namespace_of_inbox
from stream_processors.inbox.admission import Admission
from stream_processors.inbox.admit import InboxRecord
from stream_processors.takes import Ack, FaustEvent, Message, append_us, begin_of, units_of
from stream_processors.threads import Work, executor, in_thread

Judge = Callable[[Sequence[InboxRecord]], Admission]
"""Judges records by the catalog as it is at the time of the call."""


class InboxAgent:
    """Admits inbox records in units (``takes.units_of``); each is acknowledged once Kafka has stored its events and
    rejections."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._thread = executor("admit")
        self.work = Work()

    async def take(self, events: Sequence[FaustEvent], ack: Ack) -> None:
        """Admit one take of Faust events."""
        for unit in units_of(events):
            records = [inbox_record(event.message) for event in unit]
            with self.work:
                self.work.position = begin_of(unit)
                admission = await in_thread(self._thread, "admit", partial(self._judge, records))
                await in_thread(self._thread, "admit", admission.step, self.work)
                for event in unit:
                    await ack(event)


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
