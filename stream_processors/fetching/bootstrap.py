"""The bootstrap servers that answer. aiokafka waits for one that takes the connection and never answers (a frozen
broker, a lost path) as long as for any request, and does nothing meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.settings import Settings

_SECONDS: Final = 3.0


def answering_servers(addresses: Sequence[str], answers: Callable[[str], bool]) -> list[str]:
    """Those that answer, in their order, all of them asked at once; where none does, all."""
    if len(addresses) < 2:
        return list(addresses)
    with ThreadPoolExecutor(len(addresses)) as threads:
        found = list(threads.map(answers, addresses))
    return [address for address, answered in zip(addresses, found, strict=True) if answered] or list(addresses)


def with_answering_servers(settings: Settings) -> Settings:
    """The settings with the bootstrap servers that answer within three seconds."""

    def answers(address: str) -> bool:
        server_settings = settings.model_copy(update={"kafka_bootstrap": address})
        try:
            return bool(
                AdminClient(server_settings.librdkafka() | {"log_level": 0}).list_topics(timeout=_SECONDS).brokers
            )
        except KafkaException:
            return False

    servers = answering_servers(settings.kafka_bootstrap.split(","), answers)
    return settings.model_copy(update={"kafka_bootstrap": ",".join(servers)})
