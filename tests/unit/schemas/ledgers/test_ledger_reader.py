"""A reader that is held for long outlives a consumer that no longer knows its topic."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from schemas.ledgers import transport
from schemas.ledgers.transport import FAILURES, LedgerReader, LedgerUnavailable
from schemas.settings import Settings

TOPIC = "usage.rejected"


class Message:
    """A record of a partition, at an offset."""

    def __init__(self, partition: int, offset: int) -> None:
        self._position = partition, offset

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return self._position[0]

    def offset(self) -> int:
        return self._position[1]

    def timestamp(self) -> tuple[int, int]:
        return 2, 1

    def value(self) -> bytes:
        return b"x"


class Kafka:
    """Makes consumers; ``forgetful``: how many of the first ones lose sight of the topic's partitions."""

    def __init__(self, forgetful: int) -> None:
        self.forgetful = forgetful
        self.away = False
        self.consumers: list[Any] = []

    def consumer(self, settings: dict[str, Any]) -> Any:
        kafka, number = self, len(self.consumers)

        class Consumer:
            closed = fetches = False
            assigned: list[TopicPartition]

            def list_topics(self, topic: str, timeout: float) -> Any:
                if kafka.away:
                    raise KafkaException(KafkaError(KafkaError._TRANSPORT))
                return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None, 1: None})})

            def assign(self, partitions: list[TopicPartition]) -> None:
                self.assigned, self.fetches = partitions, True

            def unassign(self) -> None:
                self.fetches = False

            def poll(self, timeout: float) -> Any:
                assert self.fetches
                return Message(0, 0)

            def consume(self, most: int, timeout: float) -> list[Any]:
                return [Message(1, 7)]

            def offsets_for_times(self, questions: list[TopicPartition], timeout: float) -> list[Any]:
                if number < kafka.forgetful:
                    raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
                return [TopicPartition(TOPIC, question.partition, 9) for question in questions]

            def close(self) -> None:
                self.closed = True

        self.consumers.append(Consumer())
        return self.consumers[-1]


@pytest.fixture
def reader_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    def reader(kafka: Kafka) -> LedgerReader:
        monkeypatch.setattr(transport, "Consumer", kafka.consumer)
        return LedgerReader(Settings(), TOPIC)

    return reader


def fail(reader: LedgerReader, times: int) -> None:
    for _ in range(times):
        with pytest.raises(LedgerUnavailable):
            reader.end_offsets()


def test_a_reader_connects_anew_where_it_was_after_some_failures(reader_of: Any) -> None:
    kafka = Kafka(forgetful=1)
    reader = reader_of(kafka)
    reader.positions[1] = 7
    fail(reader, FAILURES)
    assert reader.end_offsets() == {0: 9, 1: 9}
    assert [consumer.closed for consumer in kafka.consumers] == [True, False]
    assert [record.partition for record in reader.read_to({0: 1, 1: 8})] == [0, 1]
    assert {position.partition: position.offset for position in kafka.consumers[1].assigned}[1] == 7


def test_a_reader_keeps_its_consumer_while_kafka_is_away(reader_of: Any) -> None:
    kafka = Kafka(forgetful=2)
    reader = reader_of(kafka)
    kafka.away = True
    fail(reader, FAILURES)
    assert [consumer.closed for consumer in kafka.consumers] == [False, True]
    kafka.away = False
    fail(reader, FAILURES)
    assert reader.end_offsets() == {0: 9, 1: 9}


def test_a_reader_fetches_only_while_it_reads(reader_of: Any) -> None:
    kafka = Kafka(forgetful=0)
    reader = reader_of(kafka)
    (consumer,) = kafka.consumers
    assert not consumer.fetches
    assert list(reader.read_to({0: 0, 1: 0})) == []
    for record in reader.read_to({0: 1, 1: 8}):
        assert (record.partition, consumer.fetches) == (record.partition, True)
    assert not consumer.fetches
    reading = reader.read_to({0: 9, 1: 9})
    next(reading)
    reading.close()  # whoever reads may stop early
    assert not consumer.fetches
