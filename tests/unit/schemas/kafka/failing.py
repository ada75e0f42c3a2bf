"""Producers on librdkafka's own broker in the process, and their failing for good as a broker that lost the sequence
makes them."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer, cimpl

from schemas.kafka import kafka_producer as module
from schemas.kafka.kafka_producer import KafkaProducer
from schemas.settings import Settings

REASON = "the sequence is lost"


def mock_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every producer has a broker of its own from here on, in this process, which makes each topic that it is asked
    for. No unit test is allowed the client otherwise."""
    monkeypatch.setattr(module, "Producer", Producer)
    monkeypatch.setattr(Settings, "librdkafka", lambda _: {"bootstrap.servers": "none", "test.mock.num.brokers": 1})


def fail(producer: KafkaProducer) -> None:
    """The error that is documented for tests in rdkafka.h; the client's handle lies behind the object's header."""
    library = ctypes.CDLL(cimpl.__file__)
    handle = ctypes.c_void_p.from_address(id(producer._client) + object.__basicsize__)
    assert library.rd_kafka_test_fatal_error(handle, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, REASON.encode()) == 0


def failing_after(monkeypatch: pytest.MonkeyPatch, records: int) -> None:
    """The producer that is handed so many records from here on fails once it has the last of them."""
    handed: list[Any] = []
    produce = KafkaProducer.produce

    def produced(self: KafkaProducer, *record: Any, **options: Any) -> None:
        produce(self, *record, **options)
        handed.append(record)
        if len(handed) == records:
            fail(self)

    monkeypatch.setattr(KafkaProducer, "produce", produced)
