"""Kafka's time, asked of every partition's leader by a real client: the median counts, and what cannot be asked is no
time at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException

from schemas.kafka import clock
from schemas.kafka.clock import kafka_time_us
from schemas.kafka.kafka_producer import KafkaProducer, OnDelivery
from schemas.kafka.topics import CLOCK
from schemas.settings import Settings
from tests.unit.schemas.kafka.failing import mock_broker

NOW_MS = 1_800_000_000_000


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> None:
    mock_broker(monkeypatch)
    monkeypatch.setattr(clock, "_WAIT", 2.0)


class Stamped:
    """A delivered message with a time of a broker's choice; librdkafka's own broker always says the same."""

    def __init__(self, kind: int, ms: int) -> None:
        self._stamp = kind, ms

    def timestamp(self) -> tuple[int, int]:
        return self._stamp


def brokers_say(
    monkeypatch: pytest.MonkeyPatch, stamps_ms: Sequence[int | None], kind: int = TIMESTAMP_LOG_APPEND_TIME
) -> list[tuple[str, int]]:
    """Each partition's leader stamps by its own clock (None: it does not answer); returns where records go."""
    asked: list[tuple[str, int]] = []

    class Stamping(KafkaProducer):
        def partitions(self, topic: str, seconds: float) -> list[int]:
            return super().partitions(topic, seconds)[: len(stamps_ms)]

        def produce(self, topic: str, value: bytes, on_delivery: OnDelivery, **options: Any) -> None:
            partition = options["partition"]
            asked.append((topic, partition))

            def delivered(error: KafkaError | None, _: Any) -> None:
                stamp_ms = stamps_ms[partition]
                failed = KafkaError(KafkaError._MSG_TIMED_OUT) if stamp_ms is None else error
                on_delivery(failed, Stamped(kind, stamp_ms or 0))

            super().produce(topic, value, delivered, **options)

    monkeypatch.setattr(clock, "KafkaProducer", Stamping)
    return asked


def test_every_leader_is_asked_and_one_whose_clock_is_wrong_does_not_tell_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = brokers_say(monkeypatch, [NOW_MS, NOW_MS + 9_000_000, NOW_MS + 2])
    assert kafka_time_us(Settings()) == (NOW_MS + 2) * 1000
    assert asked == [(CLOCK, 0), (CLOCK, 1), (CLOCK, 2)]


def test_a_topic_without_append_times_tells_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = brokers_say(monkeypatch, [NOW_MS], TIMESTAMP_CREATE_TIME)
    assert kafka_time_us(Settings()) is None
    assert len(asked) == 1


def test_a_leader_that_does_not_answer_is_left_out_and_no_time_is_told_where_nobody_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brokers_say(monkeypatch, [None, NOW_MS])
    assert kafka_time_us(Settings()) == NOW_MS * 1000
    brokers_say(monkeypatch, [None])
    assert kafka_time_us(Settings()) is None

    def unreachable(*_: Any) -> list[int]:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(KafkaProducer, "partitions", unreachable)
    assert kafka_time_us(Settings()) is None
