"""Writes inbox records to usage.events, or to usage.rejected. ``Admission.step`` is repeated until it returns.

A repeated step does not write again what Kafka has acknowledged: those events would be counted as duplicates. A
packed record that Kafka will never accept (too large) is split into smaller ones, down to a single event, which is
then rejected with the reason; other records do not wait for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError

from schemas.catalog.state import Catalog
from schemas.errors import CannotGoOn
from schemas.events.rejections import rejection_record
from schemas.kafka.errors import explained, meaning
from schemas.kafka.limits import packed_limit, topic_limits
from schemas.kafka.topics import generation_of
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.usage_log.acknowledged import NOTHING_TAKEN, Acknowledged
from stream_processors.inbox.admit import (
    BATCH_EVENTS,
    InboxEntry,
    InboxRecord,
    PackedEvents,
    admit,
    entries_of,
    not_taken,
    pack_entries,
)

log = logging.getLogger(__name__)

OpenEvents = Callable[[], tuple[LedgerWriter, int]]
"""Returns a writer for the current generation of usage.events, and its number of partitions. Raises LedgerUnavailable
while the generation is being replaced."""


class Admission:
    """Judges ``records`` once, by the catalog as it is at construction; ``step`` writes the outcome."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        records: Sequence[InboxRecord],
        open_events: OpenEvents,
        rejected: LedgerWriter,
        acknowledged: Acknowledged | None = None,
    ) -> None:
        self._acknowledged = acknowledged
        self._settings = settings
        self._offset = catalog.next_offset
        admitted = [admit(record, catalog.view(record.namespace, self._offset)) for record in records]
        self._entries: list[InboxEntry] = entries_of(admitted)
        self._rejections = [
            admitted_record.rejection for admitted_record in admitted if admitted_record.rejection is not None
        ]
        self._open_events = open_events
        self._rejected = rejected
        self._size = packed_limit(settings)

    def step(self) -> None:
        """Write everything that Kafka has not acknowledged yet. Raises LedgerUnavailable (try again), CannotGoOn."""
        while self._entries:
            writer, partitions = self._open_events()
            packed = pack_entries(self._entries, partitions, self._offset, size=self._size, events=BATCH_EVENTS)
            left: list[InboxEntry] = []
            trouble: KafkaError | None = None
            for batch, error in self._delivered(writer, packed):
                if error is None:
                    continue
                if meaning(error) == "not this record":
                    left += self._smaller(writer, batch, error)
                else:
                    trouble = trouble or error
                    left += batch.entries
            self._entries = left
            if trouble is not None:
                raise _of(writer.topic, trouble)
        while self._rejections:
            limit = self._rejected.limit
            values = [(b"", rejection_record(rejection, limit)) for rejection in self._rejections]
            results = self._rejected.deliver(values)
            self._rejections = [
                rejection
                for rejection, result in zip(self._rejections, results, strict=True)
                if isinstance(result, KafkaError)
            ]
            for result in results:
                # Where the topic takes less than the settings say, less of the original is kept.
                shorter = self._rejected.limit < limit
                if isinstance(result, KafkaError) and not (meaning(result) == "not this record" and shorter):
                    raise _of(self._rejected.topic, result)

    def _delivered(
        self, writer: LedgerWriter, packed: Sequence[PackedEvents]
    ) -> list[tuple[PackedEvents, KafkaError | None]]:
        outcomes: list[tuple[PackedEvents, KafkaError | None]] = []
        for partition in dict.fromkeys(batch.partition for batch in packed):
            of_partition = [batch for batch in packed if batch.partition == partition]
            generation, counted = generation_of(writer.topic), self._acknowledged
            taken = NOTHING_TAKEN if counted is None else counted.taken(generation, partition)
            results = writer.deliver([(b"", batch.value) for batch in of_partition], partition)
            for batch, result in zip(of_partition, results, strict=True):
                error: KafkaError | None = None
                if isinstance(result, KafkaError):
                    error = result
                elif counted is not None:
                    namespace, events = batch.entries[0][0].namespace, len(batch.entries)
                    if (why := counted.add(namespace, generation, partition, result[1], events, taken)) is not None:
                        error = KafkaError(KafkaError._FAIL, why)  # it may pass: written again, it comes to lie higher
                outcomes.append((batch, error))
        return outcomes

    def _smaller(self, writer: LedgerWriter, batch: PackedEvents, error: KafkaError) -> Sequence[InboxEntry]:
        """Halve the packing size and return the entries to pack again; a single event becomes a rejection.

        Raises LedgerUnavailable if the topic has just been sealed, which shows as the same error.
        """
        limit = topic_limits(self._settings, [writer.topic])[writer.topic]
        if limit == 0:
            raise LedgerUnavailable(f"{writer.topic} is being sealed")
        log.warning("%s: a packed batch of %d bytes is refused (%s)", writer.topic, len(batch.value), error.str())
        if len(batch.entries) == 1:
            self._rejections.append(not_taken(batch.entries[0], limit))
            return ()
        self._size = min(self._size, len(batch.value)) // 2
        return batch.entries


def _of(topic: str, error: KafkaError) -> Exception:
    if meaning(error) == "may pass":
        return LedgerUnavailable(f"{topic}: not written: {error.str()}")
    return CannotGoOn(f"{topic}: {explained(error)}")
