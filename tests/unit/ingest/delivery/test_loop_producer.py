"""A producer that has failed for good says so: whoever waits for a report is answered, and the process is replaced."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ingest.delivery import loop_producer
from ingest.delivery.clock_agreement import GatewayClock, ask
from ingest.delivery.loop_producer import LoopProducer
from schemas.kafka.kafka_producer import KafkaProducer
from schemas.settings import Settings
from schemas.store_settings import LEAST_RECORD_BYTES
from schemas.values.instants import DAY
from tests.unit.schemas.kafka.failing import REASON, failing_after, mock_broker


def test_a_fatal_error_that_poll_raises_is_told_and_the_reports_after_it_still_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mock_broker(monkeypatch)
    failing_after(monkeypatch, 1)

    async def deliver() -> tuple[str | None, str | None]:
        producer = LoopProducer(Settings())
        report: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        producer.produce("t", b"v", report.set_result)
        error = await asyncio.wait_for(report, 10)
        await asyncio.wait_for(producer.failed_for_good.wait(), 10)
        await producer.close(1)
        return error, producer.fatal

    error, fatal = asyncio.run(deliver())
    assert error is not None
    assert fatal is not None
    assert REASON in fatal


def test_a_record_whose_place_is_refused_is_reported_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the log lost its end: Kafka has it, and nobody will read it there."""
    mock_broker(monkeypatch)
    why: list[str | None] = ["below what was taken", None]

    async def deliver() -> list[str | None]:
        producer = LoopProducer(Settings())
        reports: list[str | None] = []
        for _ in range(2):
            report: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            producer.produce("t", b"v", report.set_result, partition=0, placed=why.__getitem__)  # offsets 0 and 1
            reports.append(await asyncio.wait_for(report, 10))
        await producer.close(1)
        return reports

    assert asyncio.run(deliver()) == why


def test_a_retry_that_was_confirmed_without_its_offset_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka gives none where the record had been appended already; the polling thread lives on."""
    mock_broker(monkeypatch)
    offsets: list[int] = []

    class Confirming(KafkaProducer):
        def produce(self, topic: str, value: bytes, on_delivery: Any = None, **options: Any) -> None:
            class WithoutOffset:
                def offset(self) -> None:
                    return None

            super().produce(topic, value, lambda error, _: on_delivery(error, WithoutOffset()), **options)

    monkeypatch.setattr(loop_producer, "KafkaProducer", Confirming)

    async def deliver() -> list[str | None]:
        producer = LoopProducer(Settings())
        reports: list[str | None] = []
        for _ in range(2):
            report: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            producer.produce("t", b"v", report.set_result, partition=0, placed=offsets.append)
            reports.append(await asyncio.wait_for(report, 10))
        await producer.close(1)
        return reports

    assert asyncio.run(deliver()) == [None, None]
    assert offsets == [-1, -1]


@pytest.mark.parametrize(("now_us", "told"), [(1_234_000, []), (40 * DAY, ["clock_wrong"])])
def test_a_gateway_knows_at_its_start_whether_its_clock_is_right(
    monkeypatch: pytest.MonkeyPatch, now_us: int, told: list[str]
) -> None:
    """librdkafka's own broker appends everything at 1.234 s after the epoch."""
    mock_broker(monkeypatch)

    async def start() -> list[str]:
        clock = GatewayClock(lambda: now_us)
        producer = LoopProducer(Settings(), clock=clock)
        await asyncio.wait_for(ask(clock, producer), 10)
        await producer.close(1)
        return [reason.name for reason in clock.check() if reason.refuses]

    assert asyncio.run(start()) == told


def test_a_record_that_is_refused_by_its_size_is_told_with_its_topic_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """By which a limit that may not be read is learnt."""
    mock_broker(monkeypatch)
    refused: list[tuple[str, int]] = []

    async def deliver() -> str | None:
        settings = Settings(kafka_record_bytes=LEAST_RECORD_BYTES)
        producer = LoopProducer(settings, on_refused=lambda *of: refused.append(of))
        report: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        producer.produce("t", b"v" * 200_000, report.set_result)
        error = await asyncio.wait_for(report, 10)
        await producer.close(1)
        return error

    assert "takes no record of 200000 bytes" in str(asyncio.run(deliver()))
    assert refused == [("t", 200_000)]
