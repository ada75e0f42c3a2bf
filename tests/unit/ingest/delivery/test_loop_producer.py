"""A producer that has failed for good says so: whoever waits for a report is answered, and the process is replaced."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from ingest.delivery import loop_producer as module
from ingest.delivery.loop_producer import LoopProducer
from schemas.settings import Settings


class Desynchronized:
    """What the client does when a broker lost the sequence numbers: the error comes out of ``poll``, then the
    reports."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.reports: list[Any] = []
        self.polls = 0

    def produce(self, topic: str, **record: Any) -> None:
        self.reports.append(record["on_delivery"])

    def poll(self, timeout: float) -> None:
        if not self.reports:
            return
        self.polls += 1
        if self.polls == 1:
            raise KafkaException(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "desynchronized", fatal=True))
        self.reports.pop()(KafkaError(KafkaError._FATAL, "failed"), None)

    def flush(self, seconds: float) -> int:
        return 0


def test_a_fatal_error_that_poll_raises_is_told_and_the_reports_after_it_still_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "Producer", Desynchronized)

    async def deliver() -> tuple[str | None, str | None]:
        producer = LoopProducer(Settings())
        report: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        producer.produce("t", b"v", report.set_result)
        error = await asyncio.wait_for(report, 10)
        await asyncio.wait_for(producer.failed_for_good.wait(), 10)
        await producer.close(1)
        return error, producer.fatal

    error, fatal = asyncio.run(deliver())
    assert error == "failed"
    assert fatal == "desynchronized"
