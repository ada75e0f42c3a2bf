"""A producer's failing for good never goes unseen, whatever call comes to know it, and no report is lost with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.errors import WeirError
from schemas.kafka.kafka_producer import KafkaProducer
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.usage_log import generation_change
from tests.unit.schemas.kafka.failing import REASON, fail, failing_after, mock_broker

ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> None:
    mock_broker(monkeypatch)


def test_flush_tells_a_fatal_error_once_and_every_report_after_it() -> None:
    told: list[KafkaError] = []
    reports: list[KafkaError | None] = []
    producer = KafkaProducer(Settings(), {"enable.idempotence": True}, told.append)
    for _ in range(3):
        producer.produce("t", b"v", lambda error, _: reports.append(error))
    fail(producer)
    assert producer.flush(10) == 0
    assert [error.fatal() for error in told] == [True]
    assert producer.fatal is told[0]
    assert len(reports) == 3


def test_a_producer_that_failed_while_nobody_asked_says_why_at_the_next_record() -> None:
    producer = KafkaProducer(Settings(), {"enable.idempotence": True})
    fail(producer)
    with pytest.raises(KafkaException):
        producer.produce("t", b"v", lambda *_: None)
    assert producer.fatal is not None
    assert REASON in producer.fatal.str()
    producer.poll(0)


def test_a_ledgers_writer_goes_on_with_another_producer() -> None:
    writer = LedgerWriter(Settings(), "usage.invoices")
    partition, offset = writer.append(b"k", b"v", 0)
    assert (partition, offset) == (0, 0)
    failed = writer._producer
    fail(failed)
    assert writer.append(b"k", b"v", 0) == (0, 0)  # the other one's broker is another one too
    assert writer._producer is not failed


def test_what_a_ledgers_writer_had_on_its_way_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LedgerWriter(Settings(), "usage.rejected")
    failing_after(monkeypatch, 2)
    with pytest.raises(LedgerUnavailable, match=REASON):
        writer.append_all([(b"k", b"1"), (b"k", b"2"), (b"k", b"3")], 0)
    assert writer.append(b"k", b"v", 0) == (0, 0)


def test_a_probe_of_a_seal_is_answered_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_after(monkeypatch, 1)
    with pytest.raises((KafkaException, WeirError)):
        generation_change._refuses(Settings(), "usage.events", 0)


def test_no_producer_is_made_elsewhere() -> None:
    rooms = ("deploy", "ingest", "rating", "schemas", "stream_processors")
    pattern = re.compile(r"from confluent_kafka import [^\n]*\bProducer\b|confluent_kafka\.Producer|aiokafka.*Producer")
    makers = [
        str(file.relative_to(ROOT))
        for room in rooms
        for file in (ROOT / room).rglob("*.py")
        if pattern.search(file.read_text())
    ]
    assert makers == ["schemas/kafka/kafka_producer.py"]
