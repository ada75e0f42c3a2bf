"""Connects the Faust agent with the meter's two threads: ordering, back-pressure, and acknowledgement after the
write."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from schemas.errors import EXIT_HELD, CannotGoOn
from stream_processors.metering.breaker import Poisoned
from stream_processors.metering.flush import UnitMeter
from stream_processors.metering.metered_topic import RawRecord
from stream_processors.takes import Ack, FaustEvent, append_us, begin_of, units_of
from stream_processors.threads import Stopping, Work, end_hard, executor

log = logging.getLogger(__name__)

Pause = Callable[[float], Awaitable[object]]
"""Waits so many seconds, or less where enough for a flush waits already."""


def raw_record(event: FaustEvent) -> RawRecord:
    """The Kafka record of a Faust event."""
    message = event.message
    return RawRecord(message.partition, message.offset, append_us(message), message.value or b"")


class MeterPipeline:
    """Prepares one unit of records while the previous one is written, and acknowledges units in order.

    ``flush_seconds``: time between the starts of two units; the first one after a pause starts at once, and one for
    which enough waits."""

    def __init__(self, meter: UnitMeter, flush_seconds: float) -> None:
        self._meter = meter
        self._flush_seconds = flush_seconds
        self._preparing: ThreadPoolExecutor = executor("prepare")
        self._committing: ThreadPoolExecutor = executor("commit")
        self._in_flight: Future[None] | None = None
        self._acknowledging: asyncio.Task[None] | None = None
        self._prepared = Work()
        self.moved_at = time.monotonic()
        self.position = ""

    @property
    def trouble(self) -> str:
        """The error being retried, or what is waited for; "" if none."""
        return self._meter.trouble

    @property
    def busy(self) -> bool:
        """Whether a unit is being prepared or written."""
        acknowledging = self._acknowledging
        return self._prepared.busy or (acknowledging is not None and not acknowledging.done())

    async def submit(self, events: Sequence[FaustEvent], ack: Ack, pause: Pause = asyncio.sleep) -> None:
        """Meter one take. Returns when the next one is due: once the last unit is prepared and its write has begun, and
        ``pause`` has returned."""
        for unit in units_of(events):
            began = time.monotonic()
            left = unit
            while left:
                left = await self._submit_unit(left, ack)
        # Flushes are spaced out: ten rows cost ClickHouse about as much as a thousand, and more rows in fewer parts are
        # merged less often (README: what a flush holds).
        await pause(max(0.0, began + self._flush_seconds - time.monotonic()))

    async def _submit_unit(self, unit: list[FaustEvent], ack: Ack) -> list[FaustEvent]:
        """Prepare as much of a unit as fits into one flush and start writing it; returns the remaining events."""
        loop = asyncio.get_running_loop()
        if not self.busy:  # idle time does not count as a stall
            self.moved_at = time.monotonic()
        self.position = begin_of(unit)
        raws = [raw_record(event) for event in unit]
        try:
            with self._prepared:
                flush = await loop.run_in_executor(self._preparing, self._meter.prepare, raws, self._in_flight)
        except Stopping:
            await asyncio.Event().wait()
        except (Poisoned, CannotGoOn) as error:
            end_hard(str(error), EXIT_HELD)
        except Exception as error:
            log.exception("prepare")
            end_hard(f"metering cannot go on: {error}")
        if self._acknowledging is not None:
            await self._acknowledging
        flushed, left = _parted(unit, flush.left)
        self._in_flight = self._committing.submit(self._meter.commit, flush)
        self._acknowledging = asyncio.create_task(self._acknowledge(self._in_flight, flushed, flush.gaps, ack))
        self.moved_at = time.monotonic()
        return left

    async def _acknowledge(
        self, written: Future[None], unit: list[FaustEvent], gaps: Mapping[int, int], ack: Ack
    ) -> None:
        try:
            await asyncio.wrap_future(written)
        except Stopping:
            await asyncio.Event().wait()
        except CannotGoOn as error:
            end_hard(str(error), EXIT_HELD)
        except Exception as error:
            log.exception("commit")
            end_hard(f"a flush cannot be written: {error}")
        for event in unit:
            message = event.message
            if message.offset < gaps.get(message.partition, message.offset + 1):
                await ack(event)
            else:
                # The event lies beyond a gap and will be read again, so its offset must not be committed. Setting only
                # the flag lets a rebalance proceed without waiting for it.
                message.acked = True
        self.moved_at = time.monotonic()


def _parted(unit: list[FaustEvent], left: Mapping[int, int]) -> tuple[list[FaustEvent], list[FaustEvent]]:
    """Split a unit into events below the offsets in ``left`` (partition → offset) and the others, both in order."""
    flushed: list[FaustEvent] = []
    left_over: list[FaustEvent] = []
    for event in unit:
        message = event.message
        (flushed if message.offset < left.get(message.partition, message.offset + 1) else left_over).append(event)
    return flushed, left_over
