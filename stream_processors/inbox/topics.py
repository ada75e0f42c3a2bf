"""Which inboxes there are, and into which generation of usage.events their events go."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient

from schemas.catalog.state import Catalog
from schemas.kafka.topics import events_topic, inbox_topic, partition_count
from schemas.ledgers.transport import LedgerUnavailable, LedgerWriter
from schemas.settings import Settings

_TIMEOUT_SECONDS = 10


class Inboxes:
    """The inbox topics of all declared namespaces that exist in Kafka."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._default_namespace = settings.namespace
        self._catalog = catalog
        self._admin = AdminClient(settings.librdkafka() | {"log_level": 2})
        self._existing: set[str] = set()

    def known(self) -> set[str]:
        """Those that the latest look into Kafka found."""
        return self._existing

    def names(self) -> list[str]:
        """Their names as of now, in order; asks Kafka while one that is declared was not found. Raises
        KafkaException."""
        declared = {inbox_topic(name) for name in (*self._catalog.namespaces(), self._default_namespace)}
        if declared - self._existing:
            self._existing = declared & set(self._admin.list_topics(timeout=_TIMEOUT_SECONDS).topics)
        return sorted(self._existing)


class OpenGeneration:
    """A writer of the generation of usage.events that takes events; another one once that is replaced.

    ``first_generation``: the one that a stack of these settings began with.
    """

    def __init__(self, settings: Settings, catalog: Catalog, first_generation: int) -> None:
        self._settings = settings
        self._catalog = catalog
        self._first_generation = first_generation
        self._writer: LedgerWriter | None = None
        self._partitions = 0

    def __call__(self) -> tuple[LedgerWriter, int]:
        """The writer and the topic's number of partitions. Raises LedgerUnavailable while the generation is
        replaced."""
        generation = self._catalog.generations.state.writable(self._first_generation)
        if generation is None:
            raise LedgerUnavailable("usage.events is being moved to another number of partitions")
        topic = events_topic(generation.number)
        if self._writer is None or self._writer.topic != topic:
            self._partitions = generation.partitions or partition_count(self._settings, topic)
            self._writer = LedgerWriter(self._settings, topic)
        return self._writer, self._partitions
