"""The inbox topics that exist, and the generation of usage.events that their events are written to."""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka.admin import AdminClient

from schemas.catalog.state import Catalog
from schemas.kafka.topics import events_topic, inbox_topic, partition_count
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings

_TIMEOUT_SECONDS = 10


class Inboxes:
    """Inbox topics that exist in Kafka and belong to a declared namespace, whether or not it asks for one now: what
    was written to them before is read to its end."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._default_namespace = settings.namespace
        self._catalog = catalog
        self._admin = AdminClient(settings.librdkafka() | {"log_level": 2})
        self._existing: set[str] = set()
        self._missing = True
        self._seen_changed = -1

    def known(self) -> set[str]:
        """The topics found by the last query of Kafka."""
        return self._existing

    def names(self) -> list[str]:
        """Sorted topic names; queries Kafka if a namespace has changed since, or an inbox that is asked for was not
        found. Raises KafkaException."""
        changed = self._catalog.namespaces_changed
        if self._missing or changed != self._seen_changed:
            self._look(changed)
        return sorted(self._existing)

    def _look(self, changed: int) -> None:
        namespaces = self._catalog.namespaces()
        asking = {self._default_namespace, *(name for name in namespaces if self._catalog.view(name).settings.inbox)}
        declared = {inbox_topic(name) for name in (*namespaces, self._default_namespace)}
        topics = self._admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
        self._existing = declared & set(topics)
        self._missing = not {inbox_topic(name) for name in asking} <= self._existing
        self._seen_changed = changed


class OpenGeneration:
    """Provides a writer for the generation of usage.events that accepts events, replacing it when the generation
    changes.

    ``first_generation``: the generation that the stack began with. ``refusal``: why nothing may be written to a
    generation now, "" if it may. ``on_unreadable``: the writer's.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        first_generation: int,
        refusal: Callable[[int], str] = lambda _: "",
        on_unreadable: Callable[[str, int], None] = lambda topic, size: None,
    ) -> None:
        self._settings = settings
        self._refusal = refusal
        self._on_unreadable = on_unreadable
        self._catalog = catalog
        self._first_generation = first_generation
        self._writer: LedgerWriter | None = None
        self._partitions = 0

    def __call__(self) -> tuple[LedgerWriter, int]:
        """The writer and the topic's number of partitions. Raises LedgerUnavailable while the generation is being
        replaced, or is not the log that was metered."""
        generation = self._catalog.generations.state.writable(self._first_generation)
        if generation is None:
            raise LedgerUnavailable("usage.events is being moved to another number of partitions")
        if refusal := self._refusal(generation.number):
            raise LedgerUnavailable(refusal)
        topic = events_topic(generation.number)
        if self._writer is None or self._writer.topic != topic:
            self._partitions = generation.partitions or partition_count(self._settings, topic)
            self._writer = LedgerWriter(self._settings, topic, self._on_unreadable)
        return self._writer, self._partitions
