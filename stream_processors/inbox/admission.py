"""Writes inbox records to usage.events, or to usage.rejected. ``Admission.step`` is repeated until it returns.

A repeated step does not write again what Kafka has acknowledged: those events would be counted as duplicates. A
packed record that Kafka will never accept (too large) is split into smaller ones, down to a single event, which is
then rejected with the reason; other records do not wait for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException

from schemas.catalog.state import Catalog
from schemas.errors import CannotGoOn
from schemas.events.rejections import rejection_record
from schemas.kafka.errors import explained, kafka_error, meaning
from schemas.kafka.limits import packed_limit, topic_limit
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
            refused: list[tuple[PackedEvents, KafkaError]] = []
            trouble: KafkaError | None = None
            for batch, error in self._delivered(writer, packed):
                if error is not None and meaning(error) == "not this record":
                    refused.append((batch, error))
                elif error is not None:
                    trouble = trouble or error
            limit = self._limit(writer) if refused else None
            for batch, error in refused:
                self._smaller(writer, batch, error, self._refusing(writer, batch) if limit is None else limit)
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
        """The outcome of each batch. What a partition has taken is left to do no longer once it is known, whatever is
        raised afterwards."""
        outcomes: list[tuple[PackedEvents, KafkaError | None]] = []
        waiting: dict[int, list[PackedEvents]] = {}
        for batch in packed:
            waiting.setdefault(batch.partition, []).append(batch)
        for partition, of_partition in list(waiting.items()):
            generation, counted = generation_of(writer.topic), self._acknowledged
            taken = NOTHING_TAKEN if counted is None else counted.taken(generation, partition)
            results = writer.deliver([(b"", batch.value) for batch in of_partition], partition)
            left: list[PackedEvents] = []
            for batch, result in zip(of_partition, results, strict=True):
                error: KafkaError | None = None
                if isinstance(result, KafkaError):
                    error = result
                elif counted is not None:
                    namespace, events = batch.entries[0][0].namespace, len(batch.entries)
                    if (why := counted.add(namespace, generation, partition, result[1], events, taken)) is not None:
                        error = KafkaError(KafkaError._FAIL, why)  # it may pass: written again, it comes to lie higher
                if error is not None:
                    left.append(batch)
                outcomes.append((batch, error))
            waiting[partition] = left
            self._entries = [entry for batches in waiting.values() for batch in batches for entry in batch.entries]
        return outcomes

    def _smaller(self, writer: LedgerWriter, batch: PackedEvents, error: KafkaError, limit: int) -> None:
        """Halve the packing size, so that the entries are packed again; a single event becomes a rejection.

        Raises LedgerUnavailable if the topic has just been sealed, which shows as the same error.
        """
        if limit == 0:
            raise LedgerUnavailable(f"{writer.topic} is being sealed")
        log.warning("%s: a packed batch of %d bytes is refused (%s)", writer.topic, len(batch.value), error.str())
        if len(batch.entries) == 1:
            [too_large] = batch.entries
            self._rejections.append(not_taken(too_large, limit))
            self._entries = [entry for entry in self._entries if entry is not too_large]
        self._size = min(self._size, len(batch.value)) // 2

    def _limit(self, writer: LedgerWriter) -> int | None:
        """The topic's limit in bytes, None where it may not be read. Raises LedgerUnavailable where it is not known for
        a moment."""
        try:
            return topic_limit(self._settings, writer.topic)
        except KafkaException as unknown:
            cause = kafka_error(unknown)
            if cause is None or meaning(cause) != "cannot go on":
                raise LedgerUnavailable(f"{writer.topic}: its max.message.bytes is not known: {unknown}") from unknown
        return None

    def _refusing(self, writer: LedgerWriter, batch: PackedEvents) -> int:
        """A limit that may not be read: below the refused batch; 0 if the topic does not even take an empty record,
        which the meter passes over, as a probe."""
        if len(batch.entries) > 1:
            return len(batch.value)
        [probed] = writer.deliver([(b"", b"")], batch.partition)
        return 0 if isinstance(probed, KafkaError) else len(batch.value)


def _of(topic: str, error: KafkaError) -> Exception:
    if meaning(error) == "may pass":
        return LedgerUnavailable(f"{topic}: not written: {error.str()}")
    return CannotGoOn(f"{topic}: {explained(error)}")
