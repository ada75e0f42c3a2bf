"""Compares the gateway's clock with Kafka's, by the append time returned with each delivery report.

The gateway dates events without a timestamp, and judges the age of others, by its own clock. If that is far off, it
accepts no events. The clock is compared at start-up, with every delivery, and by a record on usage.clock if nothing
was delivered for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from schemas.health.readiness import UnreadyReason
from schemas.kafka.clock import TOLERANCE_US, ClockError, error_of, words
from schemas.kafka.topics import CLOCK
from schemas.values.instants import SECOND

if TYPE_CHECKING:
    from ingest.delivery.loop_producer import LoopProducer

log = logging.getLogger(__name__)

CLOCK_WRONG: Final = "clock_wrong"
IDLE_SECONDS: Final = 10.0
WRONG_SECONDS: Final = 1.0
"""Interval between comparisons while the clock is wrong; determines how soon a corrected clock accepts events again."""
BELIEVED_SECONDS: Final = 30.0
"""How long a measurement of a wrong clock stays valid. A gateway that refuses events delivers nothing, so without a
writable usage.clock it would never learn that its clock was corrected. Once the measurement has expired, events are
accepted again, and their first delivery measures anew."""
VOUCHED_SECONDS: Final = 600.0
"""How long one broker's measurement that the clock is right outweighs another's that it is wrong, provided that the
clock was not set since. A clock that is not set drifts by less than a second in that time."""
SET_SECONDS: Final = 1.0
"""A clock that deviates from the machine's monotonic clock by more than this since the last measurement was set."""


class GatewayClock:
    """The measured error of this gateway's clock. ``measure`` may be called from any thread."""

    def __init__(self, now_us: Callable[[], int], steady: Callable[[], float] = time.monotonic) -> None:
        self.now_us = now_us
        self.partitions = 1
        """Number of partitions of usage.clock."""
        self._steady = steady
        self._error: ClockError | None = None
        self._measured_at = 0.0
        self._right_at = float("-inf")  # monotonic instant of the last measurement that this clock is right
        self._right_apart = 0.0  # difference between both clocks at that instant, in seconds
        self._told_at = float("-inf")
        self.measured = 0

    def measure(self, sent_us: int, stamp: tuple[int, int]) -> None:
        """Evaluate a delivery report. ``sent_us``: this clock when the record was produced; ``stamp``: timestamp
        type and value (ms) from the report."""
        now_us, steady = self.now_us(), self._steady()
        error, apart = error_of(sent_us, stamp, now_us), now_us / SECOND - steady
        # A delivery that took long bounds the error only loosely and must not replace a tighter measurement.
        if error is None or (self._error is not None and error.width_us > TOLERANCE_US and not error.beyond_us):
            return
        if error.beyond_us and self._vouched(steady, apart):
            # The brokers disagree, or a broker's clock was set. This clock is unchanged, so events are accepted.
            if steady - self._told_at > VOUCHED_SECONDS:
                self._told_at = steady
                log.error(
                    "by one of Kafka's brokers this gateway's clock is %s, by another it was right: look at "
                    "the brokers' clocks (NTP)",
                    words(error.beyond_us),
                )
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
        """Whether the last measurement found the clock too far off and has not expired."""
        return self._beyond_us() != 0

    def _beyond_us(self) -> int:
        error = self._error
        if error is None or not error.beyond_us or self._steady() - self._measured_at > BELIEVED_SECONDS:
            return 0
        return error.beyond_us

    def check(self) -> Iterator[UnreadyReason]:
        """Source of readiness reasons for ``Readiness``."""
        if beyond_us := self._beyond_us():
            yield UnreadyReason(
                CLOCK_WRONG,
                f"this gateway's clock is {words(beyond_us)}, so it would date and judge events wrongly",
                "set it, or the broker's where that is the wrong one (NTP); it goes on by itself. `weir verify` "
                "names what was dated meanwhile",
                refuses=True,
            )


async def ask(clock: GatewayClock, producer: LoopProducer) -> None:
    """Produce a record to each partition of usage.clock, to compare with several brokers; ``producer`` passes the
    reports to its clock. Returns when all are reported."""
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
    """Compare regularly while no deliveries do; runs until cancelled."""
    measured = clock.measured
    while True:
        await asyncio.sleep(WRONG_SECONDS if clock.wrong else IDLE_SECONDS)
        if clock.measured == measured or clock.wrong:
            with contextlib.suppress(TimeoutError):  # a partition without a leader must not block the others
                await asyncio.wait_for(ask(clock, producer), IDLE_SECONDS)
        measured = clock.measured
