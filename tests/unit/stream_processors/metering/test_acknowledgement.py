"""An agent never acknowledges what is not durable: the order of write and acknowledgement, with a writer that is held
back."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from stream_processors import threads
from stream_processors.metering import pipeline
from stream_processors.metering.pipeline import MeterPipeline
from stream_processors.takes import UNIT_BYTES, units_of
from stream_processors.threads import Stopping, executor, in_thread


def record(offset: int, size: int = 10) -> Any:
    return SimpleNamespace(
        message=SimpleNamespace(topic="usage.events.1", partition=0, offset=offset, timestamp=1.0, value=bytes(size))
    )


class HeldMeter:
    """Its commits wait until they are let go; ``trouble`` is what they then raise."""

    def __init__(
        self, trouble: Exception | None = None, gaps: dict[int, int] | None = None, at_once: int = 1 << 30
    ) -> None:
        self.at_once = at_once  # records of one flush
        self.go = threading.Semaphore(0)
        self.gaps = gaps or {}
        self.trouble = trouble
        self.durable: list[int] = []

    def prepare(self, raws: Any, in_flight: Future[None] | None) -> Any:
        accepted_offsets = [raw.offset for raw in raws if raw.offset < self.gaps.get(raw.partition, raw.offset + 1)]
        left = {raws[0].partition: raws[self.at_once].offset} if len(raws) > self.at_once else {}
        return SimpleNamespace(offsets=accepted_offsets[: self.at_once], gaps=self.gaps, left=left)

    def commit(self, flush: Any) -> None:
        assert self.go.acquire(timeout=20)
        if self.trouble is not None:
            raise self.trouble
        self.durable += flush.offsets


class Acks:
    """What was acknowledged, and whether it was durable then."""

    def __init__(self, meter: HeldMeter) -> None:
        self.meter = meter
        self.offsets: list[int] = []

    async def __call__(self, event: Any) -> None:
        assert event.message.offset in self.meter.durable
        self.offsets.append(event.message.offset)


async def settle(condition: Any) -> None:
    """Let the loop turn until the condition holds; the test's time limit ends it otherwise."""
    while not condition():  # noqa: ASYNC110 (the condition is a thread's doing)
        await asyncio.sleep(0)


def test_nothing_is_acknowledged_before_it_is_written_and_everything_after() -> None:
    async def scenario() -> None:
        meter: Any = HeldMeter()
        acks, road = Acks(meter), MeterPipeline(meter, 0.0)
        # Each is a unit of its own. The second is prepared while the first is written; the third must wait.
        big = [record(offset, UNIT_BYTES) for offset in range(3)]
        assert [len(unit) for unit in units_of(big)] == [1, 1, 1]
        submitting = asyncio.create_task(road.submit(big, acks))
        await settle(lambda: road.busy)
        assert not submitting.done()
        assert acks.offsets == []
        for _ in range(2):
            meter.go.release()
        await submitting
        await settle(lambda: acks.offsets == [0, 1])
        assert road.busy
        meter.go.release()
        await settle(lambda: acks.offsets == [0, 1, 2] and not road.busy)

    asyncio.run(scenario())


def test_what_lies_above_a_gap_is_not_acknowledged_and_holds_up_no_rebalance() -> None:
    """It is read again. Acknowledged, and the worker killed, nobody would look for it until a next record comes."""

    async def scenario() -> None:
        meter: Any = HeldMeter(gaps={0: 2})
        acks, road = Acks(meter), MeterPipeline(meter, 0.0)
        events = [
            record(offset) for offset in (0, 1, 7, 8, 2)
        ]  # 2 came in the same unit, after the gap: passed over as well
        meter.go.release()
        await road.submit(events, acks)
        await settle(lambda: not road.busy)
        assert acks.offsets == [0, 1]
        assert [event.message.offset for event in events if getattr(event.message, "acked", False)] == [7, 8, 2]

    asyncio.run(scenario())


@pytest.mark.parametrize("trouble", [RuntimeError("refused for good"), Stopping("insert")])
def test_what_could_not_be_written_is_never_acknowledged(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def end(why: str) -> Any:
        ended.append(why)
        raise SystemExit

    monkeypatch.setattr(pipeline, "end_hard", end)

    async def scenario() -> None:
        meter: Any = HeldMeter(trouble)
        acks, road = Acks(meter), MeterPipeline(meter, 0.0)
        await road.submit([record(0)], acks)
        meter.go.release()
        acknowledging: Any = road._acknowledging
        await asyncio.wait({acknowledging}, timeout=0.2)
        assert acks.offsets == []
        assert road.busy
        if isinstance(trouble, Stopping):
            acknowledging.cancel()  # it waits for the end of the process

    with contextlib.nullcontext() if isinstance(trouble, Stopping) else pytest.raises(SystemExit):
        asyncio.run(scenario())
    assert len(ended) == (0 if isinstance(trouble, Stopping) else 1)


def test_other_agents_repeat_a_write_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "RETRY_SECONDS", 0.0)
    attempts: list[int] = []

    def write() -> str:
        attempts.append(len(attempts))
        if len(attempts) < 3:
            raise TimeoutError
        return "durable"

    assert asyncio.run(in_thread(executor("test"), "write", write)) == "durable"
    assert attempts == [0, 1, 2]


def test_what_one_flush_does_not_hold_goes_into_the_next_ones_and_is_acknowledged_with_them() -> None:
    async def scenario() -> None:
        meter: Any = HeldMeter(at_once=2)
        acks, road = Acks(meter), MeterPipeline(meter, 0.0)
        submitting = asyncio.create_task(road.submit([record(offset) for offset in range(5)], acks))
        for done in ([0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4]):
            meter.go.release()
            await settle(lambda done=done: acks.offsets == done)
        await submitting
        assert meter.durable == [0, 1, 2, 3, 4]

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [1, UNIT_BYTES])
def test_the_next_unit_waits_for_its_time_however_large_the_one_before(size: int) -> None:
    """It is ``pause`` that returns early where enough waits."""

    async def scenario() -> None:
        meter: Any = HeldMeter()
        acks, road = Acks(meter), MeterPipeline(meter, 5.0)
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)

        meter.go.release()
        await road.submit([record(0, size)], acks, pause)
        assert len(pauses) == 1
        assert 0.0 < pauses[0] <= 5.0
        await settle(lambda: acks.offsets == [0])

    asyncio.run(scenario())
