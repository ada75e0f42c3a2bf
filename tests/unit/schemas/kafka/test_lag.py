"""Offsets of a group: asked of Kafka on one connection, which is made anew after an error."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from schemas.kafka import lag
from schemas.kafka.lag import Lag
from schemas.settings import Settings

FIRST, SECOND = ("usage.inbox.shop", 0), ("usage.inbox.shop", 1)
COMMITS = {FIRST: 7, SECOND: -1001}  # nothing committed of the second
BEGINS = {FIRST: 0, SECOND: 4}  # and its records are deleted
ENDS = {FIRST: 9, SECOND: 4}


class Answer:
    """What confluent_kafka returns for a partition: an offset or an error."""

    def __init__(self, partition: tuple[str, int], offset: int, error: KafkaError | None = None) -> None:
        self.topic, self.partition = partition
        self.offset, self.error = offset, error


class Consumer:
    """``unknown``: partitions that it does not know any more."""

    def __init__(self, unknown: set[tuple[str, int]]) -> None:
        self.unknown = unknown
        self.closed = False

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        if (partition.topic, partition.partition) in self.unknown:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        return BEGINS[key_of(partition)], ENDS[key_of(partition)]

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[Answer]:
        return [Answer(key, COMMITS[key]) for key in map(key_of, partitions)]

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> list[Answer]:
        error = KafkaError(KafkaError._UNKNOWN_PARTITION)
        return [
            Answer(key, -1, error) if key in self.unknown else Answer(key, ENDS[key]) for key in map(key_of, partitions)
        ]

    def close(self) -> None:
        self.closed = True


def key_of(partition: TopicPartition) -> tuple[str, int]:
    return partition.topic, partition.partition


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch) -> list[Consumer]:
    """The consumers that were made; the first one has lost sight of the second partition."""
    made: list[Consumer] = []

    def make(settings: dict[str, Any]) -> Consumer:
        assert settings["isolation.level"] == "read_uncommitted", "a log would end below what was read"
        made.append(Consumer(set() if made else {SECOND}))
        return made[-1]

    monkeypatch.setattr(lag, "Consumer", make)
    return made


def test_an_error_makes_the_next_query_connect_anew(consumers: list[Consumer]) -> None:
    queries = Lag(Settings(), "weir-admit")
    assert queries.bounds(*FIRST) == (0, 9)
    with pytest.raises(KafkaException):
        queries.bounds(*SECOND)
    assert queries.bounds(*SECOND) == (4, 4)
    assert [consumer.closed for consumer in consumers] == [True, False]


def test_a_partition_that_kafka_does_not_answer_for_is_left_out_this_time(consumers: list[Consumer]) -> None:
    queries = Lag(Settings(), "weir-admit")
    assert queries.standing([FIRST, SECOND]) == {FIRST: (7, 9)}
    assert queries.standing([FIRST, SECOND]) == {FIRST: (7, 9), SECOND: (None, 4)}
    assert [consumer.closed for consumer in consumers] == [True, False]
    assert queries.standing([]) == {}


def test_a_commit_is_none_until_there_is_one(consumers: list[Consumer]) -> None:
    queries = Lag(Settings(), "weir-admit")
    assert (queries.committed(*FIRST), queries.committed(*SECOND)) == (7, None)


def test_a_group_is_behind_where_records_are_left_that_it_has_not_committed(consumers: list[Consumer]) -> None:
    queries = Lag(Settings(), "weir-admit")
    with pytest.raises(KafkaException):
        queries.bounds(*SECOND)
    assert queries.behind([FIRST, SECOND])
    assert not queries.behind([SECOND])
    assert not queries.behind([])
