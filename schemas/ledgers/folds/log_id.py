"""Which log a fold is of."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.kafka.topic_identity import topic_id
from schemas.kafka.topics import INVOICES
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import Settings

_TIMEOUT: Final = 30.0


def log_id(settings: Settings, admin: AdminClient | None = None, topic: str = INVOICES) -> str:
    """Tells the log from others of its name: Kafka's id of the topic. ``admin``: a client to ask with, None: one of
    its own. Raises LedgerUnavailable."""
    try:
        return topic_id(admin or AdminClient(settings.librdkafka() | {"log_level": 2}), topic, _TIMEOUT)
    except (KafkaException, TimeoutError) as error:
        raise LedgerUnavailable(f"{topic}: {error}") from error
