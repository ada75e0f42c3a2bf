"""Between an agent and its threads: order, back-pressure, acknowledgement after the write.

No exception leaves an agent (a crashed Faust worker can hang instead of exiting): whatever is not a retry ends the
process hard, and the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NoReturn

from confluent_kafka import KafkaException

from schemas.clickhouse.errors import GIVE_UP_SECONDS
from schemas.errors import EXIT_HELD, CannotGoOn
from schemas.kafka.errors import RecordRefused, kafka_error, meaning
from schemas.ledgers.transport import LedgerUnavailable
from stream_processors.metering.breaker import Poisoned
from stream_processors.metering.flush import Meter, RawRecord, executor
from stream_processors.metering.journal import Stopping

log = logging.getLogger(__name__)

UNIT_BYTES: Final = 6 * 1024 * 1024
UNIT_SECONDS: Final = 0.2  # from the beginning of a small unit to the next one
EXIT_HARD: Final = 70
RETRY_SECONDS: Final = 1.0

Ack = Callable[[Any], Awaitable[Any]]


def end_hard(why: str, code: int = EXIT_HARD) -> NoReturn:
    """End the process at once; nothing that is not durable was acknowledged, so nothing is lost."""
    log.critical("%s; ending the process", why)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


async def guarded(what: str, work: Awaitable[None]) -> None:
    """Whatever leaves an agent leaves the process: Faust would go on without the agent, and its topics would stand
    still."""
    try:
        await work
    except Exception as error:
        log.exception(what)
        end_hard(f"{what} cannot go on: {error!r}")


def append_us(message: Any) -> int:
    """LogAppendTime of a Faust message, microseconds UTC. Faust gives it in seconds, exact to the millisecond."""
    milliseconds: int = round(message.timestamp * 1000)
    return milliseconds * 1000


def raw_record(event: Any) -> RawRecord:
    """The Kafka record behind a Faust event."""
    message = event.message
    return RawRecord(message.partition, message.offset, append_us(message), message.value or b"")


def units_of(events: Sequence[Any]) -> list[list[Any]]:
    """Cut a take into units of bounded size, so that one flush stays short; at least one event each."""
    units: list[list[Any]] = []
    size = 0
    for event in events:
        length = len(event.message.value or b"")
        if not units or size + length > UNIT_BYTES:
            units.append([])
            size = 0
        units[-1].append(event)
        size += length
    return units


class Work:
    """Whether an agent is at work (entered as often as it began something), and the monotonic instant of its last step.

    ``position``: where it is at work; ``trouble``: the last error of what it tries again, "" where there was none.
    """

    def __init__(self) -> None:
        self._pieces = 0
        self.moved_at = time.monotonic()
        self.position = ""
        self.trouble = ""

    @property
    def busy(self) -> bool:
        """Whether something is begun and not ended."""
        return self._pieces > 0

    def __enter__(self) -> None:
        if not self._pieces:  # who had nothing to do has not stood still
            self.moved_at = time.monotonic()
        self._pieces += 1

    def __exit__(self, *_: object) -> None:
        self._pieces -= 1
        self.moved()

    def moved(self) -> None:
        """A step is done."""
        self.moved_at = time.monotonic()
        self.trouble = ""


def place_of(events: Sequence[Any]) -> str:
    """Where a take begins, for people."""
    message = events[0].message
    return f"{message.topic} partition {message.partition} offset {message.offset}"


class MeterPipeline:
    """Prepares one unit while the one before it is written, and acknowledges in order."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._preparing: ThreadPoolExecutor = executor("prepare")
        self._committing: ThreadPoolExecutor = executor("commit")
        self._in_flight: Future[None] | None = None
        self._acknowledging: asyncio.Task[None] | None = None
        self._prepared = Work()
        self.moved_at = time.monotonic()
        self.position = ""

    @property
    def busy(self) -> bool:
        """Whether a unit is being prepared or written."""
        acknowledging = self._acknowledging
        return self._prepared.busy or (acknowledging is not None and not acknowledging.done())

    async def submit(self, events: Sequence[Any], ack: Ack) -> None:
        """Meter a take. Returns when its last unit is prepared and being written: then the next take may come."""
        units = units_of(events)
        for unit in units:
            began = time.monotonic()
            left = unit
            while left:
                left = await self._submit_unit(left, ack)
        if sum(len(event.message.value or b"") for event in units[-1]) < UNIT_BYTES // 2:
            # An insert costs the engine about as much for ten rows as for a thousand, so small units do not chase each
            # other.
            await asyncio.sleep(max(0.0, began + UNIT_SECONDS - time.monotonic()))

    async def _submit_unit(self, unit: list[Any], ack: Ack) -> list[Any]:
        """Prepare as much of a unit as one flush holds, and begin to write it; what is left of it."""
        loop = asyncio.get_running_loop()
        if not self.busy:  # who had nothing to do has not stood still
            self.moved_at = time.monotonic()
        self.position = place_of(unit)
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
        taken, left = _parted(unit, flush.left)
        self._in_flight = self._committing.submit(self._meter.commit, flush)
        self._acknowledging = asyncio.create_task(self._acknowledge(self._in_flight, taken, flush.gaps, ack))
        self.moved_at = time.monotonic()
        return left

    async def _acknowledge(self, written: Future[None], unit: list[Any], gaps: Mapping[int, int], ack: Ack) -> None:
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
                # It was passed over and will be read again. Acknowledged, it would be a record that Kafka believes done
                # and ClickHouse lacks; marked, a rebalance does not wait for it.
                message.acked = True
        self.moved_at = time.monotonic()


def _parted(unit: list[Any], left: Mapping[int, int]) -> tuple[list[Any], list[Any]]:
    """Events below what is left of their partitions, and the others, both in order."""
    taken: list[Any] = []
    rest: list[Any] = []
    for event in unit:
        message = event.message
        (taken if message.offset < left.get(message.partition, message.offset + 1) else rest).append(event)
    return taken, rest


async def in_thread(pool: ThreadPoolExecutor, what: str, call: Callable[[], Any], work: Work | None = None) -> Any:
    """Run ``call`` in the pool until it succeeds; for work that is safe to repeat and has no poison in it.

    Kafka or ClickHouse away is a reason to wait, which ``work`` is told. What no repetition mends ends the process so
    that it is not started again as it is (``EXIT_HELD``), after ``GIVE_UP_SECONDS``; anything else ends it, too.
    """
    loop = asyncio.get_running_loop()
    hopeless_since: float | None = None
    while True:
        try:
            return await loop.run_in_executor(pool, call)
        except Stopping:
            await asyncio.Event().wait()
        except (LedgerUnavailable, KafkaException, TimeoutError, CannotGoOn, RecordRefused) as error:
            log.warning("%s: %s; trying again", what, error)
            if work is not None:
                work.trouble = str(error)
            if not _hopeless(error):
                hopeless_since = None
            elif hopeless_since is None:
                hopeless_since = time.monotonic()
            elif time.monotonic() - hopeless_since > GIVE_UP_SECONDS:
                end_hard(f"{what} cannot go on: {error}", EXIT_HELD)
            await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:
            log.exception(what)
            end_hard(f"{what} cannot go on: {error}")


def _hopeless(error: Exception) -> bool:
    found = kafka_error(error)
    return isinstance(error, CannotGoOn | RecordRefused) or (found is not None and meaning(found) != "may pass")
