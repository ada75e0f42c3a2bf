"""A producer that has failed for good says so: whoever waits for a report is answered, and the process is replaced."""

from __future__ import annotations

import asyncio

import pytest

from ingest.delivery.loop_producer import LoopProducer
from schemas.settings import Settings
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
