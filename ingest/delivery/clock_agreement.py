"""Whether this gateway's clock agrees with Kafka's, from the append time that comes back with each delivery report.

The gateway dates events without a timestamp and judges the age of the others by its clock: where that is far off, it
takes none. It is asked at the start, by every delivery, and by a record on usage.clock where nothing was delivered for
a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from schemas.health.readiness import Reason
from schemas.kafka.clock import TOLERANCE_US, ClockError, error_of, words
from schemas.kafka.topics import CLOCK
from schemas.values.instants import SECOND

if TYPE_CHECKING:
    from ingest.delivery.producer import LoopProducer

log = logging.getLogger(__name__)

CLOCK_WRONG: Final = "clock_wrong"
IDLE_SECONDS: Final = 10.0
WRONG_SECONDS: Final = 1.0
"""How soon it is asked again where it was wrong: the sooner, the sooner a clock that was set right takes events."""
BELIEVED_SECONDS: Final = 30.0
"""How long a wrong clock is believed to be wrong without another measurement. A gateway that refuses delivers nothing,
so where usage.clock is missing or may not be written nothing would ever tell it that the clock was set right: then
events are let in, and their first delivery tells."""
VOUCHED_SECONDS: Final = 600.0
"""How long one broker's word that the clock is right stands against another's that it is wrong, while it was not set: a
clock that nobody sets drifts by less than a second in that time."""
SET_SECONDS: Final = 1.0
"""A clock that moved so much more or less than the machine's steady one was set."""


class GatewayClock:
    """What is known of this clock's error. ``measure`` may be called in any thread."""

    def __init__(self, now_us: Callable[[], int], steady: Callable[[], float] = time.monotonic) -> None:
        self.now_us = now_us
        self.partitions = 1
        """Of usage.clock."""
        self._steady = steady
        self._error: ClockError | None = None
        self._measured_at = 0.0
        self._right_at = float("-inf")  # by the steady clock, when a report last said that this one is right,
        self._right_apart = 0.0  # and how far the two were apart then
        self._told_at = float("-inf")
        self.measured = 0

    def measure(self, sent_us: int, stamp: tuple[int, int]) -> None:
        """A delivery report of a record that was handed over at ``sent_us``."""
        now_us, steady = self.now_us(), self._steady()
        error, apart = error_of(sent_us, stamp, now_us), now_us / SECOND - steady
        # One that took long says little, and must not make up for one that said much.
        if error is None or (self._error is not None and error.width_us > TOLERANCE_US and not error.beyond_us):
            return
        if error.beyond_us and self._vouched(steady, apart):
            # Brokers disagree, or one's clock was set: no reason to take no events, which this gateway dates as before.
            if steady - self._told_at > VOUCHED_SECONDS:
                self._told_at = steady
                log.error("by one of Kafka's brokers this gateway's clock is %s, by another it was right: look at "
                    "the brokers' clocks (NTP)", words(error.beyond_us))  # fmt: skip
            return
        if error.beyond_us and not self.wrong:
            log.error("this gateway's clock is %s: it takes no events until it is set right", words(error.beyond_us))
        if error.least_us >= -TOLERANCE_US and error.most_us <= TOLERANCE_US:
            self._right_at, self._right_apart = steady, apart
        self._measured_at = steady
        self._error = error
        self.measured += 1

    def _vouched(self, steady: float, apart: float) -> bool:
        return steady - self._right_at <= VOUCHED_SECONDS and abs(apart - self._right_apart) < SET_SECONDS

    @property
    def wrong(self) -> bool:
        """Whether the last measurement found it too far off, and is not too old to be believed."""
        return self._beyond_us() != 0

    def _beyond_us(self) -> int:
        error = self._error
        if error is None or not error.beyond_us or self._steady() - self._measured_at > BELIEVED_SECONDS:
            return 0
        return error.beyond_us

    def check(self) -> Iterator[Reason]:
        """For ``Readiness``."""
        if beyond_us := self._beyond_us():
            yield Reason(
                CLOCK_WRONG, f"this gateway's clock is {words(beyond_us)}, so it would date and judge events wrongly",
                "set it, or the broker's where that is the wrong one (NTP); it goes on by itself. `weir verify` "
                "names what was dated meanwhile", refuses=True,
            )  # fmt: skip


async def ask(clock: GatewayClock, producer: LoopProducer) -> None:
    """Put a record on each partition of usage.clock, so that several brokers are asked where there are some;
    ``producer`` hands the reports to its clock. Returns when all are reported."""
    loop = asyncio.get_running_loop()

    def asked(partition: int) -> asyncio.Future[None]:
        reported: asyncio.Future[None] = loop.create_future()

        def done(error: str | None) -> None:
            if error is not None:
                log.info("usage.clock does not tell Kafka's time: %s", error)
            if not reported.done():
                reported.set_result(None)

        producer.produce(CLOCK, b"", done, partition=partition)
        return reported

    await asyncio.gather(*[asked(partition) for partition in range(clock.partitions)])


async def watch(clock: GatewayClock, producer: LoopProducer) -> None:
    """Ask again and again, while no delivery tells."""
    measured = clock.measured
    while True:
        await asyncio.sleep(WRONG_SECONDS if clock.wrong else IDLE_SECONDS)
        if clock.measured == measured or clock.wrong:
            with contextlib.suppress(TimeoutError):  # a partition without a leader holds up no other's word
                await asyncio.wait_for(ask(clock, producer), IDLE_SECONDS)
        measured = clock.measured
